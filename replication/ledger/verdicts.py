"""The ledger: one row for every claim of the paper, with what the paper says, what we measured, and
the verdict.

The verdicts are six words, and these are their rules. ``null`` is the value that means no effect.

- ``holds``, ``contradicted``: an A or S claim that was checked and is true, or false.
- ``reproduced``: an E or Q claim measured at the paper's own scale, its mean inside the range that
  ``claims.toml`` fixed beforehand. Where that range reaches to ``null``, the interval has to
  exclude ``null`` as well.
- ``direction reproduced``: at any scale, at least three seeds, and the 95% interval excludes
  ``null`` on the claimed side.
- ``contradicted``: the same on the other side.
- ``inconclusive``: everything else that was measured.
- ``not run``: nothing was measured that could answer. So it is for a C claim, which is quoted from
  others by design, and for a number with no ``null`` (an error on ILSVRC, say) when only a smaller
  scale was measured: that is shown, and not compared.

A Q claim carries the verdict of its number. Seeds that never reached a mark make the mean a bound,
which is never ``reproduced``."""

import json
from collections import Counter
from typing import Any, Literal, get_args

from replication.base import paths
from replication.base.errors import InputError, unknown
from replication.base.models import Frozen
from replication.ledger.measurement import PROFILES, Measurement, all_measurements
from replication.paper import Claim, claims

