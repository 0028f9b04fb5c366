"""Section 3.3 on CIFAR-10: 13% test error without normalisation and 11% with it.

The paper: "a four-layer CNN achieved a 13% test error rate without normalization and 11% with
normalization". Two released nets match by number, conv-local-13pct and conv-local-11pct, but they
differ in more than the normalisations. So there are four arms: the 11% net; the same with its two
normalisations left out (the clean comparison); the same with a constant gain in the place of each
(a normalisation also rescales); and the 13% net as released. All use 24 x 24 crops and reflections
and are tested on ten views. If ``every_stage`` is set, they are also tested on nine, at the end of
every stage of the schedule, so that the gain is a curve over the length of training and not one
point.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from pydantic import Field

from replication.base import paths
from replication.base.models import Frozen, validated
from replication.base.types import Profile
from replication.data.augment.views import GRID
from replication.experiments.common import beside_baseline
from replication.experiments.common.comparison import (
    PER_CENT,
    VIEWS,
    Seeds,
    diverged,
    error_rows,
    kept,
    ran,
    scale,
)
from replication.experiments.common.contract import store_tables
from replication.experiments.common.gains import mean_gains
from replication.ledger.measurement import Measurement, measured
from replication.recipe import CifarNetSpec, Data, Recipe, Steps, Update
from replication.runs.store import Run, Task, answer_key
from replication.runs.workers import Workers

EXPERIMENT = "lrn_cifar"
SIZE, CROP = 32, 24  # cuda-convnet's border of 4
# epochs of the released recipe at the rate, at a tenth and at a hundredth of it, added up
STAGES = (500, 510, 520)
WITH, WITHOUT, RELEASED = "with norms", "norms removed", "as released"
GAIN = "norms as constant gains"
ARMS = (WITH, WITHOUT, GAIN, RELEASED)
NETS = {  # arm -> its net, except for ``GAIN``, whose constants are measured
    WITH: CifarNetSpec(name="conv-local-11pct"),
    WITHOUT: CifarNetSpec(name="conv-local-11pct", norms=False),
    RELEASED: CifarNetSpec(name="conv-local-13pct"),
}
LOCAL = {"conv1": 0.0, "conv2": 0.0, "local3": 0.004, "local4": 0.004}
# layer-params-conv-local-*.cfg
DECAYS = {"conv-local-13pct": LOCAL | {"fc10": 0.004}, "conv-local-11pct": LOCAL | {"fc10": 0.01}}
QUANTITIES = ("test_top1", "test_top1_one", "train_top1", "gap")
ASKED = (("train", 1), ("test", 1), ("test", VIEWS))
AT_STAGES = (*ASKED, ("test", GRID))


class Settings(Frozen):
    """The notebook's parameters."""

    profile: Profile
    data: str
    count: int = Field(ge=0)  # training images; 0: all
    batch: int = Field(ge=1)
    epochs: int = Field(ge=3)
    rate: float = Field(gt=0)
    seeds: Seeds
    arms: tuple[str, ...] = (WITH, WITHOUT, RELEASED)
    gain_seed: int = Field(100, ge=0)  # of the net whose normalisations' mean gains are taken
    every_stage: bool = False  # also test on nine views, at the end of every stage
    long_epochs: int = Field(0, ge=0)  # the clean comparison also at this length; 0: no
    long_seeds: tuple[int, ...] = ()
    jobs: int = Field(1, ge=1)


class Outcome(NamedTuple):
    """What the notebook shows."""

    table: pd.DataFrame  # one row per run
    differences: pd.DataFrame  # against the net with its normalisations
    curves: pd.DataFrame  # variant, seed, epoch, loss, running_error
    # test error at the end of every stage: variant, seed, epochs (planned), epoch, views, error (%)
    stages: pd.DataFrame
    measurements: list[Measurement]
    runs: tuple[Run, ...]


def settings(**parameters: Any) -> Settings:
    """Return the notebook's parameters, checked.

    Raises InputError that names the first invalid one.
    """
    return validated(Settings, EXPERIMENT, parameters)


def recipe(
    settings: Settings,
    variant: str,
    seed: int,
    epochs: int | None = None,
    gains: tuple[float, ...] = (),
) -> Recipe:
    """Return the released recipe with its three stages scaled to ``epochs``.

    Biases learn at twice the rate, as in the released files. ``gains``: of ``GAIN``.
    """
    epochs = epochs or settings.epochs
    net = NETS[WITH].model_copy(update={"gains": gains}) if variant == GAIN else NETS[variant]
    return Recipe(
        data=Data(
            name=settings.data, count=settings.count or None, size=SIZE, crop=CROP, augment=True
        ),
        net=net,
        update=Update(rate=settings.rate, bias_rate_factor=2.0, layer_decays=DECAYS[net.name]),
        schedule=Steps(kind="steps", after=stages(epochs)),
        batch=settings.batch,
        epochs=epochs,
        keep_after=stages(epochs) if settings.every_stage else (),
        seed=seed,
    )


