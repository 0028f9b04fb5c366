"""Section 3.3: "a four-layer CNN achieved a 13% test error rate without normalization and 11% with
normalization" on CIFAR-10.

Two released nets match by number, conv-local-13pct and conv-local-11pct, and they differ in more
than the normalisations. So three nets are trained: the 11% net, the same with its two
normalisations left out (the clean comparison), and the 13% net as released. All of them on 24 x 24
crops and reflections, tested on ten views."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from pydantic import Field

from replication.base.models import Frozen, validated
from replication.experiments.common import beside_baseline
from replication.experiments.common.comparison import (
    VIEWS,
    Seeds,
    diverged,
    error_rows,
    ran,
    scale,
)
from replication.experiments.common.contract import store_tables
from replication.ledger.measurement import Measurement, Profile, measured
from replication.recipe import CifarNetSpec, Data, Recipe, Steps, Update
from replication.runs.store import Run, Task
from replication.runs.workers import Workers

EXPERIMENT = "lrn_cifar"
SIZE, CROP = 32, 24  # cuda-convnet's border of 4
# epochs of the released recipe at the rate, at a tenth and at a hundredth of it, added up
STAGES = (500, 510, 520)
WITH, WITHOUT, RELEASED = "with norms", "norms removed", "as released"
NETS = {  # what is trained -> the net
    WITH: CifarNetSpec(name="conv-local-11pct"),
    WITHOUT: CifarNetSpec(name="conv-local-11pct", norms=False),
    RELEASED: CifarNetSpec(name="conv-local-13pct"),
}
LOCAL = {"conv1": 0.0, "conv2": 0.0, "local3": 0.004, "local4": 0.004}
# layer-params-conv-local-*.cfg
DECAYS = {"conv-local-13pct": LOCAL | {"fc10": 0.004}, "conv-local-11pct": LOCAL | {"fc10": 0.01}}
QUANTITIES = ("test_top1", "test_top1_one", "train_top1", "gap")
ASKED = (("train", 1), ("test", 1), ("test", VIEWS))


class Settings(Frozen):
    """What the notebook's parameters say; one set a profile."""

    profile: Profile
    data: str
    count: int = Field(ge=0)  # training images; 0: all
    batch: int = Field(ge=1)
    epochs: int = Field(ge=3)
    rate: float = Field(gt=0)
    seeds: Seeds
    jobs: int = Field(1, ge=1)


class Outcome(NamedTuple):
    """All that the notebook shows."""

    table: pd.DataFrame  # one row for each run
    differences: pd.DataFrame  # against the net with its normalisations
    curves: pd.DataFrame  # variant, seed, epoch, loss, running_error
    measurements: list[Measurement]
    runs: tuple[Run, ...]


def settings(**parameters: Any) -> Settings:
    """The notebook's parameters, checked. Raises InputError that names the first one that will not
    do.
    """
    return validated(Settings, EXPERIMENT, parameters)


def recipe(settings: Settings, variant: str, seed: int) -> Recipe:
    """The released recipe with its three stages scaled to ``epochs``; biases at twice the rate, as
    in the released files.
    """
    return Recipe(
        data=Data(
            name=settings.data, count=settings.count or None, size=SIZE, crop=CROP, augment=True
        ),
        net=NETS[variant],
        update=Update(
            rate=settings.rate, bias_rate_factor=2.0, layer_decays=DECAYS[NETS[variant].name]
        ),
        schedule=Steps(kind="steps", after=stages(settings.epochs)),
        batch=settings.batch,
        epochs=settings.epochs,
        seed=seed,
    )


def stages(epochs: int) -> tuple[int, int]:
    """Epochs after which the rate drops: the released recipe's, scaled to ``epochs`` in all, each
    stage one epoch long at least.
    """
    second = min(epochs - 1, round(epochs * STAGES[1] / STAGES[2]))
    return min(second - 1, round(epochs * STAGES[0] / STAGES[2])), second


def plan(settings: Settings) -> str:
    """What will be run, in words."""
    first, second = stages(settings.epochs)
    return (
        f"{len(NETS)} nets on seeds {', '.join(map(str, settings.seeds))}:"
        f" {len(NETS) * len(settings.seeds)} runs, {settings.epochs} epochs each\nrate"
        f" {settings.rate:g}, a tenth of it after epoch {first}, a hundredth after epoch {second}"
    )


def tasks(settings: Settings) -> list[Task]:
    """Return the runs, seed by seed and net by net."""
    return [
        Task(
            settings.profile,
            EXPERIMENT,
            f"{variant.replace(' ', '-')}-seed{seed}",
            recipe(settings, variant, seed),
            ASKED,
        )
        for seed in settings.seeds
        for variant in NETS
    ]


def run(settings: Settings) -> Outcome:
    """Train, or read where it was trained before, every net on every seed; write the experiment's
    tables.
    """
    names = [variant for _ in settings.seeds for variant in NETS]
    with Workers(settings.jobs) as workers:
        runs = workers.all(tasks(settings))
    table = error_rows(runs, names)
    outcome = Outcome(
        table,
        beside_baseline.differences(
            table, WITH, ("test_top1", "test_top1_one", "train_top1", "gap")
        ),
        pd.concat(
            [
                run.history.assign(variant=name, seed=run.task.recipe.seed)
                for run, name in zip(runs, names, strict=True)
            ]
        ),
        measure(settings, table, runs),
        tuple(runs),
    )
    tables = {"table": outcome.table, "differences": outcome.differences}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def measure(settings: Settings, table: pd.DataFrame, runs: Sequence[Run]) -> list[Measurement]:
    """Return the test error over ten views without the normalisations, and of the 13% net, each
    minus that with them.
    """
    by_variant: dict[str, list[Run]] = {}
    for name, run in zip(table["variant"], runs, strict=True):
        by_variant.setdefault(name, []).append(run)
    return [
        measured(
            "lrn-cifar",
            variant=variant,
            profile=settings.profile,
            scale=scale(runs[0], "ten views"),
            reason=diverged(runs),
            ran=ran(by_variant[variant][0]),
            **beside_baseline.difference(table, "test_top1", variant, WITH, by_variant),
        )
        for variant in (WITHOUT, RELEASED)
    ]
