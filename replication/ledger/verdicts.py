"""The ledger: one row for every claim of the paper, with its measurement and verdict.

A row has what the paper says, what was measured here, and the verdict by the rules of
``ledger.rules``.
"""

import json
import re
from collections import Counter
from typing import Any

from replication.base import paths
from replication.base.errors import InputError, unknown
from replication.base.models import Frozen
from replication.base.types import PROFILES, Profile
from replication.ledger.measurement import Measurement, all_measurements
from replication.ledger.rules import VERDICTS, Verdict, could_fail, judge
from replication.paper import Change, Claim, claims

__all__ = [
    "VERDICTS",
    "Effect",
    "Other",
    "Row",
    "Verdict",
    "chapter_rows",
    "counts",
    "document",
    "ledger",
    "rows_json",
    "scales",
]
PUBLISHED = tuple(reversed(PROFILES[1:]))  # quick is a trial of the chain, not a result


class Effect(Frozen):
    """What the verdict is judged by: the measurement by today's rules."""

    n: int
    mean: float
    # 95% interval over seeds, ``Measurement.over_seeds``; that over images too has to agree
    low: float | None
    high: float | None
    # smallest effect that the intervals find with 80% power, from no effect; of a ratio a factor
    detectable: float | None
    paper_scale: bool
    shortfalls: tuple[str, ...]  # what keeps it from the paper's own scale


class Other(Frozen):
    """Another variant of a row, measured at the same scale."""

    ours: Measurement
    effect: Effect | None
    verdict: Verdict
    reason: str


class Row(Frozen):
    """One row of the ledger."""

    id: str
    section: str
    kind: str
    claim: str  # the statement
    quantity: str  # what is measured; "" for A, S and C
    paper: str
    log2012: str
    ours: Measurement | None  # the primary variant
    effect: Effect | None  # of an E or Q claim that was measured
    verdict: Verdict
    reason: str
    could_fail: bool  # whether what was measured could have come out against the paper
    changes: tuple[Change, ...]  # how the row was changed since its first entry
    experiment: str  # "" for C
    # that would measure it, at this scale or at the smallest that can answer; "" for C
    command: str
    others: tuple[Other, ...] = ()


def ledger(profile: str | None = None) -> list[Row]:
    """Return one row for every claim, in the paper's order.

    ``profile`` None takes for each claim the largest published scale at which it was measured
    (paper, gpu, laptop; never quick). Raises InputError for an unknown profile or a damaged
    measurement."""
    if profile is not None:
        check_profile(profile)
    scales = PUBLISHED if profile is None else (profile,)
    by_scale = {scale: all_measurements(scale) for scale in scales}
    return [_row(claim, by_scale) for claim in claims()]


def chapter_rows(profile: str) -> list[Row]:
    """Return the ledger as the claims chapter shows it.

    At ``quick`` these are the trial runs, at every other profile the published results.
    """
    check_profile(profile)
    return ledger("quick" if profile == "quick" else None)


def scales(profile: str) -> tuple[Profile, ...]:
    """Return the scales whose results a page shows, in this order.

    At ``quick`` these are the trial runs only, at every other profile what is published, from the
    largest scale down. Raises InputError for an unknown profile."""
    check_profile(profile)
    return ("quick",) if profile == "quick" else PUBLISHED


def check_profile(profile: str) -> None:
    """Raise InputError for an unknown profile."""
    if profile not in PROFILES:
        raise InputError(unknown("profile", profile, PROFILES))


def effect(measurement: Measurement | None) -> Effect | None:
    """Return what the verdict on an E or Q claim is judged by; None for other measurements."""
    if measurement is None or measurement.mean is None or measurement.outdated:
        return None
    shortfalls = measurement.shortfalls
    return Effect(
        n=measurement.n,
        **measurement.over_seeds._asdict(),
        detectable=measurement.detectable,
        paper_scale=not shortfalls,
        shortfalls=shortfalls,
    )


