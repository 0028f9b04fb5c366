"""The net with one thing changed at a time, beside the whole net (sections 3 to 5 and 7).

The changes are those of sections 3.2 to 3.4, 4.1, 4.2, 5 and 7. A difference is that of the means
over all seeds of a variant and of the baseline. Its interval is simultaneous for all variants, from
the spread within variants, pooled (``ledger.families``). Errors are on the held-out images, over
ten views; the gap is the test error over one view minus the error of the same net on its training
images. In the learnt regime controls, sizes and rates stand beside the variants
(``common.controls``). With ``only_stored`` the page shows what a campaign has trained so far.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, field_validator

from replication.base.errors import InputError
from replication.base.models import Frozen, validated
from replication.experiments.common import beside_baseline, controls, dropout_average, step_time
from replication.experiments.common.baselines import (
    ALL,
    BASELINE,
    EXPERIMENT,
    VARIANTS,
    Regime,
    task,
)
from replication.experiments.common.collect import collect, variant_of, waiting, waiting_for
from replication.experiments.common.comparison import (
    Seeds,
    distinct,
    diverged,
    error_rows,
    halfway,
    iterations_to_loss,
    iterations_to_validation,
    ran,
    scale,
    speed,
)
from replication.experiments.common.contract import store_tables
from replication.ledger.measurement import Measurement, Profile, measured
from replication.paper import claim as find_claim
from replication.runs.store import Run, Task

NO_DROPOUT = "no-dropout"
# section 7: "any of the middle layers"
MIDDLE = tuple(name for name in VARIANTS if name.startswith("without-"))

# claim, its variant in claims.toml, our variant, the column whose difference (variant minus
# baseline) is measured
CLAIMS = (
    ("two-gpu-gain", "top-1", "one-gpu", "test_top1"),
    ("two-gpu-gain", "top-5", "one-gpu", "test_top5"),
    ("lrn-gain", "top-1", "no-lrn", "test_top1"),
    ("lrn-gain", "top-5", "no-lrn", "test_top5"),
    ("overlap-gain", "top-1", "non-overlapping", "test_top1"),
    ("overlap-gain", "top-5", "non-overlapping", "test_top5"),
    ("overlap-overfit", "", "non-overlapping", "gap"),
    ("crop-overfit", "", "no-crops", "gap"),
    ("colour-gain", "", "no-colour", "test_top1"),
    ("dropout-overfit", "", NO_DROPOUT, "gap"),
    ("weight-decay", "", "no-weight-decay", "train_top1"),
    ("lrn-generalises", "", "no-lrn", "gap"),
    ("bigger-longer", "width", "half-width", "test_top1"),
    ("bigger-longer", "length", "half-length", "test_top1"),
    ("bigger-longer", "twice the width", "twice-width", "test_top1"),
)
STAGE = "variants"  # of the campaign, which trains them
# sections 3.1 to 3.4, in the paper's order of importance
IMPORTANCE = ("tanh", "one-gpu", "no-lrn", "non-overlapping")
ALL_MIDDLE = "mean of the middle layers"  # the depth claim's variant in claims.toml
OVER_TEN = ("test_top1", "test_top5")
MASKED = (
    "with dropout the loss is that of masked nets, which lies above the whole net's, so a part of"
    " the ratio is not slower learning"
)
# claim, its variant, the variants above and below, the column whose ratio is measured
ITERATIONS = "dropout-iterations"
RATIOS = (
    (ITERATIONS, "validation error", BASELINE, NO_DROPOUT, "iterations_to_halfway"),
    (ITERATIONS, "training loss", BASELINE, NO_DROPOUT, "iterations_to_mark"),
    (ITERATIONS, "end of the plateau rule", BASELINE, NO_DROPOUT, "iterations_to_plateau"),
    ("bias-one", "", "biases-zero", BASELINE, "iterations_to_early_mark"),
)


class Settings(Frozen):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    profile: Profile
    regime: Regime = "first"  # which baseline, if a profile has two
    variants: tuple[str, ...] = Field(min_length=1)
    seeds: Seeds
    # more seeds of the baseline alone: they narrow every interval
    baseline_seeds: Annotated[tuple[int, ...], AfterValidator(distinct)] = ()
    # training loss, nats, at which dropout's iterations are compared, besides the validation error
    # halfway
    mark: float = Field(gt=0)
    # training loss, nats, at which the biases' effect on the early stages is compared
    early_mark: float = Field(gt=0)
    images: int = Field(ge=1)  # of the held-out split, for the average over dropped-out nets
    masks: int = Field(ge=2)  # dropped-out nets in that average
    only_stored: bool = False  # show what is stored so far, and train nothing
    jobs: int = Field(1, ge=1)  # training processes at a time

    @field_validator("variants")
    @classmethod
    def _known(cls, variants: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in variants if name not in ALL]:
            raise ValueError(f"no variant {unknown[0]!r}; choose of {', '.join(ALL)}")
        if BASELINE not in variants or len(set(variants)) < len(variants):
            raise ValueError(f"name {BASELINE!r} and each variant once")
        return variants


class Outcome(NamedTuple):
    """What the notebook shows."""

    # one row per run: errors in per cent, gap, iterations to both target losses, images/s
    table: pd.DataFrame
    # one row per variant and quantity: variant minus baseline, means over seeds
    differences: pd.DataFrame
    curves: pd.DataFrame  # variant, seed, epoch, loss, running_error, validation_error
    # one row per baseline run: distances to the average of its dropped-out nets
    dropout: pd.DataFrame
    controls: controls.Controls  # controls, sizes and rates; empty in the first regime
    measurements: list[Measurement]
    runs: tuple[Run, ...]  # of the variants
    missing: tuple[Task, ...]  # not stored yet; () if everything was to be trained


def settings(**parameters: Any) -> Settings:
    """Return the notebook's parameters, checked.

    Raises InputError that names the first invalid one.
    """
    return validated(Settings, EXPERIMENT, parameters)


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    more = ", ".join(map(str, settings.baseline_seeds))
    also = f", the baseline on {more} too" if more else ""
    beside = beside_tasks(settings)
    return (
        f"{len(settings.variants)} variants, the baseline among them, each on seeds"
        f" {', '.join(map(str, settings.seeds))}{also}: {len(wanted(settings))} runs\nvariants:"
        f" {', '.join(settings.variants)}\n"
        + (f"controls, sizes and rates: {len(beside)} runs more\n" if beside else "")
        + f"iterations are compared at a training loss of {settings.mark:g}, and early at"
        f" {settings.early_mark:g}"
    )


def wanted(settings: Settings) -> list[tuple[str, int]]:
    """Return variant and seed of every run, seed by seed; the baseline's further seeds last."""
    every = [(variant, seed) for seed in settings.seeds for variant in settings.variants]
    more = [seed for seed in settings.baseline_seeds if seed not in settings.seeds]
    return every + [(BASELINE, seed) for seed in more]