Verdict = Literal[
    "holds", "contradicted", "reproduced", "direction reproduced", "inconclusive", "not run"
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
PUBLISHED = tuple(reversed(PROFILES[1:]))  # quick is a trial of the chain, not a result
MIN_SEEDS = 3  # below, an interval says too little to speak of a direction


class Other(Frozen):
    """Another variant of a row, measured at the same scale."""

    ours: Measurement
    verdict: Verdict
    reason: str


class Row(Frozen):
    """One row of the ledger."""

    id: str
    section: str
    kind: str
    claim: str  # the statement
    paper: str
    log2012: str
    ours: Measurement | None  # the primary variant
    verdict: Verdict
    reason: str
    experiment: str  # "" for C
    # that would measure it, at this scale or at the smallest that can answer; "" for C
    command: str
    others: tuple[Other, ...] = ()


def verdict(claim: Claim, measurement: Measurement | None) -> Verdict:
    """The verdict on ``claim`` that ``measurement`` gives; pure."""
    return judge(claim, measurement)[0]


def judge(claim: Claim, measurement: Measurement | None) -> tuple[Verdict, str]:
    """The verdict and its reason in words; pure."""
    if claim.kind == "C":
        return "not run", "quoted from others; not measured here by design"
    if measurement is None:
        return "not run", "nothing measured at this scale"
    if measurement.claim != claim.id:
        raise ValueError(f"a measurement of {measurement.claim} says nothing about {claim.id}")
    word, why = _check(measurement) if claim.kind in "AS" else _compare(claim, measurement)
    return word, f"{why}; {measurement.reason}" if measurement.reason else why


def _check(measurement: Measurement) -> tuple[Verdict, str]:
    found = f"found {_text(measurement.value)}, the paper says {_text(measurement.expected)}"
    return ("holds" if measurement.holds else "contradicted"), found


def _compare(claim: Claim, measurement: Measurement) -> tuple[Verdict, str]:
    target = claim.target(measurement.variant)
    assert target is not None and measurement.mean is not None  # Measurement refuses anything else
    at_paper_scale = measurement.profile == "paper"
    excluded = _excluded_side(measurement)
    inside = target.accepts(measurement.mean) and not measurement.censored
    open_range = target.null is not None and target.accepts(target.null)
    if at_paper_scale and inside and (not open_range or excluded == target.side):
        return "reproduced", f"inside {range_text(target.low, target.high)}, fixed beforehand"
    if target.null is None:
        if at_paper_scale:
            return (
                "inconclusive",
                f"outside {range_text(target.low, target.high)}, fixed beforehand",
            )
        return (
            "not run",
            "only the paper's own scale can answer; a smaller one is shown, not compared",
        )
    cut = ", a bound" if measurement.censored else ""
    if excluded is None:
        if measurement.n < MIN_SEEDS:
            return (
                "inconclusive",
                (
                    f"{MIN_SEEDS} seeds are needed, and there"
                    f" {'is' if measurement.n == 1 else 'are'} {measurement.n}"
                ),
            )
        return "inconclusive", f"the interval{cut} includes {target.null:g}"
    where = f"the interval{cut} lies {excluded} {target.null:g}"
    if excluded == target.side:
        size = f", but outside {range_text(target.low, target.high)}" if at_paper_scale else ""
        return "direction reproduced", where + size
    return "contradicted", f"{where}, and the paper says {target.side}"


def _excluded_side(measurement: Measurement) -> Literal["above", "below"] | None:
    """The side of ``null`` on which the whole interval lies, with enough seeds to say so."""
    if measurement.reach is None or measurement.null is None or measurement.n < MIN_SEEDS:
        return None
    low, high = measurement.reach
    return "above" if low > measurement.null else "below" if high < measurement.null else None


def ledger(profile: str | None = None) -> list[Row]:
    """One row for every claim, in the paper's order.

    ``profile`` None takes for each claim the largest published scale at which it was measured
    (paper, gpu, laptop; never quick). Raises InputError for an unknown profile or a damaged
    measurement."""
    if profile is not None:
        check_profile(profile)
    scales = PUBLISHED if profile is None else (profile,)
    found = {scale: all_measurements(scale) for scale in scales}
    return [_row(claim, found) for claim in claims()]


def chapter_rows(profile: str) -> list[Row]:
    """The ledger as the claims chapter shows it: the trial runs at ``quick``, and at every other
    profile what is published.
    """
    check_profile(profile)
    return ledger("quick" if profile == "quick" else None)


def check_profile(profile: str) -> None:
    """Raises InputError for an unknown profile."""
    if profile not in PROFILES:
        raise InputError(unknown("profile", profile, PROFILES))


def _row(claim: Claim, found: dict[str, dict[str, tuple[Measurement, ...]]]) -> Row:
    """The row of ``claim``: its primary variant at the first scale that has it, or else whatever
    the first scale has.
    """
    here = {
        scale: {
            m.variant: (m, experiment)
            for experiment, made in by_experiment.items()
            for m in made
            if m.claim == claim.id
        }
        for scale, by_experiment in found.items()
    }
    measured = [scale for scale in here if here[scale]]
    complete = [scale for scale in measured if claim.variant_at(scale) in here[scale]]
    scale = (complete or measured or [None])[0]
    variants = here[scale] if scale else {}
    primary = claim.variant_at(scale) if scale else claim.primary
    ours, made_by = variants.get(primary, (None, claim.experiment or ""))
    word, reason = judge(claim, ours)
    if variants and ours is None:
        reason = f"measured, but not its primary variant, {primary or 'the unnamed one'}"
    at = scale or _profile_to_run(claim, tuple(found))
    if not variants and claim.experiment:
        reason = _what_is_missing(claim, at)
    # what was measured is shown, and cannot answer
    elif word == "not run" and claim.needs_paper_scale:
        at = "paper"
        reason += f"; to answer it needs {claim.needs}" if claim.needs else ""
    return Row(
        id=claim.id,
        section=claim.section,
        kind=claim.kind,
        claim=claim.statement,
        paper=claim.paper,
        log2012=claim.log2012,
        ours=ours,
        verdict=word,
        reason=reason,
        experiment=made_by,
        command=f"replication run {made_by} --profile {at}" if claim.experiment else "",
        others=tuple(
            _other(claim, variants[name][0]) for name in sorted(variants) if name != primary
        ),
    )


def _other(claim: Claim, measurement: Measurement) -> Other:
    word, reason = judge(claim, measurement)
    return Other(ours=measurement, verdict=word, reason=reason)


def _profile_to_run(claim: Claim, scales: tuple[str, ...]) -> str:
    """The scale at which to run a claim that was not: the one asked for, or the smallest published
    one, if that can answer.
    """
    return "paper" if claim.needs_paper_scale else scales[-1]


def _what_is_missing(claim: Claim, profile: str) -> str:
    if not (paths.NOTEBOOKS / f"{claim.experiment}.ipynb").is_file():
        return f"its experiment, {claim.experiment}, is not written yet"
    said = (
        "only the paper's own scale can answer"
        if claim.needs_paper_scale
        else f"nothing measured at the {profile} profile"
    )
    return f"{said}; it needs {claim.needs}" if claim.needs else said


def counts(rows: list[Row]) -> dict[str, int]:
    """How many rows have each verdict, all six words in their order."""
    number = Counter(row.verdict for row in rows)
    return {word: number[word] for word in VERDICTS}


def document(rows: list[Row]) -> dict[str, Any]:
    """The ledger as plain values: ``counts`` by verdict, and ``rows``."""
    return {"counts": counts(rows), "rows": [row.model_dump(mode="json") for row in rows]}


def rows_json(rows: list[Row]) -> str:
    """The ledger as one JSON document."""
    return json.dumps(document(rows), indent=1, ensure_ascii=False, allow_nan=False)


def range_text(low: float | None, high: float | None) -> str:
    """A range in words; None is an open end."""
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def _text(value: float | str | None) -> str:
    return (
        value
        if isinstance(value, str)
        else (
            f"{value:,.6g}" if isinstance(value, float) and value != int(value) else f"{value:,.0f}"
        )
    )
