"""The rules of the verdicts: a pure function of a claim and a measurement.

``null`` is the value that means no effect. "The interval" is the simultaneous one if the
measurement belongs to a family; the one by the spreads of its own two groups, which is simultaneous
too, then counts as well, and so does that over images, if there is one: a verdict on a side needs
all of them. "The paper's own scale" is a property of what was run (``ledger.scale``).

- ``holds``, ``contradicted``: an A or S claim that is true, or false; ``inconclusive`` if what is
  known of the paper's net does not decide it. ``contradicted`` also for an E or Q claim at the
  paper's own scale whose interval is on the other side of ``null``.
- ``reproduced``: at the paper's own scale, three seeds or more, the interval excludes ``null`` on
  the claimed side, and the mean is inside the range of ``claims.toml``. A number without ``null``
  has no side; its interval over seeds must be no wider than the range.
- ``direction reproduced, other size``: at the paper's own scale, on the claimed side, the interval
  wholly outside that range.
- ``direction reproduced``: at a reduced scale, on the claimed side, the interval excludes ``null``,
  over five seeds or more (three above ``laptop``).
- ``reversed here``: the same on the other side. It says nothing yet about the paper's scale.
- ``inconclusive``: everything else that was measured.
- ``trial``: measured on synthetic images, which show that the chain works and nothing else.
- ``not run``: nothing was measured that could answer. C claims are quoted from others by design; a
  number without ``null`` (an error on ILSVRC, say) is shown at a smaller scale, and not compared.

"More than chance" is a question about the runs that there are. If a permutation test of all of them
answers it, its p decides in place of the interval: below 5%, and with the mean on the claimed side,
the effect is there, in some of the runs at least.

A Q claim has the verdict of its number. A difference without its sign is never ``reversed here``:
if it is less than chance makes it, that says nothing. Seeds that never reached a target error make
the mean a bound, which is never ``reproduced``."""

import math
from typing import Literal, get_args

from replication.ledger.record import Measurement
from replication.ledger.units import factor_and_unit, p_text, unit_of_differences, with_unit
from replication.paper import Claim, Target