def tasks(settings: Settings) -> list[Task]:
    """Return the runs, seed by seed and variant by variant; then those that stand beside them."""
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


def waits(settings: Settings) -> str:
    """Return why there is nothing to show yet; "" if there is."""
    return waiting_for(_variant_tasks(settings), settings.only_stored, STAGE)


def run(settings: Settings) -> Outcome:
    """Train or load every variant on every seed, and write the experiment's tables.

    Raises InputError if nothing is to be trained and no variant is stored."""
    asked = tasks(settings)
    collected = collect(asked, settings.only_stored, settings.jobs)
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
    beside = controls.compare(collected.runs if len(collected.runs) > len(runs) else ())
    table = error_rows(runs, names)
    table["parameters"] = [run.summary["parameters"] for run in runs]
    table["iterations_to_mark"] = [iterations_to_loss(run, settings.mark) for run in runs]
    table["iterations_to_early_mark"] = [
        iterations_to_loss(run, settings.early_mark) for run in runs
    ]
    half = halfway(
        [run for run, name in zip(runs, names, strict=True) if name in (BASELINE, NO_DROPOUT)]
    )
    table["iterations_to_halfway"] = [iterations_to_validation(run, half) for run in runs]
    table["iterations_to_plateau"] = [
        run.summary["iterations"] if run.summary["ended"] == "plateau" else math.nan for run in runs
    ]
    table["images_per_second"] = [speed(run)[0] for run in runs]
    outcome = Outcome(
        table,
        beside_baseline.differences(table, BASELINE),
        pd.concat(
            [
                run.history.assign(variant=name, seed=run.task.recipe.seed)
                for run, name in zip(runs, names, strict=True)
            ]
        ),
        dropout,
        beside,
        measure(settings, table, dropout, collected.runs, beside.sizes),
        tuple(runs),
        tuple(collected.missing),
    )
    tables = {
        "table": outcome.table,
        "differences": outcome.differences,
        "dropout": outcome.dropout,
    }
    if len(beside.rates):
        tables |= {"beside": beside.differences, "rates": beside.rates}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def measure(
    settings: Settings,
    table: pd.DataFrame,
    dropout: pd.DataFrame,
    runs: Sequence[Run],
    sizes: pd.DataFrame | None = None,
) -> list[Measurement]:
    """Return a measurement of every claim that the stored variants can answer.

    ``sizes``: the rows of the baseline and of other sizes, which are a family of their own.
    """
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(variant_of(run.task), []).append(run)
    names = set(table["variant"])
    first = by_variant[BASELINE][0]
    one, ten = (scale(first, views) for views in ("one view", "ten views"))
    where = ran(first)
    measurements = []

    def add(
        claim: str,
        variant: str,
        compared: Mapping[str, Any],
        ours: Sequence[str],
        scale: str = one,
        note: str = "",
    ) -> None:
        if not compared:
            return
        remark = diverged([run for name in (BASELINE, *ours) for run in by_variant[name]])
        cut = "a run that ended before the target counts with its last iteration"
        reason = "; ".join(filter(None, (note, cut * (compared.get("bound") is not None), remark)))
        measurements.append(
            measured(
                claim,
                variant=variant,
                reason=reason,
                profile=settings.profile,
                scale=scale,
                ran=where,
                **compared,
            )
        )

    for claim, variant, ours, column in (
        *CLAIMS,
        *(("depth", name, name, "test_top1") for name in MIDDLE),
    ):
        rows = table if ours in names or sizes is None or sizes.empty else sizes
        compared = beside_baseline.difference(rows, column, ours, BASELINE, by_variant)
        add(claim, variant, compared, [ours], ten if column in OVER_TEN else one)
    by_seed = table.pivot(index="seed", columns="variant", values="test_top1")
    if set(MIDDLE) <= names and len(whole := by_seed[[*MIDDLE]].dropna()):
        layers = table[table["variant"].isin(MIDDLE) & table["seed"].isin(whole.index)]
        compared = {
            "values": layers.groupby("seed")["test_top1"].mean().tolist(),
            "subtracted": table.loc[table["variant"] == BASELINE, "test_top1"].tolist(),
        }
        add("depth", ALL_MIDDLE, compared, MIDDLE, ten)
    for claim, variant, slow, fast, column in RATIOS:
        compared = (
            beside_baseline.ratio(table, column, slow, fast, BASELINE) if column in table else {}
        )
        note = MASKED if column == "iterations_to_mark" else ""
        ours = slow if fast == BASELINE else fast
        add(claim, variant, compared, [ours], note=note)
    if set(IMPORTANCE) <= names and len(gains := by_seed[[*IMPORTANCE]].dropna()):
        # each seed's own gain: by how much its variant's error is higher
        steps = -np.diff(gains.to_numpy(), axis=1)
        add("importance-order", "", {"values": steps.min(axis=1).tolist()}, IMPORTANCE, ten)
    if len(dropout):
        add("dropout-average", "", {"values": dropout["halved"] / dropout["single"]}, [])
    recipe = first.task.recipe
    if faster := step_time.on_two_gpus(recipe):
        shown = step_time.scale(recipe)
        measurements.append(
            measured(
                "two-gpu-time",
                faster,
                profile=settings.profile,
                scale=shown,
                reason="n counts timings, not seeds",
            )
        )
    return measurements


def paper_differences() -> dict[str, dict[str, float]]:
    """Return the paper's differences in percentage points, by quantity and variant.

    Variants for which the paper gives no number are left out.
    """
    by_quantity: dict[str, dict[str, float]] = {}
    for claim, variant, ours, column in (
        *CLAIMS,
        *(("depth", ALL_MIDDLE, name, "test_top1") for name in MIDDLE),
    ):
        if (target := find_claim(claim).target(variant)) is not None and target.value is not None:
            by_quantity.setdefault(column, {})[ours] = target.value
    return by_quantity
