"""The record of one claim measured or checked.

Its mean and interval are functions of its values.
``rules`` 1 marks files written before ratios were averaged on logarithms throughout. Their stored
interval is checked as it was written, and judged and shown by today's rules (``estimate``)."""

import math
from typing import Literal

from pydantic import Field, model_validator

from replication.base.errors import InputError
from replication.base.models import Frozen
from replication.base.statistics import (
    Interval,
    Spread,
    difference_spread,
    exponential,
    interval,
    logs,
    mean_interval,
    mean_spread,
    share_interval,
    widened,
)
from replication.base.types import Profile
from replication.ledger.families import (
    Family,
    bonferroni,
    detectable_over_images,
    separate_interval,
    smallest_detectable,
    tamhane,
)
from replication.ledger.scale import Ran, shortfalls
from replication.paper import Claim, Target
from replication.paper import claim as find_claim

SYNTHETIC = "synthetic"  # the embedded data set


class ImageNoise(Frozen):
    """An interval over seeds and images together (``evaluation.seeds_and_images``)."""

    low: float
    high: float
    images: int = Field(ge=1)
    resamples: int = Field(ge=1)


class Measurement(Frozen):
    """One claim measured (E, Q) or checked (A, S) at one profile."""

    claim: str  # id in replication/paper/claims.toml
    variant: str = ""  # which of several answers: "source2012" and "modern", "top-1" and "top-5"
    quantity: str  # what the number is, as text
    unit: str = ""  # "" for a pure ratio
    profile: Profile
    scale: str  # data set with its note, images, cap on epochs, net
    ran: Ran | None = None  # what decides whether this is the paper's own scale
    reason: str = ""  # a remark that the reader of the verdict needs
    rules: Literal[1, 2] = 1

    n: int = 0  # seeds; of two groups the smaller
    values: tuple[float, ...] = ()  # one per seed; of a ratio of two groups the numerators
    denominators: tuple[float, ...] = ()  # of a ratio of two independent groups of seeds
    subtracted: tuple[float, ...] = ()  # of a difference of two independent groups of seeds
    # the linear model that the interval comes from; None: this comparison alone
    family: Family | None = None
    member: str = ""  # the variant in ``family``; the other group is its baseline
    # this is the lowest of so many numbers, whose intervals hold together
    comparisons: int = Field(1, ge=1)
    mean: float | None = None  # of a ratio the geometric mean
    low: float | None = None  # 95% interval; None with one seed
    high: float | None = None
    over_images: ImageNoise | None = None  # of a difference of errors
    # of a permutation test of all runs together, which then decides in place of the interval
    p: float | None = Field(None, gt=0, le=1)
    null: float | None = None  # the value that means no effect
    # the truth is at least (lower) or at most (upper) ``mean``: see ``censored``
    bound: Literal["lower", "upper"] | None = None

    value: float | str | None = None  # A and S: what was counted or read,
    expected: float | str | None = None  # what the paper says,
    holds: bool | None = None  # and whether they agree; None: what is known does not decide it

    @property
    def censored(self) -> bool:
        """Whether some seeds never reached the target error.

        They count as the cap, so that the mean is a bound.
        """
        return self.bound is not None

    @property
    def target(self) -> Target:
        """The number of the claim that this measures."""
        return _target(find_claim(self.claim), self.variant)

    @property
    def spread(self) -> Spread:
        """The estimate with its standard error; of a ratio, on logarithms."""
        own = self.own_spread
        if self.family is None:
            return own
        return Spread(own.mean, self.family.error(self.member), self.family.freedom)

    @property
    def own_spread(self) -> Spread:
        """The same from its own groups alone; one variant may vary more than its family does."""
        ratio = self.target.ratio
        values = logs(self.values) if ratio else self.values
        other = self.denominators or self.subtracted
        if not other:
            return mean_spread(values)
        return difference_spread(values, logs(other) if ratio else other)

    @property
    def critical(self) -> float | None:
        """Standard errors to either side of the mean; None: Student's t for one comparison."""
        if self.family is not None:
            return self.family.critical
        spread = self.spread
        if self.comparisons == 1 or math.isnan(spread.error):
            return None
        return bonferroni(self.comparisons, spread.freedom)

    @property
    def estimate(self) -> Interval:
        """Mean and interval by today's rules."""
        if self.target.share:
            return share_interval(self.values)
        bounds = interval(self.spread, self.critical)
        return exponential(bounds) if self.target.ratio else bounds

    @property
    def separate(self) -> Interval:
        """Mean and interval by the spreads of its own two groups, which may differ from others'.

        In a family it is simultaneous, too (``families.tamhane``)."""
        comparisons = 1 if self.family is None else self.family.variants
        bounds = separate_interval(self.own_spread, comparisons)
        return exponential(bounds) if self.target.ratio else bounds

    @property
    def over_seeds(self) -> Interval:
        """Mean and interval over seeds, as they are shown.

        In a family the interval reaches as far, too, as that by the spreads of its own two groups,
        which the verdict asks for as well."""
        return self.estimate if self.family is None else widened(self.estimate, self.separate)

    @property
    def detectable(self) -> float | None:
        """The smallest effect that the intervals find with 80% power; of a ratio, as a factor.

        The largest, if there are several intervals. None for one seed, for a share of runs, and if
        a test decides."""
        if self.target.share or self.p is not None:
            return None
        smallest = smallest_detectable(self.spread, self.critical)
        if math.isnan(smallest):
            return None
        if self.family is not None and not math.isnan(self.own_spread.error):
            critical = tamhane(self.family.variants, self.own_spread.freedom)
            smallest = max(smallest, smallest_detectable(self.own_spread, critical))
        if self.over_images is not None:
            half = (self.over_images.high - self.over_images.low) / 2
            together = self.comparisons if self.family is None else self.family.variants
            smallest = max(smallest, detectable_over_images(half, together))
        return math.exp(smallest) if self.target.ratio else smallest

    @property
    def reach(self) -> tuple[float, float] | None:
        """The interval to judge by; None with one seed.

        It is open on the side on which a bound says nothing. Values cut at the cap are at most the
        true ones, so the lower end of an interval for their mean is a lower end for the true mean
        as well, while its upper end means nothing; and the other way round for an upper bound. The
        interval over images widens that over seeds.
        """
        bounds = self.over_seeds
        if self.over_images is not None:
            images = self.over_images
            bounds = widened(bounds, Interval(bounds.mean, images.low, images.high))
        _, low, high = bounds
        if low is None or high is None:
            return None
        return (
            -math.inf if self.bound == "upper" else low,
            math.inf if self.bound == "lower" else high,
        )

    @property
    def synthetic(self) -> bool:
        """Whether it was measured on synthetic images, which earn no verdict."""
        if self.ran is not None:
            return self.ran.data == SYNTHETIC
        return self.profile == "quick"

    @property
    def outdated(self) -> bool:
        """Whether the claim's quantity or rule was changed after this was measured."""
        claim = find_claim(self.claim)
        if claim.kind not in "AS" and self.target.test and self.p is None:
            return True
        return self.quantity != (claim.statement if claim.kind in "AS" else self.target.quantity)

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """What keeps it from the paper's own scale, as text; () at that scale."""
        return shortfalls(self.claim, self.ran, self.variant)

    @model_validator(mode="after")
    def _consistent(self) -> "Measurement":
        try:
            claim = find_claim(self.claim)
        except InputError as error:
            raise ValueError(str(error)) from error
        if claim.kind == "C":
            raise ValueError(f"{claim.id} is quoted from others (kind C) and is not measured")
        if claim.kind in "AS":
            given = {"value", "expected", "holds"} <= self.model_fields_set
            if not given or self.value is None or self.expected is None or self.values:
                raise ValueError(
                    f"{claim.id} is of kind {claim.kind}: it takes value, expected and holds (null"
                    " if it is not decided), and no values"
                )
            return self
        target = _target(claim, self.variant)
        if not self.values or self.holds is not None:
            raise ValueError(
                f"{claim.id} is of kind {claim.kind}: it takes values, one per seed, and no holds"
            )
        if self.p is not None and not target.test:
            raise ValueError("p is for a number that a test decides, and no test decides this one")
        if self.null != target.null:
            raise ValueError(f"null is {self.null}, and claims.toml says {target.null}")
        self._check_groups(target)
        n = min(map(len, filter(None, (self.values, self.denominators, self.subtracted))))
        if self.n != n:
            raise ValueError(f"n is {self.n}, and there are values of {n} seeds")
        self._check_interval(target)
        return self

    def _check_groups(self, target: Target) -> None:
        if self.subtracted and (self.denominators or target.ratio):
            raise ValueError("subtracted is for differences, denominators for ratios")
        if self.denominators and not target.ratio:
            raise ValueError("denominators are for ratios, and this number is none")
        if self.family is None:
            return
        if self.comparisons > 1:
            raise ValueError("a family has the critical value of all its variants already")
        own = self.values, self.denominators or self.subtracted
        # the claim's quantity may be the baseline's over the variant's, or the other way round
        names = (self.member, self.family.baseline)
        if self.member not in self.family.groups or not own[1]:
            raise ValueError(f"the family has no variant {self.member!r}, or there is one group")
        sizes = [self.family.groups[name].n for name in names]
        if sorted(sizes) != sorted(map(len, own)):
            raise ValueError(f"the family has groups of {sizes} seeds, and the values are others")

    def _check_interval(self, target: Target) -> None:
        paired_ratio = target.ratio and not self.denominators
        as_written = (
            mean_interval(self.values) if self.rules == 1 and paired_ratio else self.estimate
        )
        stored = (self.mean, self.low, self.high)
        for name, known, computed in zip(Interval._fields, stored, as_written, strict=True):
            agree = (
                known is computed
                if None in (known, computed)
                else math.isclose(known, computed, rel_tol=1e-9, abs_tol=1e-12)
            )
            if not agree:
                raise ValueError(f"{name} is {known}, and the values give {computed}")


def _target(claim: Claim, variant: str) -> Target:
    target = claim.target(variant)
    if target is None:
        raise ValueError(
            f"{claim.id} has no target for variant {variant!r}:"
            f" {', '.join(t.variant for t in claim.targets)}"
        )
    return target
