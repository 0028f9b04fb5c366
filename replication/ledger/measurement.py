"""What an experiment reports about a claim.

This is the contract between ``experiments/`` and the ledger.
An experiment builds its measurements with ``measured`` (E and Q claims: one value per seed) or
``checked`` (A and S claims) and writes them with ``write_measurements`` to
``results/<profile>/<experiment>/measurements.json``. Mean and interval are functions of the values,
and reading computes them again: a file in which one of them was edited by hand is refused."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from replication.base import files, paths
from replication.base.errors import InputError
from replication.base.models import first_fault
from replication.base.types import Profile
from replication.ledger.families import Family
from replication.ledger.record import ImageNoise, Measurement
from replication.ledger.scale import Ran
from replication.paper import claim as find_claim
from replication.paper import claims

__all__ = [
    "FILE",
    "ImageNoise",
    "Measurement",
    "all_measurements",
    "checked",
    "lowest",
    "measured",
    "read_measurements",
    "write_measurements",
]
FILE = paths.MEASUREMENTS


def measured(
    claim: str,
    values: Sequence[float],
    *,
    profile: Profile,
    scale: str,
    variant: str = "",
    denominators: Sequence[float] = (),
    subtracted: Sequence[float] = (),
    family: Family | None = None,
    member: str = "",
    comparisons: int = 1,
    over_images: ImageNoise | None = None,
    p: float | None = None,
    bound: Literal["lower", "upper"] | None = None,
    quantity: str | None = None,
    reason: str = "",
    ran: Ran | None = None,
) -> Measurement:
    """Build a measurement of an E or Q claim from one value per seed.

    Quantity, unit and null are those of the claim's target. With ``denominators`` (of a ratio) or
    ``subtracted`` (of a difference) two independent groups of seeds are compared, by the linear
    model of ``family`` if ``member`` is one of its variants. Otherwise each value is the number
    itself, such as a difference within one net. ``comparisons``: it is one of so many, for
    ``lowest`` to choose from. ``p``: of a permutation test of all runs together, which decides in
    place of the interval. ``bound`` says that some values are the cap of a run that never reached
    the target error: "lower" if the truth is at least this large, "upper" if at most. ``ran``
    describes a run, so that the scale can be judged. Raises InputError for a variant without a
    target, ValueError for values that cannot be judged."""
    target = find_claim(claim).target(variant)
    if target is None:
        raise InputError(
            f"claim {claim} has no target for variant {variant!r}; add one to"
            " replication/paper/claims.toml before the run"
        )
    groups = {
        "values": tuple(map(float, values)),
        "denominators": tuple(map(float, denominators)),
        "subtracted": tuple(map(float, subtracted)),
    }
    unfinished = Measurement.model_construct(
        claim=claim,
        variant=variant,
        family=family,
        member=member,
        comparisons=comparisons,
        **groups,
    )
    return Measurement(
        claim=claim,
        variant=variant,
        quantity=quantity or target.quantity,
        unit=target.unit,
        profile=profile,
        scale=scale,
        ran=ran,
        reason=reason,
        rules=2,
        n=min(map(len, filter(None, groups.values())), default=0),
        **groups,
        family=family,
        member=member,
        comparisons=comparisons,
        **unfinished.estimate._asdict(),
        over_images=over_images,
        p=p,
        null=target.null,
        bound=bound,
    )


def lowest(several: Sequence[Measurement]) -> Measurement:
    """Return the measurement that decides whether all of ``several`` are above ``null``.

    If the interval of one is wholly below, that one; otherwise the one whose interval reaches
    lowest: if it is above ``null``, so are all. The lowest mean would not do: another one may be
    less certain to be above. ``several``: each measured with as many ``comparisons`` as there are.
    One without an interval reaches lowest."""

    def reaches(one: Measurement) -> tuple[bool, float, float]:
        low, high = (-math.inf, math.inf) if one.reach is None else one.reach
        below = one.null is not None and high < one.null
        return not below, low, one.estimate.mean

    return min(several, key=reaches)


def checked(
    claim: str,
    value: float | str,
    expected: float | str,
    holds: bool | None,
    *,
    profile: Profile,
    scale: str = "exact",
    variant: str = "",
    quantity: str | None = None,
    unit: str = "",
    reason: str = "",
) -> Measurement:
    """Build a check of an A or S claim: the count, the paper's value, and whether they agree.

    ``holds`` None: what is known does not decide it."""
    return Measurement(
        claim=claim,
        variant=variant,
        quantity=quantity or find_claim(claim).statement,
        unit=unit,
        profile=profile,
        scale=scale,
        reason=reason,
        rules=2,
        value=value,
        expected=expected,
        holds=holds,
    )


def write_measurements(
    profile: Profile, experiment: str, measurements: Sequence[Measurement]
) -> Path:
    """Write an experiment's measurements, atomically, where the ledger looks; return the file."""
    path = paths.experiment(profile, experiment) / FILE
    _check_places(path, measurements)
    files.write_json(path, [measurement.model_dump(mode="json") for measurement in measurements])
    return path


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """Return the measurements in one file.

    Raises InputError that names the file and the field at fault."""
    claims()  # so that a damaged claims.toml is not taken for a fault of this file
    try:
        entries = files.read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not JSON ({error}); delete it and run its experiment again"
        ) from error
    if not isinstance(entries, list):
        raise InputError(
            f"{path} should be a list of measurements; delete it and run its experiment again"
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
    """Return every measurement at ``profile``, by experiment.

    Raises InputError if two of them answer the same claim and variant."""
    by_experiment = {
        path.parent.name: read_measurements(path)
        for path in sorted((paths.results() / profile).glob(f"*/{FILE}"))
    }
    seen: dict[tuple[str, str], Path] = {}
    for experiment, measurements in by_experiment.items():
        path = paths.results() / profile / experiment / FILE
        for measurement in measurements:
            key = (measurement.claim, measurement.variant)
            if key in seen:
                name = f"{measurement.claim} {measurement.variant}".strip()
                raise InputError(
                    f"{name} is measured twice at {profile}, in {seen[key]} and in {path}; delete"
                    " the one that is out of date"
                )
            seen[key] = path
    return by_experiment


def _check_places(path: Path, measurements: Sequence[Measurement]) -> None:
    for number, measurement in enumerate(measurements):
        if measurement.profile != path.parent.parent.name:
            raise InputError(
                f"{path}, entry {number}: profile is {measurement.profile}, and the folder is"
                " another's; move or delete it"
            )
