"""The paper against its own source, by the error of the net (sections 2 to 5).

The net that produced the paper's numbers differs from the net that the paper describes. The
baseline here is the released net. Each variant takes the paper's side in one difference, and the
last one in all of them. An effect is the variant's error minus the baseline's: above zero, the net
of the text is the worse one. The intervals are simultaneous for all variants (Dunnett), and the
table says of each difference whether it is measured at all.
"""

from typing import Annotated, Any, NamedTuple

import pandas as pd
from pydantic import Field

from replication.base.errors import InputError
from replication.base.text import counted
from replication.experiments.common import baselines, beside_baseline
from replication.experiments.common.baselines import BASELINE, FIDELITY
from replication.experiments.common.collect import collect, variant_of, waiting, waiting_for
from replication.experiments.common.comparison import (
    QUANTITIES,
    MoreSeeds,
    Seeds,
    error_rows,
    some_of,
)
from replication.experiments.common.contract import settings_of, store_tables
from replication.experiments.common.curves import curves
from replication.experiments.common.image_noise import images_of, noise
from replication.experiments.common.learnt import Regimes, learnt_runs
from replication.runs.store import Run, Task

EXPERIMENT = "paper_vs_source"
STAGE = "paper against source"  # of the campaign, which trains the runs
ALL = "paper-all"
# the entry of deviations.toml that each variant is about
DEVIATIONS = {
    "paper-relu-place": "relu-conv1",
    "paper-same-map-norm": "same-map-norm",
    "paper-lrn-alpha": "lrn-alpha",
    "paper-spread": "initial-weights",
    "paper-shared-crops": "shared-draws",
    "paper-crop-places": "crop-positions",
    "paper-mean-place": "mean-alignment",
    "paper-colour-scale": "colour-spread",
    "paper-bias-rate": "bias-rate",
}


class Settings(Regimes):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    variants: Annotated[tuple[str, ...], Field(min_length=1), some_of("variant", FIDELITY)] = tuple(
        FIDELITY
    )
    seeds: Seeds
    # more seeds of the baseline alone: they narrow every interval
    baseline_seeds: MoreSeeds = ()
    only_stored: bool = False  # show what is stored so far, and train nothing
    jobs: int = Field(1, ge=1)  # training processes at a time


settings = settings_of(Settings, EXPERIMENT)


class Outcome(NamedTuple):
    """What the notebook shows."""

    table: pd.DataFrame  # one row per run: that of ``comparison.error_rows``
    # of each difference: ``beside_baseline.differences``
    differences: pd.DataFrame
    # one row per difference and quantity, those that are not stored included (n = 0): variant,
    # deviation, quantity, mean, low, high, n, images_low and images_high (over seeds and images),
    # values (each seed minus the baseline's mean)
    effects: pd.DataFrame
    curves: pd.DataFrame  # of every run: ``common.curves``
    learnt: pd.DataFrame  # as ``table``, of the stored nets that have learnt
    learnt_effects: pd.DataFrame  # as ``effects``, of ``learnt``
    runs: tuple[Run, ...]
    learnt_runs: tuple[Run, ...]
    missing: tuple[Task, ...]


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    seeds, more = (", ".join(map(str, of)) for of in (settings.seeds, settings.baseline_seeds))
    also = f", and the released net also on {more}" if more else ""
    return (
        f"the released net and its variants on seeds {seeds}{also}:"
        f" {counted(len(tasks(settings)), 'run')}\n"
        f"variants: {', '.join(settings.variants)}"
    )


def tasks(settings: Settings) -> list[Task]:
    """Return the runs, seed by seed; the baseline's further seeds last."""
    every = [(name, seed) for seed in settings.seeds for name in (BASELINE, *settings.variants)]
    more = [(BASELINE, seed) for seed in settings.baseline_seeds if seed not in settings.seeds]
    return [
        baselines.task(settings.profile, name, seed, settings.regime) for name, seed in every + more
    ]


def waits(settings: Settings) -> str:
    """Return why there is nothing to show yet; "" if there is."""
    return waiting_for(tasks(settings), settings.only_stored, STAGE)


def run(settings: Settings) -> Outcome:
    """Train or load every variant on every seed, and write the experiment's tables.

    Raises InputError if nothing is to be trained and no variant is stored."""
    collected = collect(tasks(settings), settings.only_stored, settings.jobs)
    runs = collected.runs
    if reason := waiting(runs, STAGE):
        raise InputError(f"{EXPERIMENT}: {reason}")
    table = error_rows(runs, [variant_of(one.task) for one in runs])
    differences = beside_baseline.differences(table, BASELINE)
    learnt = learnt_runs(settings.profile, settings.variants, settings.seeds_beside)
    learnt_table = error_rows(learnt, [variant_of(one.task) for one in learnt])
    outcome = Outcome(
        table,
        differences,
        effects(differences, runs),
        curves(runs),
        learnt_table,
        effects(beside_baseline.differences(learnt_table, BASELINE), learnt)
        if learnt
        else pd.DataFrame(),
        tuple(runs),
        tuple(learnt),
        tuple(collected.missing),
    )
    tables = {"table": table, "effects": outcome.effects}
    if learnt:
        tables |= {"learnt": learnt_table, "learnt_effects": outcome.learnt_effects}
    store_tables(settings.profile, EXPERIMENT, tables, [])
    return outcome


def effects(differences: pd.DataFrame, runs: list[Run]) -> pd.DataFrame:
    """Return a row for every difference and quantity, whether it is measured or not.

    ``differences``: those of ``beside_baseline``. The columns are described in ``Outcome``."""
    by_variant: dict[str, list[Run]] = {}
    for one in runs:
        by_variant.setdefault(variant_of(one.task), []).append(one)
    measured = differences.set_index(["variant", "quantity"])
    found = []
    for variant in FIDELITY:
        for column in QUANTITIES:
            row: dict[str, Any] = {
                "variant": variant,
                "deviation": DEVIATIONS.get(variant, ""),
                "quantity": column,
                "n": 0,
            }
            if (variant, column) in measured.index:
                row |= measured.loc[(variant, column)].to_dict()
                sides = (
                    [images_of(run, column) for run in by_variant[name]]
                    for name in (variant, BASELINE)
                )
                over_images = noise(*sides, comparisons=len(by_variant) - 1)
                if over_images is not None:
                    row |= {"images_low": over_images.low, "images_high": over_images.high}
            found.append(row)
    bounds = ["mean", "low", "high", "images_low", "images_high"]
    return pd.DataFrame(found, columns=["variant", "deviation", "quantity", "n", *bounds, "values"])