def _row(claim: Claim, by_scale: dict[str, dict[str, tuple[Measurement, ...]]]) -> Row:
    """Return the row of ``claim``: its primary variant at the first scale that has it.

    If no scale has it, the first scale's other measurements are used.
    """
    here = {
        scale: {
            m.variant: (m, experiment)
            for experiment, measurements in by_experiment.items()
            for m in measurements
            if m.claim == claim.id
        }
        for scale, by_experiment in by_scale.items()
    }
    measured = [scale for scale in here if here[scale]]
    complete = [scale for scale in measured if claim.variant_at(scale) in here[scale]]
    scale = next(iter(complete or measured), None)
    variants = here[scale] if scale else {}
    primary = claim.variant_at(scale) if scale else claim.primary
    ours, source = variants.get(primary, (None, claim.experiment or ""))
    word, reason = judge(claim, ours)
    if variants and ours is None:
        reason = f"measured, but without its primary variant, {primary or 'the unnamed one'}"
    at = scale or _profile_to_run(claim, tuple(by_scale))
    if not variants and claim.experiment:
        reason = _what_is_missing(claim, at)
    # what was measured is shown, and cannot answer
    elif word == "not run" and claim.needs_paper_scale:
        at = "paper"
        reason += f"; that scale needs {claim.needs}" if claim.needs else ""
    target = claim.target(primary)
    return Row(
        id=claim.id,
        section=claim.section,
        kind=claim.kind,
        claim=claim.statement,
        quantity=target.quantity if target else "",
        paper=claim.paper,
        log2012=claim.log2012,
        ours=ours,
        effect=effect(ours),
        verdict=word,
        reason=reason,
        could_fail=could_fail(claim, ours),
        changes=claim.changes,
        experiment=source,
        command=f"replication run {source} --profile {at}" if claim.experiment else "",
        others=tuple(
            _other(claim, variants[name][0])
            for name in sorted(variants, key=by_number)
            if name != primary
        ),
    )


def by_number(name: str) -> list[tuple[int, str]]:
    """Return the key that sorts "16 bits" before "128 bits"."""
    return [(int(part or 0), text) for part, text in re.findall(r"(\d*)(\D*)", name)]


def _other(claim: Claim, measurement: Measurement) -> Other:
    word, reason = judge(claim, measurement)
    return Other(ours=measurement, effect=effect(measurement), verdict=word, reason=reason)


def _profile_to_run(claim: Claim, scales: tuple[str, ...]) -> str:
    """Return the scale at which to run a claim that was not run.

    It is the given one, or the smallest published one, if that can answer: one that needs GPUs is
    run at ``gpu``.
    """
    if claim.needs_paper_scale:
        return "paper"
    return "gpu" if "GPU" in claim.needs and "gpu" in scales else scales[-1]


def _what_is_missing(claim: Claim, profile: str) -> str:
    if not (paths.NOTEBOOKS / f"{claim.experiment}.ipynb").is_file():
        return f"its experiment, {claim.experiment}, is not written yet"
    why = (
        "only the paper's own scale can answer"
        if claim.needs_paper_scale
        else f"nothing was measured at the {profile} profile"
    )
    return f"{why}; it needs {claim.needs}" if claim.needs else why


def counts(rows: list[Row]) -> dict[str, int]:
    """Return how many rows have each verdict, all words in their order."""
    number = Counter(row.verdict for row in rows)
    return {word: number[word] for word in VERDICTS}


def document(rows: list[Row]) -> dict[str, Any]:
    """Return the ledger as plain values: counts by verdict, rows that could have failed, rows."""
    return {
        "counts": counts(rows),
        "could_fail": sum(row.could_fail for row in rows),
        "rows": [row.model_dump(mode="json") for row in rows],
    }


def rows_json(rows: list[Row]) -> str:
    """Return the ledger as one JSON document."""
    return json.dumps(document(rows), indent=1, allow_nan=False)
