"""Which net, regime, rate and definition of the error Figure 1 shows.

The answer comes from the distances between our curves and the paper's. A distance is the root mean
square difference over the paper's points, in points of training error, with each epoch's number
drawn at the epoch's end, as in the figure. If a run ended before the paper's curve does, its last
number is used for the rest: the error would have continued to fall away from the paper's, so the
true distance is at least as large.

The paper's curve is one run, and a definition that averages over more of an epoch varies less from
seed to seed. So a candidate that is right still has a distance: that of its own runs from one
another (``seeds_apart``).
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from replication.base.statistics import difference_spread, interval, mean_interval
from replication.experiments.candidates import CANDIDATES, PAIR, RACE, Kind
from replication.experiments.figure1 import DEFINITIONS, FIRST_FIFTH, READINGS
from replication.ledger.families import bonferroni
from replication.paper.figures import measured_part
from replication.runs.store import Run

TOGETHER = "together"
BESIDE = "neighbouring rate"
START, END = 0.0, 1.0  # of an epoch, where its number may be drawn
COLUMNS = (
    "candidate",
    "curve",
    "rate",
    "definition",
    "n",
    "mean",
    "low",
    "high",
    "seeds_apart",
    "verdict",
    "selection",
)


class Arm(NamedTuple):
    """The runs of one candidate on one curve: its reporting seeds."""

    candidate: str
    kind: Kind
    rate: float
    runs: tuple[Run, ...]
    selection: bool = False  # no reporting seed yet: the run that the rate was chosen by
    readings: tuple[str, ...] = tuple(READINGS)  # by which it is compared, if its runs have them


def beside(kind: Kind, rate: float) -> str:
    """Return the name of the race's net at a rate beside the chosen one of a curve.

    The name includes the curve, because a rate can be beside the chosen rates of both curves."""
    return f"{BESIDE} {rate:g} of {kind}"


def errors_of(run: Run, reading: str) -> list[float]:
    """Return a run's errors by a meaning of training error, fractions; [] if it lacks one.

    The first is that of epoch ``first_epoch(reading)``, and one follows for each epoch."""
    if reading not in run.history or run.history[reading].isna().any():
        return []
    return run.history[reading].tolist()


def first_epoch(reading: str) -> float:
    """Return the epoch at which the first error of a run is drawn, as the figure would have it."""
    return START if reading == FIRST_FIFTH else END


def distance(errors: Sequence[float], kind: Kind, first: float = END) -> float:
    """Return the root mean square distance of a curve to the paper's, in points of error.

    ``errors``: one per epoch from epoch ``first`` on, fractions.
    """
    ours = _at_the_papers(errors, kind, first)
    return _points_apart(ours, measured_part(kind)["error"].to_numpy())


def seeds_apart(curves: Sequence[Sequence[float]], kind: Kind, first: float = END) -> float | None:
    """Return the distance of two runs of one candidate, the mean over all pairs of its runs.

    At the paper's points, like ``distance``. None for fewer than two runs."""
    drawn = [_at_the_papers(errors, kind, first) for errors in curves]
    pairs = [_points_apart(one, other) for one, other in itertools.combinations(drawn, 2)]
    return float(np.mean(pairs)) if pairs else None


def _at_the_papers(errors: Sequence[float], kind: Kind, first: float) -> np.ndarray:
    """Return a curve at the epochs of the paper's points; constant beyond its first and last."""
    return np.interp(measured_part(kind)["epoch"], first + np.arange(len(errors)), errors)


def _points_apart(one: np.ndarray, other: np.ndarray) -> float:
    return 100 * float(np.sqrt(np.mean((one - other) ** 2)))


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
                "distance": distance(errors, arm.kind, first_epoch(definition)),
            }
            for arm in arms
            if arm.kind in PAIR
            for run in arm.runs
            for definition in arm.readings
            if (errors := errors_of(run, definition))
        ],
        columns=["candidate", "kind", "rate", "definition", "seed", "distance"],
    )