def stages(epochs: int) -> tuple[int, int]:
    """Return the epochs after which the rate drops, scaled to ``epochs`` in all.

    They are those of the released recipe; each stage is at least one epoch long.
    """
    second = min(epochs - 1, round(epochs * STAGES[1] / STAGES[2]))
    return min(second - 1, round(epochs * STAGES[0] / STAGES[2])), second


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    first, second = stages(settings.epochs)
    arms, seeds = len(settings.arms), len(settings.seeds)
    longer = (
        f"\nthen {WITH} and {WITHOUT} over {settings.long_epochs} epochs on seeds"
        f" {', '.join(map(str, settings.long_seeds))}"
    )
    return (
        f"{arms} nets on seeds {', '.join(map(str, settings.seeds))}:"
        f" {arms * seeds} runs, {settings.epochs} epochs each\nrate"
        f" {settings.rate:g}, a tenth of it after epoch {first}, a hundredth after epoch {second}"
        + (longer if settings.long_epochs else "")
    )


def task(
    settings: Settings, variant: str, seed: int, epochs: int = 0, gains: tuple[float, ...] = ()
) -> Task:
    """Return the run of an arm and its place; its name gives a length that is not the usual."""
    length = f"-{epochs}-epochs" if epochs else ""
    name = f"{variant.replace(' ', '-')}{length}-seed{seed}"
    wanted = recipe(settings, variant, seed, epochs or None, gains)
    evaluate = AT_STAGES if settings.every_stage else ASKED
    return Task(settings.profile, EXPERIMENT, name, wanted, evaluate)


def tasks(settings: Settings, gains: tuple[float, ...] = (1.0, 1.0)) -> list[Task]:
    """Return the runs, seed by seed and net by net, then the long ones.

    ``gains``: of ``GAIN``, known after the run of ``gain_seed`` only."""
    listed = [
        task(settings, variant, seed, gains=gains)
        for seed in settings.seeds
        for variant in settings.arms
    ]
    if GAIN in settings.arms:
        listed.append(task(settings, WITH, settings.gain_seed))
    if settings.long_epochs:
        listed += [
            task(settings, variant, seed, settings.long_epochs)
            for seed in settings.long_seeds
            for variant in (WITH, WITHOUT)
        ]
    return listed


def measured_gains(settings: Settings, workers: Workers) -> tuple[float, ...]:
    """Return the mean gains of the normalisations of the net trained on ``gain_seed``.

    They are stored, because they need its weights. () if no arm uses them.
    """
    if GAIN not in settings.arms:
        return ()
    wanted = task(settings, WITH, settings.gain_seed)
    path = paths.experiment(settings.profile, EXPERIMENT) / "gains.json"

    def make() -> dict[str, list[float]]:
        workers.run(wanted)
        return {"gains": list(mean_gains(wanted.recipe))}

    return tuple(kept(path, wanted.recipe.id, make)["gains"])


def run(settings: Settings) -> Outcome:
    """Train or load every net on every seed, and write the experiment's tables."""
    with Workers(settings.jobs) as workers:
        listed = tasks(settings, measured_gains(settings, workers))
        every = workers.all(listed)
    names = [variant for _ in settings.seeds for variant in settings.arms]
    runs = every[: len(names)]
    table = error_rows(runs, names)
    outcome = Outcome(
        table,
        beside_baseline.differences(table, WITH, QUANTITIES),
        pd.concat(
            [
                run.history.assign(variant=name, seed=run.task.recipe.seed)
                for run, name in zip(runs, names, strict=True)
            ]
        ),
        stage_rows(every),
        measure(settings, table, runs),
        tuple(every),
    )
    tables = {"table": outcome.table, "differences": outcome.differences, "stages": outcome.stages}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def stage_rows(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the test errors at the end of every stage.

    For runs that kept no weights on the way, only those at their end.
    """
    rows = []
    for one in runs:
        recipe = one.task.recipe
        for epoch in (*recipe.keep_after, None):
            for views in (1, GRID, VIEWS):
                errors = one.evaluation.get(answer_key("test", views, epoch))
                if errors is not None:
                    where = one.summary["epochs"] if epoch is None else epoch
                    error = PER_CENT * errors["top1"]
                    rows.append(
                        (variant_of(recipe), recipe.seed, recipe.epochs, where, views, error)
                    )
    columns = ["variant", "seed", "epochs", "epoch", "views", "error"]
    return pd.DataFrame(rows, columns=columns)


def variant_of(recipe: Recipe) -> str:
    """Return the arm of a recipe."""
    if recipe.net.gains:
        return GAIN
    return next(name for name, net in NETS.items() if net == recipe.net)


def measure(settings: Settings, table: pd.DataFrame, runs: Sequence[Run]) -> list[Measurement]:
    """Return the increase in test error without the normalisations, and that of the 13% net.

    Over ten views; the error of the net with its normalisations is subtracted from each.
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
        for variant in settings.arms
        if variant != WITH
    ]
