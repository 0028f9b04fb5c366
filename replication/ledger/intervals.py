"""The two intervals of a comparison in a family, side by side: a verdict needs both.

One takes one spread for all variants (Dunnett), the other a spread for each (Tamhane's T2). Both
are simultaneous."""

from typing import NamedTuple

from replication.base.statistics import Interval, widened
from replication.ledger.record import Measurement
from replication.ledger.rules import Side, side_of
from replication.ledger.verdicts import Row

Ends = tuple[float, float]


class Compared(NamedTuple):
    """One comparison by both intervals, each as far as that over images if there is one."""

    claim: str
    ours: Measurement
    primary: bool  # whether it decides its row
    pooled: Ends  # with one spread for all variants
    separate: Ends  # with a spread for each
    sides: tuple[Side | None, Side | None]  # of no effect on which they are


def compared(rows: list[Row]) -> list[Compared]:
    """Return every comparison of a variant with the baseline of several variants, by both.

    Left out is a bound, whose interval is open, and what was measured before its row was changed.
    """
    found = []
    for row in rows:
        for ours in filter(None, (row.ours, *(other.ours for other in row.others))):
            if ours.outdated or ours.censored or ours.null is None:
                continue
            if ours.family is None or ours.family.variants < 2:
                continue
            pooled, separate = _ends(ours, ours.estimate), _ends(ours, ours.separate)
            if pooled is not None and separate is not None:
                sides = side_of(pooled, ours.null), side_of(separate, ours.null)
                found.append(Compared(row.id, ours, ours is row.ours, pooled, separate, sides))
    return found


def _ends(measurement: Measurement, bounds: Interval) -> Ends | None:
    if (images := measurement.over_images) is not None:
        bounds = widened(bounds, Interval(bounds.mean, images.low, images.high))
    _, low, high = bounds
    return None if low is None or high is None else (low, high)
