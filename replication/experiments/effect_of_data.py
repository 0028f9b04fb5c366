"""Dropout and crops with few and with many training images (sections 4.1 and 4.2).

The same net learns from few and from many images of each class, with and without dropout, with and
without crops and reflections. Whether a regulariser lowers the test error may depend on the number
of images, and on how long a net is trained. The paper has 1200 of each class. An effect is the
error without the regulariser minus the error with it: above zero, it helps.

One linear model per quantity covers all cells, with the spread within cells pooled. The intervals
of one quantity are simultaneous (Bonferroni), since no cell is the baseline of all. An interval
reaches as far, too, as the one by the spreads of its own two cells (Tamhane), as in the verdicts.
"""

from itertools import product
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from replication.base.errors import InputError
from replication.base.models import Frozen
from replication.base.statistics import (
    Interval,
    Spread,
    difference_spread,
    interval,
    widened,
)
from replication.base.types import Profile
from replication.experiments.common import baselines
from replication.experiments.common.baselines import IMAGES
from replication.experiments.common.collect import collect, nothing_yet, variant_of
from replication.experiments.common.comparison import (
    QUANTITIES,
    MoreSeeds,
    Seeds,
    error_rows,
    some_of,
)
from replication.experiments.common.contract import settings_of, store_tables
from replication.experiments.common.image_noise import images_of, noise
from replication.ledger.families import bonferroni, separate_interval
from replication.ledger.rules import side_of
from replication.runs.store import Run, Task

EXPERIMENT = "effect_of_data"
STAGE = "amounts of data"  # of the campaign, which trains the runs
REGULARISERS = ("dropout", "crops")
# the cells of the baseline's own number of images, which the ablations train: dropout, crops
OWN = {
    baselines.BASELINE: (True, True),
    "no-dropout": (False, True),
    "no-crops": (True, False),
}
MIN_SEEDS = 3  # of each cell; with fewer an effect has no word


class Settings(Frozen):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    profile: Profile
    regime: baselines.Regime = "first"  # which baseline, if a profile has two
    # of each class
    images: Annotated[tuple[int, ...], some_of("number of images", IMAGES)] = IMAGES
    seeds: Seeds
    # of the baseline, without dropout and without crops, at the baseline's own number of images
    own_seeds: MoreSeeds = ()
    only_stored: bool = False  # show what is stored so far, and train nothing
    jobs: int = Field(1, ge=1)  # training processes at a time


settings = settings_of(Settings, EXPERIMENT)


class Outcome(NamedTuple):
    """What the notebook shows."""

    # one row per run: that of ``comparison.error_rows``, images (of each class), dropout, crops
    table: pd.DataFrame
    # one row per regulariser, the other one on or off, number of images, and quantity: mean, low,
    # high (points; error without minus with), n (seeds of the smaller cell); images_low,
    # images_high: over seeds and images, of the test error over ten views; answer
    effects: pd.DataFrame
    runs: tuple[Run, ...]
    missing: tuple[Task, ...]


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    counts, seeds = (", ".join(map(str, of)) for of in (settings.images, settings.seeds))
    own = ", ".join(map(str, settings.own_seeds))
    lines = [f"images per class: {counts}; seeds {seeds}"] if counts else []
    lines += [f"the baseline's own number of images: seeds {own}"] if own else []
    return "\n".join([*lines, f"runs: {len(tasks(settings))}"])


def tasks(settings: Settings) -> list[Task]:
    """Return the runs: those at the baseline's own number of images, then seed by seed.

    A number in ``images`` may be the baseline's own; such a run is listed once."""
    own = [(variant, seed) for seed in settings.own_seeds for variant in OWN]
    others = [
        (baselines.data_variant(*cell), seed)
        for seed in settings.seeds
        for cell in product(settings.images, (True, False), (True, False))
    ]
    once: dict[str, Task] = {}
    for variant, seed in own + others:
        one = baselines.task(settings.profile, variant, seed, settings.regime)
        once.setdefault(one.recipe.id, one)
    return list(once.values())


def waits(settings: Settings) -> str:
    """Return why there is nothing to show yet; "" if there is."""
    if not settings.only_stored:
        return ""
    planned = [one for one in tasks(settings) if variant_of(one) not in OWN]
    return "" if collect(planned or tasks(settings), only_stored=True).runs else _reason()


def _reason() -> str:
    return nothing_yet("no run is", STAGE)


