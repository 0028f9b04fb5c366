"""Ablations: the net with one part changed at a time (sections 3 to 5 and 7).

The changes are those of sections 3.2 to 3.4, 4.1, 4.2, 5 and 7. A difference is that of the means
over all seeds of a variant and of the baseline. Its interval is simultaneous for all variants, from
the spread within variants, pooled (``ledger.families``). Errors are on the held-out images, over
ten views; the gap is the test error over one view minus the error of the same net on its training
images. ``ablation_claims`` says which of these numbers measures which claim. In the learnt regime
controls, sizes and rates are compared too (``common.controls``). A page of the first regime can
show what is stored of the learnt one: its controls, sizes and rates, and every variant that has
all of its seeds. Such a variant measures its claims in place of the first regime's, whose nets
underfit. With ``only_stored`` the page shows what a campaign has trained.
"""

import math
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import pandas as pd
from pydantic import Field, field_validator

from replication.base.errors import InputError
from replication.base.text import counted
from replication.experiments.ablation_claims import (
    ALL_MIDDLE,
    NO_DROPOUT,
    measure,
    measure_sizes,
    paper_differences,
    with_rates,
)
from replication.experiments.common import beside_baseline, controls, dropout_average
from replication.experiments.common.baselines import (
    ALL,
    BASELINE,
    EXPERIMENT,
    RATED,
    VARIANTS,
    task,
)
from replication.experiments.common.collect import collect, variant_of, waiting, waiting_for
from replication.experiments.common.comparison import (
    QUANTITIES,
    UNUSED,
    MoreSeeds,
    Seeds,
    error_rows,
    halfway,
    iterations_to_loss,
    iterations_to_validation,
    some_of,
    speed,
)
from replication.experiments.common.contract import settings_of, store_tables
from replication.experiments.common.curves import curves
from replication.experiments.common.learnt import Regimes, learnt_runs, learnt_tasks
from replication.ledger.measurement import Measurement
from replication.runs.store import Run, Task

STAGE = "variants"  # of the campaign, which trains them
__all__ = [
    "EXPERIMENT",
    "Outcome",
    "Settings",
    "learnt_differences",
    "paper_differences",
    "plan",
    "run",
    "settings",
    "tasks",
    "waits",
]


class Settings(Regimes):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    variants: Annotated[tuple[str, ...], some_of("variant", ALL)]
    seeds: Seeds
    # more seeds of the baseline alone: they narrow every interval
    baseline_seeds: MoreSeeds = ()
    # training loss, nats, at which dropout's iterations are compared, besides the validation error
    # halfway
    mark: float = Field(gt=0)
    # training loss, nats, at which the biases' effect on the early stages is compared
    early_mark: float = Field(gt=0)
    images: int = Field(ge=1)  # of the held-out split, for the average over dropped-out nets
    masks: int = Field(ge=2, multiple_of=2)  # dropped-out nets in that average, in two halves
    only_stored: bool = False  # show what is stored so far, and train nothing
    jobs: int = Field(1, ge=1)  # training processes at a time

    @field_validator("variants")
    @classmethod
    def _with_baseline(cls, variants: tuple[str, ...]) -> tuple[str, ...]:
        if BASELINE not in variants:
            raise ValueError(f"{BASELINE!r} is missing; every variant is compared with it")
        return variants


settings = settings_of(Settings, EXPERIMENT)


class Outcome(NamedTuple):
    """What the notebook shows."""

    # one row per run: errors in per cent, gap, iterations to both target losses, images/s
    table: pd.DataFrame
    # one row per variant and quantity: variant minus baseline, means over seeds
    differences: pd.DataFrame
    learnt: pd.DataFrame  # as ``table``, of the learnt regime beside the first
    learnt_differences: pd.DataFrame  # as ``differences``, of ``learnt``
    curves: pd.DataFrame  # variant, seed, epoch, loss, running_error, validation_error
    # one row per baseline run: distances to the average of its dropped-out nets
    dropout: pd.DataFrame
    # controls, sizes and rates, of the learnt regime
    controls: controls.Controls
    measurements: list[Measurement]
    runs: tuple[Run, ...]  # of the variants
    learnt_runs: tuple[Run, ...]  # of ``learnt``
    missing: tuple[Task, ...]  # not stored yet; () if everything was to be trained


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    more = ", ".join(map(str, settings.baseline_seeds))
    also = f", and the baseline also on {more}" if more else ""
    beside = beside_tasks(settings)
    return (
        f"{counted(len(settings.variants), 'variant')}, including the baseline, each on seeds"
        f" {', '.join(map(str, settings.seeds))}{also}:"
        f" {counted(len(wanted(settings)), 'run')}\nvariants:"
        f" {', '.join(settings.variants)}\n"
        + (f"controls, sizes and rates: {counted(len(beside), 'run')} more\n" if beside else "")
        + f"iterations are compared at a training loss of {settings.mark:g}, and those of the first"
        f" epochs at {settings.early_mark:g}"
    )


def wanted(settings: Settings) -> list[tuple[str, int]]:
    """Return variant and seed of every run, seed by seed; the baseline's further seeds last."""
    every = [(variant, seed) for seed in settings.seeds for variant in settings.variants]
    more = [seed for seed in settings.baseline_seeds if seed not in settings.seeds]
    return every + [(BASELINE, seed) for seed in more]


