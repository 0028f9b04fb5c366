"""Another kind of interval beside the ledger's: one spread for each variant, and simultaneous.

Tamhane's T2 (1977): Welch's interval of a variant and its baseline, at the level at which
independent intervals hold together 95% of the time (Šidák). It needs no common spread, and is wide,
because a spread from five seeds is uncertain. No verdict is decided by these intervals. They show
whether a verdict depends on the assumption that all variants of a family vary alike."""

from typing import NamedTuple

from scipy.special import stdtrit

from replication.base.statistics import CONFIDENCE, Interval, exponential, interval, widened
from replication.ledger.record import Measurement
from replication.ledger.rules import Side, side_of
from replication.ledger.verdicts import Row


class Compared(NamedTuple):
    """One measurement of a family, by both kinds of interval."""

    claim: str
    ours: Measurement
    primary: bool  # whether it decides its row
    ends: tuple[float, float]  # of the interval with one spread for each variant
    side: Side | None  # of no effect on which the ledger's interval is
    separate_side: Side | None  # of no effect on which ``ends`` is


def tail(comparisons: int) -> float:
    """Return the quantile of the upper end of one of so many intervals that hold together."""
    return (1 + CONFIDENCE ** (1 / comparisons)) / 2


def ends(measurement: Measurement) -> tuple[float, float] | None:
    """Return the ends of the interval with one spread for each variant.

    None unless the measurement belongs to a family of several variants, and has seeds that vary. It
    reaches as far as the interval over images, if there is one, as the ledger's does."""
    family = measurement.family
    if family is None or len(family.groups) < 3:
        return None
    spread = measurement.own_spread
    if not spread.error > 0:
        return None
    bounds = interval(spread, float(stdtrit(spread.freedom, tail(len(family.groups) - 1))))
    bounds = exponential(bounds) if measurement.target.ratio else bounds
    if (images := measurement.over_images) is not None:
        bounds = widened(bounds, Interval(bounds.mean, images.low, images.high))
    _, low, high = bounds
    return None if low is None or high is None else (low, high)


def compared(rows: list[Row]) -> list[Compared]:
    """Return every measured comparison of a variant with its family's baseline, both ways.

    Left out is a bound, whose interval is open, and what was measured before its row was changed.
    """
    found = []
    for row in rows:
        for ours in filter(None, (row.ours, *(other.ours for other in row.others))):
            if ours.outdated or ours.censored or ours.null is None or ours.reach is None:
                continue
            if (separate := ends(ours)) is not None:
                sides = side_of(ours.reach, ours.null), side_of(separate, ours.null)
                found.append(Compared(row.id, ours, ours is row.ours, separate, *sides))
    return found