def run(settings: Settings) -> Outcome:
    """Train or load every cell on every seed, and write the experiment's tables.

    Raises InputError if nothing is to be trained and nothing is stored."""
    collected = collect(tasks(settings), settings.only_stored, settings.jobs)
    if not collected.runs:
        raise InputError(f"{EXPERIMENT}: {_reason()}")
    runs = collected.runs
    table = cells(runs)
    outcome = Outcome(table, effects(table, runs), tuple(runs), tuple(collected.missing))
    store_tables(settings.profile, EXPERIMENT, {"table": table, "effects": outcome.effects}, [])
    return outcome


def cells(runs: list[Run]) -> pd.DataFrame:
    """Return one row per run: its errors, images trained on of each class, dropout and crops."""
    table = error_rows(runs, [variant_of(run.task) for run in runs])
    data = [run.provenance["data"] for run in runs]
    recipes = [run.task.recipe for run in runs]
    table["images"] = [round(of["images"] / of["classes"]) for of in data]
    table["dropout"] = [recipe.net.dropout for recipe in recipes]
    table["crops"] = [recipe.data.augment for recipe in recipes]
    return table


def effects(table: pd.DataFrame, runs: list[Run]) -> pd.DataFrame:
    """Return the effect of each regulariser at each number of images, with intervals.

    ``table``: that of ``cells``, one row per run of ``runs``. The columns are described in
    ``Outcome``. A pair of cells of which one is not stored is left out."""
    by_cell = {key: list(rows.index) for key, rows in table.groupby(["images", "dropout", "crops"])}
    pairs = []
    for images, regulariser, other in product(
        sorted(set(table["images"])), REGULARISERS, (True, False)
    ):
        on, off = ((state, other) if regulariser == "dropout" else (other, state)
                   for state in (True, False))  # fmt: skip
        if (images, *on) in by_cell and (images, *off) in by_cell:
            pairs.append((regulariser, other, (images, *on), (images, *off)))
    found = []
    for column in QUANTITIES:
        # without the runs whose training error is not known
        values = {key: table.loc[rows, column].dropna() for key, rows in by_cell.items()}
        freedom = sum(len(of) - 1 for of in values.values() if len(of))
        squares = sum(float(((of - of.mean()) ** 2).sum()) for of in values.values())
        compared = sum(len(values[on]) > 0 < len(values[off]) for *_, on, off in pairs)
        for regulariser, other, on, off in pairs:
            with_it, without = values[on], values[off]
            sizes = len(with_it), len(without)
            mean = float(without.mean() - with_it.mean())  # NaN if one of them has none
            bounds = Interval(mean, None, None)
            if freedom and min(sizes):
                error = float(np.sqrt(squares / freedom * sum(1 / n for n in sizes)))
                critical = bonferroni(compared, freedom)
                own = difference_spread(without.tolist(), with_it.tolist())
                separate = separate_interval(own, compared)
                bounds = widened(interval(Spread(mean, error, freedom), critical), separate)
            row = {
                "regulariser": regulariser,
                "other": f"{'with' if other else 'without'} {_other(regulariser)}",
                "images": on[0],
                "quantity": column,
            }
            row |= bounds._asdict() | {"n": min(sizes)}
            sides = ([images_of(runs[i], column) for i in of.index] for of in (without, with_it))
            over_images = noise(*sides, comparisons=compared) if min(sizes) else None
            row["images_low"], row["images_high"] = (
                (None, None) if over_images is None else (over_images.low, over_images.high)
            )
            found.append(row | {"answer": answer(row)})
    columns = ["regulariser", "other", "images", "quantity", *Interval._fields, "n"]
    return pd.DataFrame(found, columns=[*columns, "images_low", "images_high", "answer"])


def _other(regulariser: str) -> str:
    return next(name for name in REGULARISERS if name != regulariser)


def answer(row: dict[str, Any]) -> str:
    """Return what an effect's intervals say: lower with it, higher with it, open, too few seeds."""
    if row["n"] < MIN_SEEDS or row["low"] is None:
        return "too few seeds"
    low = min(bound for bound in (row["low"], row["images_low"]) if bound is not None)
    high = max(bound for bound in (row["high"], row["images_high"]) if bound is not None)
    side = side_of((low, high), 0.0)
    return "open" if side is None else "lower with it" if side == "above" else "higher with it"