Verdict = Literal[
    "holds",
    "reproduced",
    "direction reproduced, other size",
    "direction reproduced",
    "inconclusive",
    "reversed here",
    "contradicted",
    "trial",
    "not run",
]
Side = Literal["above", "below"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
ALPHA = 0.05  # of a test; the intervals are of 95%
# seeds of every group without which there is no direction; at the paper's own scale three as well
MIN_SEEDS = {"quick": 5, "laptop": 5, "gpu": 3, "paper": 3}


def judge(claim: Claim, measurement: Measurement | None) -> tuple[Verdict, str]:
    """Return the verdict and its reason as text.

    Raises ValueError for another claim's measurement.
    """
    if claim.kind == "C":
        return "not run", "quoted from others; not measured here by design"
    if measurement is None:
        return "not run", "nothing was measured at this scale"
    if measurement.claim != claim.id:
        raise ValueError(f"a measurement of {measurement.claim} says nothing about {claim.id}")
    if measurement.outdated:
        return "not run", f"measured before the row was changed, as: {measurement.quantity}"
    word, why = _check(measurement) if claim.kind in "AS" else _compare(claim, measurement)
    return word, f"{why}; {measurement.reason}" if measurement.reason else why


def could_fail(claim: Claim, measurement: Measurement | None) -> bool:
    """Return whether this measurement could have come out against the paper.

    An A or S check unless ``claims.toml`` says why not; an E or Q number if it has seeds enough for
    a verdict and a side, or a range at the paper's own scale. The size of a difference without its
    sign cannot."""
    if measurement is None or claim.kind == "C" or measurement.outdated:
        return False
    if claim.kind in "AS":
        return not claim.cannot_fail
    if measurement.synthetic:
        return False
    target = measurement.target
    enough = measurement.n >= MIN_SEEDS[measurement.profile] and not target.unsigned
    return enough and (target.null is not None or not measurement.shortfalls)


def _check(measurement: Measurement) -> tuple[Verdict, str]:
    comparison = f"found {_text(measurement.value)}; the paper says {_text(measurement.expected)}"
    if measurement.holds is None:
        return "inconclusive", f"{comparison}; what is known does not decide it"
    return ("holds" if measurement.holds else "contradicted"), comparison


def _compare(claim: Claim, measurement: Measurement) -> tuple[Verdict, str]:
    if measurement.synthetic:
        return "trial", "synthetic images: a trial of the code, which says nothing about the paper"
    target = measurement.target
    needed = MIN_SEEDS[measurement.profile]
    if target.null is None and measurement.shortfalls:
        return (
            "not run",
            "only the paper's own scale can answer; a number at a smaller scale is shown, but not"
            " compared",
        )
    if measurement.n < needed:
        return "inconclusive", f"{needed} seeds are needed, and {measurement.n} measured so far"
    if not measurement.shortfalls:
        return _at_paper_scale(target, measurement)
    side = excluded_side(measurement)
    if side is None:
        return "inconclusive", _includes(measurement)
    where = _where(measurement, side)
    if side == target.side:
        return "direction reproduced", where
    return (
        "reversed here",
        (
            f"{where}, whereas the paper says {target.side}; this does not contradict the paper,"
            f" because the scale is smaller ({'; '.join(measurement.shortfalls)})"
        ),
    )


def _at_paper_scale(target: Target, measurement: Measurement) -> tuple[Verdict, str]:
    wanted = _range(measurement)
    mean, low, high = measurement.estimate
    inside = target.accepts(mean) and not measurement.censored
    side = excluded_side(measurement)
    if target.null is None:
        return _number(target, measurement, inside)
    if side is None:
        why = _includes(measurement)
        return "inconclusive", f"{why}, and is outside {wanted}" if is_small(measurement) else why
    where = _where(measurement, side)
    if side != target.side:
        return "contradicted", f"{where}, whereas the paper says {target.side}"
    if inside:
        return "reproduced", f"{where}, and the mean is inside {wanted}"
    if _side_of_range(measurement):
        return "direction reproduced, other size", f"{where}, and outside {wanted}"
    return "inconclusive", f"{where}, but it is open whether the size is inside {wanted}"


def _number(target: Target, measurement: Measurement, inside: bool) -> tuple[Verdict, str]:
    """Judge a number that has a range and no side, such as an error.

    The paper's is of the same test images, so the width that counts is that over seeds."""
    wanted = _range(measurement)
    _, *ends = measurement.estimate
    if inside and _width(*ends) <= _width(target.low, target.high):
        return "reproduced", f"the mean is inside {wanted}"
    if inside:
        return "inconclusive", f"the mean is inside {wanted}, and the interval is wider than that"
    if side := _side_of_range(measurement):
        return "inconclusive", f"the interval is {side} {wanted}"
    return "inconclusive", f"the mean is outside {wanted}, but the interval reaches into it"


def excluded_side(measurement: Measurement) -> Side | None:
    """Return the side of ``null`` on which the whole interval is, or None.

    The size of a difference without its sign can only be on the claimed side: a size below that of
    chance is not an effect in the other direction."""
    if measurement.p is not None:
        beyond = _mean_side(measurement) == measurement.target.side
        return measurement.target.side if measurement.p < ALPHA and beyond else None
    if measurement.reach is None or measurement.null is None:
        return None
    side = side_of(measurement.reach, measurement.null)
    target = measurement.target
    return None if target.unsigned and side != target.side else side


def side_of(ends: tuple[float, float], null: float) -> Side | None:
    """Return the side of ``null`` on which an interval with these ends is; None if it has it."""
    low, high = ends
    return "above" if low > null else "below" if high < null else None


def is_small(measurement: Measurement) -> bool:
    """Return whether an effect of the paper's size is excluded, because ours is smaller.

    This needs a run at the paper's own scale, because a smaller scale says nothing about the size
    there, and a claim for which the paper gives a size. It is false for a check, and if the effect
    is reversed."""
    if measurement.mean is None or measurement.null is None:
        return False
    target = measurement.target
    if (
        target.value is None
        or target.unsigned
        or measurement.shortfalls
        or measurement.censored
        or measurement.n < MIN_SEEDS[measurement.profile]
        or excluded_side(measurement) not in (None, target.side)
    ):
        return False
    return _side_of_range(measurement) == ("below" if target.side == "above" else "above")


def _side_of_range(measurement: Measurement) -> Side | None:
    """Return the side of the range of ``reproduced`` on which the whole interval is, or None."""
    if measurement.reach is None:
        return None
    (low, high), target = measurement.reach, measurement.target
    if target.high is not None and low > target.high:
        return "above"
    return "below" if target.low is not None and high < target.low else None


def _width(low: float | None, high: float | None) -> float:
    return math.inf if low is None or high is None else high - low


def _range(measurement: Measurement) -> str:
    """Return the range of ``reproduced`` as text, in the unit of the number beside it."""
    factor, unit = factor_and_unit(measurement)
    target = measurement.target
    ends = (None if end is None else factor * end for end in (target.low, target.high))
    return f"the range ({range_text(*ends)}{'%' if unit == '%' else ''})"


def range_text(low: float | None, high: float | None) -> str:
    """Return a range as text; None is an open end."""
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def detectable_text(measurement: Measurement) -> str:
    """Return the smallest detectable effect as text; "" for one seed or a bound.

    It is the distance from no effect that the interval excludes with 80% power."""
    detectable = measurement.detectable
    if detectable is None or measurement.null is None or measurement.censored:
        return ""
    if measurement.target.ratio:
        return f"a factor of {detectable:.3g}"
    factor, unit = factor_and_unit(measurement)
    return with_unit(f"{factor * detectable:.2g}", unit_of_differences(unit))


def _where(measurement: Measurement, side: Side) -> str:
    if measurement.p is not None:
        return f"the test of all runs together has {p_text(measurement)}"
    return f"the interval{_cut(measurement)} is {side} {_null(measurement)}"


def _null(measurement: Measurement) -> str:
    """Return the value of no effect as the number beside it is printed: a fraction in per cent."""
    factor, unit = factor_and_unit(measurement)
    return f"{factor * (measurement.null or 0.0):g}{unit if unit == '%' else ''}"


def _mean_side(measurement: Measurement) -> Side | None:
    mean, null = measurement.estimate.mean, measurement.null
    return None if null is None or mean == null else "above" if mean > null else "below"


def _includes(measurement: Measurement) -> str:
    if measurement.p is not None:
        but = f", but their mean is not {measurement.target.side} {_null(measurement)}"
        small = measurement.p < ALPHA
        return _where(measurement, "above") + (but if small else "")
    low, high = measurement.reach or (-math.inf, math.inf)
    if measurement.null is not None and not low <= measurement.null <= high:
        return f"the difference is smaller than chance alone would make it ({_null(measurement)})"
    return f"the interval{_which(measurement)} includes {_null(measurement)}"


def _which(measurement: Measurement) -> str:
    """Return which interval includes ``null``, as text: that over seeds if only that does."""
    null, images = measurement.null, measurement.over_images
    if measurement.censored or images is None or null is None:
        return _cut(measurement)
    return _cut(measurement) if images.low <= null <= images.high else " over seeds"


def _cut(measurement: Measurement) -> str:
    if measurement.censored:
        return ", which is a bound,"
    return " over seeds and images" if measurement.over_images is not None else ""


def _text(value: float | str | None) -> str:
    if isinstance(value, str):
        return value
    whole = not isinstance(value, float) or value == int(value)
    return f"{value:,.0f}" if whole else f"{value:,.6g}"
