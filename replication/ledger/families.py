"""A family of variants beside one baseline, with simultaneous intervals.

One linear model per quantity, and the smallest effect that it could have detected. The spread
within variants is pooled over the whole family and every seed of the baseline is used, so that a
half-width no longer depends on the luck of three numbers. The intervals are Dunnett's (1955): all
of them contain their truths together 95% of the time. The variants' differences share the baseline
and nothing else, so given the baseline's mean and the spread they are independent, and the critical
value is a double integral; the tests compare it with ``scipy.stats.dunnett``, which estimates it by
random numbers and takes a second each time.

Variants need not vary alike. Intervals with one spread for each variant are Tamhane's T2 (1977):
Welch's, at the level at which independent intervals hold together 95% of the time (Šidák). They
are wide, because a spread from five seeds is uncertain, and about simultaneous: if the baseline
varies much less than the variants, they err by a few points more. A verdict needs both kinds.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from pydantic import Field, model_validator
from scipy.special import chdtri, nctdtrinc, ndtr, ndtri, stdtrit

from replication.base.models import Frozen
from replication.base.statistics import (
    CONFIDENCE,
    Interval,
    Spread,
    finite,
    interval,
    logs,
    student_t,
)

POWER = 0.8  # of the smallest detectable effect
# nodes of the double integral; more change the critical value by less than 2e-5
NORMAL_NODES, SPREAD_NODES = 64, 128


class Group(Frozen):
    """The seeds of one variant."""

    n: int = Field(ge=1)
    variance: float = Field(0.0, ge=0)  # of its values, or of their logarithms


class Family(Frozen):
    """One quantity of a baseline and its variants, with one spread."""

    quantity: str
    baseline: str
    groups: dict[str, Group]  # by variant, the baseline among them

    @model_validator(mode="after")
    def _consistent(self) -> "Family":
        if self.baseline not in self.groups or len(self.groups) < 2:
            raise ValueError("a family is a baseline and at least one variant")
        if self.freedom < 1:
            raise ValueError("a family needs a variant with two seeds or more")
        return self

    @property
    def freedom(self) -> int:
        """The degrees of freedom of the pooled spread."""
        return sum(group.n - 1 for group in self.groups.values())

    @property
    def spread(self) -> float:
        """The standard deviation within variants, pooled."""
        squares = sum((group.n - 1) * group.variance for group in self.groups.values())
        return math.sqrt(squares / self.freedom)

    @property
    def variants(self) -> int:
        """How many variants are compared with the baseline."""
        return len(self.groups) - 1

    @property
    def critical(self) -> float:
        """Standard errors to either side of a difference from the baseline."""
        sizes = tuple(group.n for name, group in self.groups.items() if name != self.baseline)
        return dunnett(sizes, self.groups[self.baseline].n, self.freedom)

    def error(self, variant: str) -> float:
        """Return the standard error of a variant's difference from the baseline."""
        control = self.groups[self.baseline]
        return self.spread * math.sqrt(1 / self.groups[variant].n + 1 / control.n)


def family(
    quantity: str, values: Mapping[str, Sequence[float]], baseline: str, ratio: bool = False
) -> Family:
    """Return the family of the variants in ``values`` (one number per seed each).

    ``ratio``: on logarithms. Raises ValueError for values that are not finite, or not positive."""
    groups = {}
    for name, one in values.items():
        numbers = logs(one) if ratio else finite(one)
        variance = float(numbers.var(ddof=1)) if len(numbers) > 1 else 0.0
        groups[name] = Group(n=len(numbers), variance=variance)
    return Family(quantity=quantity, baseline=baseline, groups=groups)


@cache
def dunnett(sizes: tuple[int, ...], control: int, freedom: float) -> float:
    """Return Dunnett's two-sided critical value for groups of ``sizes`` against a ``control``.

    ``freedom``: degrees of freedom of the pooled spread. One group gives Student's t."""
    if len(sizes) == 1:
        return student_t(freedom)
    shared = np.sqrt([size / (size + control) for size in sizes])  # correlation's square root
    own = np.sqrt(1 - shared**2)
    z, z_weights = np.polynomial.hermite_e.hermegauss(NORMAL_NODES)
    u, u_weights = np.polynomial.legendre.leggauss(SPREAD_NODES)
    spreads = np.sqrt(chdtri(freedom, (1 - u) / 2) / freedom)  # estimated over true
    z_weights, u_weights = z_weights / math.sqrt(2 * math.pi), u_weights / 2

    def coverage(critical: float) -> float:
        reach = critical * spreads[:, None, None]
        centre = z[None, :, None] * shared
        inside = ndtr((reach - centre) / own) - ndtr((-reach - centre) / own)
        return float(u_weights @ inside.prod(axis=2) @ z_weights)

    # at least one comparison's value, at most that of Bonferroni
    low, high = student_t(freedom), bonferroni(len(sizes), freedom)
    for _ in range(32):
        middle = (low + high) / 2
        low, high = (middle, high) if coverage(middle) < CONFIDENCE else (low, middle)
    return low


def separate_interval(own: Spread, comparisons: int) -> Interval:
    """Return T2's interval of an estimate by the spreads of its own two groups.

    ``comparisons``: how many such intervals hold together. Without ends if a group has one seed."""
    critical = None if math.isnan(own.error) else tamhane(comparisons, own.freedom)
    return interval(own, critical)


def tamhane(comparisons: int, freedom: float) -> float:
    """Return the critical value of T2: of one of so many intervals with spreads of their own."""
    return float(stdtrit(freedom, sidak(comparisons)))


def sidak(comparisons: int) -> float:
    """Return the quantile at the upper end of one of so many intervals that hold together."""
    return (1 + CONFIDENCE ** (1 / comparisons)) / 2


def bonferroni(comparisons: int, freedom: float) -> float:
    """Return the critical value of ``comparisons`` intervals that hold together at least."""
    return float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / (2 * comparisons))) + 1e-6


def smallest_detectable(spread: Spread, critical: float | None = None) -> float:
    """Return the smallest true effect whose interval excludes no effect 80% of the time.

    On the claimed side, in the estimate's own unit (or its logarithm); NaN for one seed, 0 if
    every seed gave the same number."""
    if math.isnan(spread.error) or spread.freedom < 1:
        return math.nan
    critical = student_t(spread.freedom) if critical is None else critical
    return float(nctdtrinc(spread.freedom, 1 - POWER, critical)) * spread.error


def detectable_over_images(half_width: float, comparisons: int) -> float:
    """Return the same of an interval over seeds and images, from its half-width.

    Such an interval reaches about as many standard errors as a normal one. ``comparisons``: how
    many of them hold together (Bonferroni)."""
    critical = float(ndtri(1 - (1 - CONFIDENCE) / (2 * comparisons)))
    return half_width * (1 + float(ndtri(POWER)) / critical)
