"""What an experiment reports about a claim: the contract between ``experiments/`` and the ledger.

An experiment builds its measurements with ``measured`` (E and Q claims: one value per seed) or
``checked`` (A and S claims) and writes them with ``write_measurements`` to
``results/<profile>/<experiment>/measurements.json``. Mean and interval are functions of the values,
and reading computes them again: a file in which one of them was edited by hand is refused."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from pydantic import ValidationError, model_validator

from replication.base import files, paths
from replication.base.errors import InputError
from replication.base.intervals import Interval, mean_interval, ratio_interval
from replication.base.models import Frozen, first_fault
from replication.paper import claim as find_claim

Profile = Literal["quick", "laptop", "gpu", "paper"]
PROFILES: tuple[Profile, ...] = get_args(Profile)  # from the smallest scale to the paper's own
FILE = "measurements.json"


class Measurement(Frozen):
    """One claim measured (E, Q) or checked (A, S) at one profile."""

    claim: str  # id in replication/paper/claims.toml
    variant: str = ""  # which of several answers: "source2012" and "modern", "top-1" and "top-5"
    quantity: str  # what the number is, in words
    unit: str = ""  # "" for a pure ratio
    profile: Profile
    scale: str  # data set with its note, images, cap on epochs, net
    reason: str = ""  # a remark that the reader of the verdict needs

    n: int = 0  # seeds; of a ratio the smaller group
    values: tuple[float, ...] = ()  # one per seed; of a ratio the numerators
    denominators: tuple[float, ...] = ()  # of a ratio of two independent groups of seeds
    mean: float | None = None  # of a ratio that of the geometric means
    low: float | None = None  # 95% interval; None with one seed
    high: float | None = None
    null: float | None = None  # the value that means no effect
    # the truth is at least (lower) or at most (upper) ``mean``: see ``censored``
    bound: Literal["lower", "upper"] | None = None

    value: float | str | None = None  # A and S: what we found,
    expected: float | str | None = None  # what the paper says,
    holds: bool | None = None  # and whether they agree

    @property
    def censored(self) -> bool:
        """Some seeds never reached the mark within the cap and stand in ``values`` with the cap, so
        that the mean is a bound.
        """
        return self.bound is not None

    @property
    def reach(self) -> tuple[float, float] | None:
        """The interval to judge by; None with one seed. It is open on the side on which a bound
        says nothing.

        Values cut at the cap are at most the true ones, so the lower end of an interval for their
        mean is a lower end for the true mean as well, while its upper end means nothing; and the
        other way round for an upper bound."""
        if self.low is None or self.high is None:
            return None
        return (-math.inf if self.bound == "upper" else self.low), (
            math.inf if self.bound == "lower" else self.high
        )

    @model_validator(mode="after")
    def _consistent(self) -> "Measurement":
        try:
            claim = find_claim(self.claim)
        except InputError as error:
            raise ValueError(str(error)) from error
        if claim.kind == "C":
            raise ValueError(f"{claim.id} is quoted from others (kind C) and is not measured")
        if claim.kind in "AS":
            if self.holds is None or self.value is None or self.expected is None or self.values:
                raise ValueError(
                    f"{claim.id} is of kind {claim.kind}: it takes value, expected and holds, and"
                    " no values"
                )
            return self
        target = claim.target(self.variant)
        if target is None:
            raise ValueError(
                f"{claim.id} has no target for variant {self.variant!r}:"
                f" {', '.join(t.variant for t in claim.targets)}"
            )
        if not self.values or self.holds is not None:
            raise ValueError(
                f"{claim.id} is of kind {claim.kind}: it takes values, one per seed, and no holds"
            )
        if self.null != target.null:
            raise ValueError(f"null is {self.null}, and claims.toml says {target.null}")
        n, interval = _summary(self.values, self.denominators)
        if self.n != n:
            raise ValueError(f"n is {self.n}, and there are values of {n} seeds")
        for name, stored, computed in zip(
            interval._fields, (self.mean, self.low, self.high), interval, strict=True
        ):
            agree = (
                stored is computed
                if None in (stored, computed)
                else math.isclose(stored, computed, rel_tol=1e-11, abs_tol=1e-12)
            )
            if not agree:
                raise ValueError(f"{name} is {stored}, and the values give {computed}")
        return self


def measured(
    claim: str,
    values: Sequence[float],
    *,
    profile: Profile,
    scale: str,
    variant: str = "",
    denominators: Sequence[float] = (),
    bound: Literal["lower", "upper"] | None = None,
    quantity: str | None = None,
    reason: str = "",
) -> Measurement:
    """A measurement of an E or Q claim from one value per seed. Quantity, unit and null are those
    of the claim's target.

    With ``denominators``, ``values`` are the numerators of a ratio of two independent groups of
    seeds; paired seeds (the same draws in both variants) are given as one difference or ratio per
    seed instead. ``bound`` says that some values are the cap of a run that never reached the mark:
    "lower" if the truth is at least this large, "upper" if at most."""
    target = find_claim(claim).target(variant)
    if target is None:
        raise InputError(
            f"claim {claim} has no target for variant {variant!r}; add one to"
            " replication/paper/claims.toml before the run"
        )
    values, denominators = tuple(map(float, values)), tuple(map(float, denominators))
    n, interval = _summary(values, denominators)
    return Measurement(
        claim=claim,
        variant=variant,
        quantity=quantity or target.quantity,
        unit=target.unit,
        profile=profile,
        scale=scale,
        reason=reason,
        n=n,
        values=values,
        denominators=denominators,
        **interval._asdict(),
        null=target.null,
        bound=bound,
    )


def checked(
    claim: str,
    value: float | str,
    expected: float | str,
    holds: bool,
    *,
    profile: Profile,
    scale: str = "exact",
    variant: str = "",
    quantity: str | None = None,
    unit: str = "",
    reason: str = "",
) -> Measurement:
    """A check of an A or S claim: what was found, what the paper says, and whether the statement is
    true.
    """
    return Measurement(
        claim=claim,
        variant=variant,
        quantity=quantity or find_claim(claim).statement,
        unit=unit,
        profile=profile,
        scale=scale,
        reason=reason,
        value=value,
        expected=expected,
        holds=holds,
    )


def write_measurements(
    profile: Profile, experiment: str, measurements: Sequence[Measurement]
) -> Path:
    """Write an experiment's measurements, atomically, to the place where the ledger looks. Returns
    the file.
    """
    path = paths.results() / profile / experiment / FILE
    _check_places(path, measurements)
    files.write_json(path, [measurement.model_dump(mode="json") for measurement in measurements])
    return path


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """The measurements in one file. Raises InputError that names the file and the field where it is
    damaged.
    """
    try:
        entries = files.read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not JSON ({error}); delete it and run its experiment again"
        ) from error
    if not isinstance(entries, list):
        raise InputError(
            f"{path} should hold a list of measurements; delete it and run its experiment again"
        )
    read = []
    for number, entry in enumerate(entries):
        try:
            read.append(Measurement.model_validate(entry))
        except ValidationError as error:
            raise InputError(
                f"{path}, entry {number}: {first_fault(error)}; delete it and run its experiment"
                " again"
            ) from error
    _check_places(path, read)
    return tuple(read)


def all_measurements(profile: Profile) -> dict[str, tuple[Measurement, ...]]:
    """Every measurement at ``profile``, by experiment. Raises InputError if two of them answer the
    same claim and variant.
    """
    found = {
        path.parent.name: read_measurements(path)
        for path in sorted((paths.results() / profile).glob(f"*/{FILE}"))
    }
    seen: dict[tuple[str, str], str] = {}
    for experiment, measurements in found.items():
        for measurement in measurements:
            key = (measurement.claim, measurement.variant)
            if key in seen:
                name = f"{measurement.claim} {measurement.variant}".strip()
                raise InputError(
                    f"{name} is measured twice at {profile}, by {seen[key]} and by {experiment};"
                    f" delete one {FILE}"
                )
            seen[key] = experiment
    return found


def _summary(values: Sequence[float], denominators: Sequence[float]) -> tuple[int, Interval]:
    if denominators:
        return min(len(values), len(denominators)), ratio_interval(values, denominators)
    return len(values), mean_interval(values)


def _check_places(path: Path, measurements: Sequence[Measurement]) -> None:
    for number, measurement in enumerate(measurements):
        if measurement.profile != path.parent.parent.name:
            raise InputError(
                f"{path}, entry {number}: profile is {measurement.profile}, and the folder is"
                " another's; move or delete it"
            )
