"""95% confidence intervals: of a mean and of a ratio of two groups over a handful of seeds, and of
an error over many images.

Student's t (1908) for a mean. For a ratio, Welch's interval (1947, with Satterthwaite's degrees of
freedom, 1946) for the difference of the mean logarithms, which is the ratio of the geometric means:
the log response ratio of Hedges, Gurevitch and Curtis (1999). Times and counts are positive, so the
logarithm is defined; the interval is always finite and positive, and turning the ratio over turns
its interval over. Fieller's interval for the ratio of arithmetic means has neither property: with
three seeds it is often unbounded. For an error, Wilson's score interval (1927): it stays inside [0,
1] and has a width at 0 mistakes too."""

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
NORMAL = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)  # 1.960
NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)  # Gauss-Legendre quadrature on [-1, 1]


class Interval(NamedTuple):
    """An estimate and its interval. ``low`` and ``high`` are None where one seed gives no
    interval.
    """

    mean: float
    low: float | None
    high: float | None


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean of ``values`` and its Student t interval. Needs one value for the mean and two for the
    interval.
    """
    numbers = _numbers(values)
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return Interval(mean, None, None)
    half = student_t(len(numbers) - 1) * math.sqrt(float(numbers.var(ddof=1)) / len(numbers))
    return Interval(mean, mean - half, mean + half)


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Ratio of the geometric means of two independent groups of positive values, and its Welch
    interval on the logarithms.
    """
    above, below = _numbers(numerators), _numbers(denominators)
    if above.min() <= 0 or below.min() <= 0:
        raise ValueError("a ratio on logarithms needs positive values")
    above, below = np.log(above), np.log(below)
    middle = float(above.mean() - below.mean())
    ratio = math.exp(middle)
    if min(len(above), len(below)) < 2:
        return Interval(ratio, None, None)
    # squared standard errors
    parts = [float(group.var(ddof=1)) / len(group) for group in (above, below)]
    error = sum(parts)
    if error == 0:  # every seed of a group gave the same count
        return Interval(ratio, ratio, ratio)
    # in [0, 1], so that tiny variances do not underflow below
    shares = [part / error for part in parts]
    freedom = 1 / sum(
        share**2 / (len(group) - 1) for share, group in zip(shares, (above, below), strict=True)
    )
    half = student_t(freedom) * math.sqrt(error)
    return Interval(ratio, math.exp(middle - half), math.exp(middle + half))


def wilson(mistakes: int, images: int) -> Interval:
    """The error ``mistakes / images`` and its Wilson interval, which stays inside [0, 1] and has a
    width at 0 mistakes too.
    """
    if not 0 <= mistakes <= images or images < 1:
        raise ValueError(f"{mistakes} mistakes of {images} images")
    error, square = mistakes / images, NORMAL**2
    middle = (error + square / (2 * images)) / (1 + square / images)
    half = (
        NORMAL
        / (1 + square / images)
        * math.sqrt(error * (1 - error) / images + square / (4 * images**2))
    )
    return Interval(error, min(error, max(0.0, middle - half)), max(error, min(1.0, middle + half)))


@cache
def student_t(freedom: float) -> float:
    """The number that a t-distributed variable with ``freedom`` >= 1 degrees, not always whole,
    exceeds in size 5% of the time.

    With t = sqrt(freedom) tan(angle) the probability of the middle is 2 c times the integral of
    cos(angle)^(freedom - 1) from 0 to the angle, where c = gamma((freedom + 1) / 2) / (sqrt(pi)
    gamma(freedom / 2)). Bisection on the angle."""
    if freedom < 1:
        raise ValueError(f"student_t needs at least one degree of freedom, not {freedom}")
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)

    def middle(angle: float) -> float:
        integral = angle / 2 * float(WEIGHTS @ np.cos(angle / 2 * (NODES + 1)) ** (freedom - 1))
        return 2 * scale * integral

    # 12.71 is the largest answer, at one degree
    low, high = 0.0, min(math.pi / 2, 13 / math.sqrt(freedom))
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if middle(angle) < CONFIDENCE else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _numbers(values: Sequence[float]) -> np.ndarray:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or len(numbers) == 0 or not np.isfinite(numbers).all():
        raise ValueError("an interval needs a list of one or more finite values")
    return numbers