def tasks(settings: Settings) -> list[Task]:
    """Return the runs, seed by seed and variant by variant; then those beside them."""
    return _variant_tasks(settings) + beside_tasks(settings)


def _variant_tasks(settings: Settings) -> list[Task]:
    every = wanted(settings)
    return [task(settings.profile, variant, seed, settings.regime) for variant, seed in every]


def beside_tasks(settings: Settings) -> list[Task]:
    """Return the runs of controls, sizes and rates, which the learnt regime has."""
    if settings.regime == "first":
        return []
    every = controls.tasks(settings.profile, settings.seeds, settings.regime)
    return [one for one in every if variant_of(one) not in settings.variants]


def learnt_beside_tasks(settings: Settings) -> list[Task]:
    """Return the learnt regime's runs that a page of the first regime shows, where stored.

    These are controls, sizes and rates, the baseline, and the variants that have other rates."""
    seeds = settings.seeds_beside
    names = [name for name in RATED if name in VARIANTS]
    own = [one for name in names for one in learnt_tasks(settings.profile, name, seeds)]
    return own + controls.tasks(settings.profile, seeds, "learnt")


def waits(settings: Settings) -> str:
    """Return why there is nothing to show yet; "" if there is."""
    return waiting_for(_variant_tasks(settings), settings.only_stored, STAGE)


def run(settings: Settings) -> Outcome:
    """Train or load every variant on every seed, and write the experiment's tables.

    Raises InputError if nothing is to be trained and no variant is stored."""
    planned = tasks(settings)
    collected = collect(planned, settings.only_stored, settings.jobs)
    variants = {one.folder.name for one in _variant_tasks(settings)}
    runs = [one for one in collected.runs if one.task.folder.name in variants]
    if reason := waiting(runs, STAGE):
        raise InputError(f"{EXPERIMENT}: {reason}")
    names = [variant_of(one.task) for one in runs]
    dropout = dropout_average.distances(
        settings.profile,
        [
            run
            for run, name in zip(runs, names, strict=True)
            if name == BASELINE and run.task.recipe.seed in settings.seeds
        ],
        settings.images,
        settings.masks,
        settings.only_stored,
    )
    if later := learnt_beside_tasks(settings):
        others = collect(later, only_stored=True).runs
        beside = controls.compare(others)
    else:
        others = collected.runs
        beside = controls.compare(others if len(others) > len(runs) else ())
    table = _table(runs, settings)
    measurements = measure(settings.profile, table, dropout, runs)
    if settings.regime == "learnt":
        measurements = with_rates(measurements, beside.rates)
    learnt, beside_first = (
        pd.DataFrame(columns=table.columns),
        learnt_runs(settings.profile, settings.variants, settings.seeds_beside),
    )
    if beside_first:
        learnt = _table(beside_first, settings)
        instead = measure(settings.profile, learnt, pd.DataFrame(), beside_first)
        if not any(one.variant == ALL_MIDDLE for one in instead):  # no layer without the others
            instead = [one for one in instead if one.claim != "depth"]
        named = {(one.claim, one.variant) for one in instead}
        measurements = [one for one in measurements if (one.claim, one.variant) not in named]
        measurements += with_rates(instead, beside.rates)
    outcome = Outcome(
        table,
        beside_baseline.differences(table, BASELINE),
        learnt,
        learnt_differences(learnt),
        curves(runs),
        dropout,
        beside,
        measurements + measure_sizes(settings.profile, others),
        tuple(runs),
        tuple(beside_first),
        tuple(collected.missing),
    )
    tables = {
        "table": outcome.table,
        "differences": outcome.differences,
        "dropout": outcome.dropout,
    }
    if len(learnt):
        tables["learnt"] = outcome.learnt
        tables["learnt_differences"] = outcome.learnt_differences
    if len(beside.differences):
        tables["beside"] = beside.differences
    if len(beside.rates):
        tables["rates"] = beside.rates
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def learnt_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Return the differences of nets that have learnt, on unused training images too."""
    return beside_baseline.differences(table, BASELINE, (*QUANTITIES, *UNUSED))


def _table(runs: Sequence[Run], settings: Settings) -> pd.DataFrame:
    """Return one row per run: its errors, parameters, iterations to each target, images/s."""
    names = [variant_of(one.task) for one in runs]
    half = halfway(
        [run for run, name in zip(runs, names, strict=True) if name in (BASELINE, NO_DROPOUT)]
    )
    return error_rows(runs, names).assign(
        parameters=[run.summary["parameters"] for run in runs],
        iterations_to_mark=[iterations_to_loss(run, settings.mark) for run in runs],
        iterations_to_early_mark=[iterations_to_loss(run, settings.early_mark) for run in runs],
        iterations_to_halfway=[iterations_to_validation(run, half) for run in runs],
        iterations_to_plateau=[
            run.summary["iterations"] if run.summary["ended"] == "plateau" else math.nan
            for run in runs
        ],
        images_per_second=[speed(run.task.folder)[0] for run in runs],
    )
