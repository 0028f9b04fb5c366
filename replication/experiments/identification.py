"""Which net, regime, rate and definition of the error Figure 1 shows.

The answer comes from the distances between our curves and the paper's. A distance is the root mean
square difference over the paper's points, in points of training error, with each epoch's number
drawn at the epoch's end, as in the figure. If a run ended before the paper's curve does, its last
number is used for the rest: the error would have continued to fall away from the paper's, so the
true distance is at least as large.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from replication.base.statistics import difference_spread, interval, mean_interval
from replication.experiments.figure1 import DEFINITIONS, PAIR, RACE, Kind
from replication.paper.figures import measured_part
from replication.runs.store import Run

TOGETHER = "together"


class Arm(NamedTuple):
    """The reporting runs of one candidate on one of the figure's curves."""

    candidate: str
    kind: Kind
    rate: float
    runs: tuple[Run, ...]


def distance(errors: Sequence[float], kind: Kind) -> float:
    """Return the root mean square distance of a curve to the paper's, in points of error.

    ``errors``: one per epoch, fractions.
    """
    paper = measured_part(kind)
    ours = np.interp(
        paper["epoch"], np.arange(1, len(errors) + 1), errors
    )  # constant beyond the last epoch
    return 100 * float(np.sqrt(np.mean((ours - paper["error"]) ** 2)))


def distances(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return one row per arm, definition and seed, with the distance to the paper's curve.

    Columns: candidate, kind, rate, definition, seed, distance.
    """
    return pd.DataFrame(
        [
            {
                "candidate": arm.candidate,
                "kind": arm.kind,
                "rate": arm.rate,
                "definition": definition,
                "seed": run.task.recipe.seed,
                "distance": distance(run.history[definition].tolist(), arm.kind),
            }
            for arm in arms
            if arm.kind in PAIR
            for run in arm.runs
            for definition in DEFINITIONS
            if len(run.history)
        ],
        columns=["candidate", "kind", "rate", "definition", "seed", "distance"],
    )


def together(rows: pd.DataFrame) -> pd.Series:
    """Return the distance to both curves, with equal weights.

    One per candidate, definition and seed. ``rows``: from ``distances``. A candidate that differs
    from the race on one curve only takes the other from the race.
    """
    by_kind = rows.pivot_table(
        index=["candidate", "definition", "seed"],
        columns="kind",
        values="distance",
        aggfunc="first",
    )
    by_kind = by_kind.reindex(columns=list(PAIR))
    if RACE.name in by_kind.index.get_level_values("candidate"):
        race = (
            by_kind.loc[RACE.name]
            .reindex(by_kind.index.droplevel("candidate"))
            .set_axis(by_kind.index)
        )
        by_kind = by_kind.fillna(race)
    return ((by_kind**2).sum(axis=1, skipna=False) / len(PAIR)).dropna() ** 0.5


def table(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return mean distance, interval, n and verdict per candidate, curve and definition.

    The interval is over seeds. The curve is "relu", "tanh" or "together". ``verdict``: "nearest";
    "not told apart" if the interval of the difference from the nearest reaches 0; "excluded"; "" if
    one seed gives no interval. It compares the rows of one curve.
    """
    measured = distances(arms)
    groups = {
        (candidate, kind, f"{rate:g}", definition): rows["distance"].tolist()
        for (candidate, kind, rate, definition), rows in measured.groupby(
            ["candidate", "kind", "rate", "definition"], sort=False
        )
    }
    for (candidate, definition), values in together(measured).groupby(
        level=["candidate", "definition"], sort=False
    ):
        groups[candidate, TOGETHER, "", definition] = values.tolist()
    rows = []
    for (candidate, kind, rate, definition), values in groups.items():
        distance_of = mean_interval(values)
        nearest = min((other for key, other in groups.items() if key[1] == kind), key=np.mean)
        rows.append(
            {
                "candidate": candidate,
                "curve": kind,
                "rate": rate,
                "definition": definition,
                "n": len(values),
                **distance_of._asdict(),
                "verdict": "nearest" if values is nearest else _verdict(values, nearest),
            }
        )
    frame = pd.DataFrame(rows)
    return frame.sort_values(["curve", "mean"], ignore_index=True) if len(frame) else frame


def _verdict(values: Sequence[float], nearest: Sequence[float]) -> str:
    """Test whether distances are above the nearest's by more than chance allows (Welch)."""
    if min(len(values), len(nearest)) < 2:
        return ""
    low = interval(difference_spread(values, nearest)).low
    return "excluded" if low is not None and low > 0 else "not told apart"
