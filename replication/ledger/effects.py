"""Every measured effect on one axis, for the figure at the ledger's head.

An effect with a size in the paper is shown over that size: 1 is the paper's, 0 no effect. An effect
without one is shown in half-widths of its own interval: beyond 1 the interval excludes no effect on
the claimed side."""

import math

import pandas as pd

from replication.ledger.chips import CHIPS
from replication.ledger.verdicts import Effect, Row
from replication.paper import Target

OVER_PAPER, HALF_WIDTHS = (
    "our effect divided by the paper's",
    "our effect divided by the half-width of its interval",
)
COLUMNS = ("panel", "label", "value", "low", "high", "verdict", "colour")


def effects(rows: list[Row]) -> pd.DataFrame:
    """Return one row per E or Q claim that was measured and has a side, in the ledger's order.

    Columns panel, label, value, low, high, verdict, colour. An interval end is NaN for one seed,
    and infinite if a bound says nothing about it."""
    records = []
    for row in rows:
        if row.effect is None or row.ours is None:
            continue
        target = row.ours.target
        if target.null is None or target.side is None:
            continue
        panel, numbers = _scaled(row.effect, target)
        if row.ours.bound is not None:  # an effect below no effect is turned over
            open_above = (row.ours.bound == "lower") == (target.side == "above")
            numbers[2 if open_above else 1] = math.inf if open_above else -math.inf
        colour = CHIPS[row.verdict][1]
        records.append((panel, row.id, *numbers, row.verdict, colour))
    return pd.DataFrame(records, columns=list(COLUMNS))


def _size(target: Target) -> float:
    """Return the paper's effect from no effect, 0 if it gives none; of a ratio, its logarithm."""
    if target.value is None or target.null is None:
        return 0.0
    return math.log(target.value) if target.ratio else target.value - target.null


def _scaled(effect: Effect, target: Target) -> tuple[str, list[float]]:
    ends = [math.nan if end is None else end for end in (effect.mean, effect.low, effect.high)]
    away = [
        math.log(end) if target.ratio else end - target.null  # type: ignore[operator]
        for end in ends
    ]
    size = _size(target)
    if size:
        mean, low, high = (value / size for value in away)
        return OVER_PAPER, [mean, min(low, high), max(low, high)]
    sign = 1 if target.side == "above" else -1
    half = (away[2] - away[1]) / 2
    # seeds that agree exactly have no width: the effect is as far out as the axis goes
    unit = half if half > 0 else math.nan if math.isnan(half) else 1e-9
    value = sign * away[0] / unit if not math.isnan(unit) else math.nan
    return HALF_WIDTHS, [value, value - 1, value + 1]
