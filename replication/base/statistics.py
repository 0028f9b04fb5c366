"""95% confidence intervals and tests, over a handful of seeds and over many images.

Over seeds: of a mean, a difference and a ratio; over images: of errors. A ratio is judged on
logarithms: the difference of the mean logarithms is the ratio of the geometric means (the log
response ratio of Hedges, Gurevitch and Curtis, 1999), and turning the ratio over turns its interval
over. Two independent groups have Welch's interval (1947), whose spreads may differ. Quantiles are
scipy's; the tests compare every interval with those of scipy.stats and statsmodels, which take a
second to import.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, stdtrit

CONFIDENCE = 0.95
TAIL = (1 + CONFIDENCE) / 2  # quantile of a two-sided interval's upper end


class Interval(NamedTuple):
    """An estimate and its interval; ``low`` and ``high`` are None for one seed."""

    mean: float
    low: float | None
    high: float | None


class Spread(NamedTuple):
    """An estimate, its standard error, and the degrees of freedom of that error."""

    mean: float
    error: float
    freedom: float


def mean_spread(values: Sequence[float]) -> Spread:
    """Return the mean of ``values`` and its standard error; NaN error for one value."""
    numbers = finite(values)
    error = math.sqrt(float(numbers.var(ddof=1)) / len(numbers)) if len(numbers) > 1 else math.nan
    return Spread(float(numbers.mean()), error, len(numbers) - 1)


def difference_spread(first: Sequence[float], second: Sequence[float]) -> Spread:
    """Return the difference of two independent groups' means, with Welch's standard error."""
    a, b = finite(first), finite(second)
    difference = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2:
        return Spread(difference, math.nan, 0)
    return _welch(difference, [float(group.var(ddof=1)) / len(group) for group in (a, b)], (a, b))


def _welch(difference: float, parts: Sequence[float], groups: Sequence[np.ndarray]) -> Spread:
    """Return the spread of a difference; ``parts``: the squared error that each group adds.

    The degrees of freedom are those of Welch and Satterthwaite."""
    error = sum(parts)
    if error == 0:  # every seed of a group gave the same number
        return Spread(difference, 0.0, sum(map(len, groups)) - 2)
    # shares in [0, 1], so that tiny variances do not underflow
    shares = [part / error for part in parts]
    freedom = 1 / sum(
        share**2 / (len(group) - 1) for share, group in zip(shares, groups, strict=True)
    )
    return Spread(difference, math.sqrt(error), freedom)


def next_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Return the ratio of one more pair of runs: the groups' ratio, and a prediction interval.

    On logarithms, and with spreads that may differ."""
    groups = [np.log(finite(group)) for group in (numerators, denominators)]
    mean = float(groups[0].mean() - groups[1].mean())
    if min(map(len, groups)) < 2:
        return exponential(Interval(mean, None, None))
    parts = [float(group.var(ddof=1)) * (1 + 1 / len(group)) for group in groups]
    return exponential(interval(_welch(mean, parts, groups)))


def interval(spread: Spread, critical: float | None = None) -> Interval:
    """Return the interval of an estimate: ``critical`` standard errors to either side.

    ``critical`` None: Student's t for one comparison."""
    if math.isnan(spread.error):
        return Interval(spread.mean, None, None)
    critical = student_t(spread.freedom) if critical is None else critical
    half = critical * spread.error
    return Interval(spread.mean, spread.mean - half, spread.mean + half)


def widened(one: Interval, *others: Interval) -> Interval:
    """Return ``one``, reaching as far as each of ``others`` that has ends, on both sides."""
    for other in others:
        if None not in (one.low, one.high, other.low, other.high):
            one = Interval(
                one.mean,
                min(one.low, other.low),  # type: ignore[type-var]
                max(one.high, other.high),  # type: ignore[type-var]
            )
    return one


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of ``values`` and its Student t interval."""
    return interval(mean_spread(values))


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Return the ratio of two independent groups' geometric means, with Welch's interval."""
    return exponential(interval(difference_spread(logs(numerators), logs(denominators))))


def exponential(logarithms: Interval) -> Interval:
    """Return an interval of logarithms as one of ratios."""
    return Interval(*(None if value is None else math.exp(value) for value in logarithms))


def logs(values: Sequence[float]) -> np.ndarray:
    """Return the logarithms of positive values. Raises ValueError for any other."""
    numbers = finite(values)
    if numbers.min() <= 0:
        raise ValueError("a ratio on logarithms needs positive values")
    return np.log(numbers)


def student_t(freedom: float) -> float:
    """Return the size that a t-distributed variable exceeds 5% of the time."""
    if freedom < 1:
        raise ValueError(f"student_t needs at least one degree of freedom, not {freedom}")
    return float(stdtrit(freedom, TAIL))


def wilson(mistakes: int, images: int) -> Interval:
    """Return the error ``mistakes / images`` and its Wilson interval.

    It stays inside [0, 1] and has a width at 0 mistakes too."""
    from scipy.stats import binomtest  # here: it takes longer than everything else in this module

    if not 0 <= mistakes <= images or images < 1:
        raise ValueError(f"{mistakes} mistakes of {images} images")
    ends = binomtest(mistakes, images).proportion_ci(CONFIDENCE, method="wilson")
    error = mistakes / images
    return Interval(error, min(error, float(ends.low)), max(error, float(ends.high)))


def share_interval(values: Sequence[float]) -> Interval:
    """Return the share of ones among zeros and ones, and its exact (Clopper-Pearson) interval.

    It has a width if all are alike too. Raises ValueError for any other value."""
    numbers = finite(values)
    if not np.isin(numbers, (0.0, 1.0)).all():
        raise ValueError("a share of runs needs zeros and ones")
    ones, zeros = int(numbers.sum()), int((1 - numbers).sum())
    low = float(betaincinv(ones, zeros + 1, 1 - TAIL)) if ones else 0.0
    high = float(betaincinv(ones + 1, zeros, TAIL)) if zeros else 1.0
    return Interval(float(numbers.mean()), low, high)


def finite(values: Sequence[float]) -> np.ndarray:
    """Return ``values`` as an array. Raises ValueError unless there are some, all finite."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or len(numbers) == 0 or not np.isfinite(numbers).all():
        raise ValueError("an interval needs a list of one or more finite values")
    return numbers