def placements(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return the race's distances with each number drawn at other places in its epoch.

    The paper does not say where its figure has an epoch's number: at the epoch's start, if its
    points are counted from 0; where its minibatches are (``Definition.place``); or at its end, as
    in ``distances``. Columns: curve, definition, drawn, n, mean, low, high."""
    rows = []
    for arm in arms:
        curves = [run.history for run in arm.runs if len(run.history)]
        if arm.candidate != RACE.name or arm.kind not in PAIR or not curves:
            continue
        for definition, meaning in DEFINITIONS.items():
            for drawn in sorted({START, meaning.place, END}):
                values = [distance(one[definition].tolist(), arm.kind, drawn) for one in curves]
                mean = mean_interval(values)
                rows.append((arm.kind, definition, drawn, len(values), *mean))
    return pd.DataFrame(rows, columns=["curve", "definition", "drawn", "n", "mean", "low", "high"])


def together(rows: pd.DataFrame) -> pd.Series:
    """Return the distance to both curves, with equal weights.

    One per candidate, definition and seed. ``rows``: from ``distances``. A candidate that by its
    definition differs from the race on one curve only takes the other from the race. A curve that
    is not run yet is not replaced.
    """
    by_kind = rows.pivot_table(
        index=["candidate", "definition", "seed"],
        columns="kind",
        values="distance",
        aggfunc="first",
    ).reindex(columns=list(PAIR))
    names = by_kind.index.get_level_values("candidate")
    if RACE.name in names:
        race = by_kind.loc[RACE.name].reindex(by_kind.index.droplevel("candidate"))
        for kind in PAIR:
            shared = [not _has(name, kind) for name in names]
            by_kind.loc[shared, kind] = by_kind.loc[shared, kind].fillna(
                race[kind].set_axis(by_kind.index)[shared]
            )
    return ((by_kind**2).sum(axis=1, skipna=False) / len(PAIR)).dropna() ** 0.5


def _has(candidate: str, kind: Kind) -> bool:
    """Return whether a candidate always has this curve; one at another rate may lack it."""
    if candidate.startswith(BESIDE):
        return False
    return kind in CANDIDATES.get(candidate, RACE).kinds


def table(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return mean distance, interval, n and verdict per candidate, curve and definition.

    The interval is over seeds. The curve is "relu", "tanh" or "together". ``seeds_apart``: from
    ``seeds_apart``, None for "together". ``verdict``: from ``verdicts``, of the rows of one curve.
    ``selection``: the one seed is that of the choice of rates.
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
    apart = {
        (arm.candidate, arm.kind, f"{arm.rate:g}", definition): seeds_apart(
            curves, arm.kind, first_epoch(definition)
        )
        for arm in arms
        if arm.kind in PAIR
        for definition in arm.readings
        if (curves := [errors for run in arm.runs if (errors := errors_of(run, definition))])
    }
    stand_ins = {(arm.candidate, arm.kind) for arm in arms if arm.selection}
    verdict = {}
    for curve in dict.fromkeys(key[1] for key in groups):
        same = {key: values for key, values in groups.items() if key[1] == curve}
        verdict |= zip(same, verdicts(list(same.values())), strict=True)
    rows = []
    for key, values in groups.items():
        candidate, kind, rate, definition = key
        rows.append(
            {
                "candidate": candidate,
                "curve": kind,
                "rate": rate,
                "definition": definition,
                "n": len(values),
                **mean_interval(values)._asdict(),
                "seeds_apart": apart.get(key),
                "verdict": verdict[key],
                "selection": any(
                    (candidate, one) in stand_ins for one in (PAIR if kind == TOGETHER else [kind])
                ),
            }
        )
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.sort_values(["curve", "mean"], ignore_index=True)


def verdicts(groups: Sequence[list[float]]) -> list[str]:
    """Return the verdict on each of ``groups``, from its distances, one per seed.

    "nearest": the lowest mean, of those with two seeds or more if there are any. "excluded": above
    the nearest by more than chance allows (Welch), at 95% for all pairs together (Bonferroni),
    because the distances themselves say which one is the nearest. "not told apart": not so. "": no
    interval, for lack of a second seed."""
    nearest = min([one for one in groups if len(one) > 1] or groups, key=np.mean)
    several = sum(len(one) > 1 for one in groups)
    pairs = several * (several - 1) // 2
    words = []
    for values in groups:
        if values is not nearest and min(len(values), len(nearest)) > 1:
            spread = difference_spread(values, nearest)
            low = interval(spread, bonferroni(pairs, spread.freedom)).low
            words.append("excluded" if low is not None and low > 0 else "not told apart")
        else:
            words.append("nearest" if values is nearest else "")
    return words
