"""Section 6: Tables 1 and 2, the net for Fall 2009, and one view against ten (note 5).

The notebook is ``tables``. Table 1 is one net on the baseline's data. Table 2 is on a *target* data
set: single nets, the average of five, nets with a sixth convolutional layer that are trained on a
larger set of labels first and then fine-tuned on the target's, and the average of two such and the
five. Below the paper's scale the target is a part of the baseline's classes and the larger set all
of them: the same protocol on other images. The errors of this analogue cannot be compared with the
paper's, but its gains can be compared in direction.

Every average is over *members* nets of its own, so several groups of them give independent values.

A pre-trained net differs from the net it is compared with in more than its first weights: it has a
layer more, and more updates. Two controls have the sixth layer and start from fresh weights, one
trained as long as the other nets on the target, one for as many updates as pre-training and
fine-tuning take together. With ``unused`` the target's nets are evaluated on the training images
that no net was trained on too, which are more than its test images.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
from pydantic import Field, model_validator

from replication.base import paths
from replication.base.errors import InputError
from replication.base.models import Frozen, validated
from replication.base.types import Profile
from replication.data.splits import has_both
from replication.evaluation.ensemble import average
from replication.evaluation.metrics import errors
from replication.evaluation.probabilities import probabilities
from replication.experiments.common.baselines import baseline, task
from replication.experiments.common.collect import collect, variant_of
from replication.experiments.common.comparison import PER_CENT, VIEWS, Seeds, kept
from replication.experiments.common.contract import store_tables
from replication.experiments.common.table_gains import (
    FALL,
    FIVE,
    LARGER,
    LONG,
    ONE,
    PRE,
    SEVEN,
    SIX,
    control_rows,
    gain_rows,
    measure,
    run_name,
)
from replication.ledger.measurement import Measurement
from replication.recipe import Recipe, Steps, Timeline
from replication.runs.store import Run, Task
from replication.runs.workers import Workers
from replication.training.schedule import LOGS

EXPERIMENT = "tables"
ASKED = (("test", 1), ("test", VIEWS))
# times the rate in the new last layer of a fine-tuned net; net 146 had 0.01 there and 0.001
# elsewhere at first
NEW_LAYER = 10.0
STAGE = "pre-training"  # of the campaign, which trains the controls


class Settings(Frozen):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    profile: Profile
    seeds: Seeds  # of Table 1's net
    target: str  # Table 2's data set
    target_classes: int = Field(ge=0)  # number of its classes; 0: all
    target_count: int = Field(ge=0)  # training images, those held out included; 0: all
    target_validation: int = Field(ge=0)  # of these, held out
    target_epochs: int = Field(ge=1)
    # epochs after which the rate drops; (): as in the log of run 145 of 2012, scaled to
    # target_epochs
    target_drops: tuple[int, ...]
    # the data set with more labels, to train on first; "": none, and pre-training is not run
    larger: str
    # Fall 2009, of which one half is trained on and the other held out, for section 6's net with a
    # sixth layer on 10,184 classes; "": not available, and ``larger`` replaces it
    fall2009: str = ""
    fine_epochs: int = Field(ge=1)
    fine_drops: tuple[int, ...]
    fine_rate: float = Field(gt=0)
    groups: int = Field(ge=1)  # independent averages
    members: int = Field(ge=2)  # nets in an average, five in Table 2
    pretrained: int = Field(ge=0)  # pre-trained nets in an average, two in Table 2
    # epochs of the six-layer net with as many updates as a pre-trained one; 0: no controls
    control_epochs: int = Field(0, ge=0)
    unused: bool = (
        False  # evaluate on the target's training images that ``target_count`` leaves out
    )
    only_stored: bool = False  # show what is stored so far, and train nothing
    jobs: int = Field(1, ge=1)  # training processes at a time

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.pretrained > self.members:
            raise ValueError(
                f"pretrained is {self.pretrained}; each pre-trained net is paired with one of the"
                f" {self.members} members"
            )
        if self.unused and not self.target_count:
            raise ValueError("unused needs a target_count that leaves images out")
        return self

    def seeds_of(self, group: int) -> range:
        """Return the seeds of a group's members.

        The first ``pretrained`` of them are those of its pre-trained nets.
        """
        return range(group * self.members, (group + 1) * self.members)


class Outcome(NamedTuple):
    """What the notebook shows."""

    # one row per net or average and number of views: data, model, group, seed, split, views,
    # images, errors
    table: pd.DataFrame
    # gain (ten views, five, pre-training, seven), top-k, value in percentage points, one row per
    # seed or group
    gains: pd.DataFrame
    # one row per run of Table 2's nets and controls: model, seed, sixth (layer), updates (those of
    # its pre-training included), test (top-1 and top-5, ten views), unused (one view), per cent
    controls: pd.DataFrame
    measurements: list[Measurement]
    runs: tuple[Run, ...]
    missing: tuple[Task, ...]  # not stored yet


def settings(**parameters: Any) -> Settings:
    """Return the notebook's parameters, checked.

    Raises InputError that names the first invalid one.
    """
    return validated(Settings, EXPERIMENT, parameters)


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    nets = settings.groups * settings.members
    classes = f"{settings.target_classes} classes" if settings.target_classes else "all classes"
    pre = (
        f"{settings.groups * settings.pretrained} nets with a sixth layer, trained on"
        f" {settings.larger} and then on the target"
        if settings.larger
        else "no larger set of labels is available: pre-training is not run"
    )
    beside = len(control_tasks(settings))
    if beside:
        pre += f"\ncontrols of pre-training, six layers from fresh weights: {beside} nets"
    return (
        f"table 1: the baseline on seeds {', '.join(map(str, settings.seeds))}, one view and"
        f" ten\ntable 2: {nets} nets on {classes} of {settings.target}, averaged in"
        f" {settings.groups} groups of {settings.members}\n{pre}"
    )


def recipe(settings: Settings, model: str, seed: int) -> Recipe:
    """Return the recipe of one net of Table 2.

    ``model``: ``ONE``, ``LARGER`` (pre-training alone), ``PRE`` (fine-tuned from it), ``SIX`` and
    ``LONG`` (its controls) or ``FALL``.
    """
    data = {
        "name": settings.target,
        "classes": settings.target_classes or None,
        "count": settings.target_count or None,
        "validation": settings.target_validation,
    }
    sixth = {"sixth_conv": True}
    if model == FALL:
        return baseline(settings.profile, seed, data={"name": settings.fall2009}, net=sixth)
    if model == ONE:
        return baseline(
            settings.profile,
            seed,
            data=data,
            **_length(settings.target_epochs, settings.target_drops),
        )
    if model in (SIX, LONG):
        epochs = settings.target_epochs if model == SIX else settings.control_epochs
        drops = tuple(
            round(drop * epochs / settings.target_epochs) for drop in settings.target_drops
        )
        return baseline(settings.profile, seed, data=data, net=sixth, **_length(epochs, drops))
    first = baseline(settings.profile, seed, data={"name": settings.larger}, net=sixth)
    if model == LARGER:
        return first
    update = {"rate": settings.fine_rate, "layer_rates": {"fc8": NEW_LAYER}}
    length = _length(settings.fine_epochs, settings.fine_drops)
    return baseline(
        settings.profile, seed, data=data, net=sixth, update=update, init_from=first.id, **length
    )


def _length(epochs: int, drops: tuple[int, ...]) -> dict[str, Any]:
    if not drops:
        return {"epochs": epochs, "schedule": Timeline(kind="timeline", name="145")}
    log = LOGS["145-2010"]
    return {
        "epochs": epochs,
        "schedule": Steps(
            kind="steps", after=drops, colour_off=round(epochs * log.conv1_cut / log.stop)
        ),
    }


def tasks(settings: Settings) -> list[Task]:
    """Return the runs of Table 1, then those of Table 2, and the controls.

    Each pre-training comes before its fine-tuning.
    """
    first = [_table1(settings, seed) for seed in settings.seeds]
    one = [_task(settings, ONE, seed) for seed in _seeds(settings)]
    tuned = [
        _task(settings, model, seed)
        for seed in _pretrained_seeds(settings)
        for model in (LARGER, PRE)
    ]
    return [*first, *one, *tuned, *_fall2009(settings), *control_tasks(settings)]


def control_tasks(settings: Settings) -> list[Task]:
    """Return the runs of the nets that pre-training is compared with, seed by seed."""
    if not settings.control_epochs:
        return []
    return [
        _task(settings, model, seed)
        for seed in _pretrained_seeds(settings)
        for model in (SIX, LONG)
    ]


def _fall2009(settings: Settings) -> list[Task]:
    seeds = settings.seeds if settings.fall2009 else ()
    return [_task(settings, FALL, seed) for seed in seeds]


def _seeds(settings: Settings) -> list[int]:
    return [seed for group in range(settings.groups) for seed in settings.seeds_of(group)]


def _pretrained_seeds(settings: Settings) -> list[int]:
    """Return the seeds of the nets pre-trained on the larger set; [] if there is no such set."""
    if not settings.larger:
        return []
    return [
        seed
        for group in range(settings.groups)
        for seed in settings.seeds_of(group)[: settings.pretrained]
    ]


def run(settings: Settings) -> Outcome:
    """Train or load every net, average them, and write the experiment's tables.

    Raises InputError if nothing is to be trained and a table has no stored net."""
    asked = tasks(settings)
    if settings.only_stored:
        runs, missing = collect(asked, only_stored=True)
    else:
        runs, missing = _trained(settings), []
    by_name = {run.task.name: run for run in runs}
    for name in ("baseline", run_name(ONE, 0).rpartition("-")[0]):
        if not any(variant_of(run.task) == name for run in runs):
            raise InputError(f"{EXPERIMENT}: no run of {name} is stored; set only_stored=false")
    table = pd.DataFrame(_rows(settings, by_name)).astype({"seed": "Int64"})  # an average has none
    gains = gain_rows(table)
    controls = control_rows(runs)
    measurements = measure(settings.profile, table, gains, controls, runs)
    outcome = Outcome(table, gains, controls, measurements, tuple(runs), tuple(missing))
    tables = {"table": table, "gains": gains}
    if settings.control_epochs:
        tables["controls"] = controls
    store_tables(settings.profile, EXPERIMENT, tables, measurements)
    return outcome


def _trained(settings: Settings) -> list[Run]:
    """Return every run in the order of ``tasks``; a fine-tuning waits for its own pre-training."""

    def chain(dependent: list[Task]) -> list[Run]:
        return [workers.run(one) for one in dependent]

    chains: list[list[Task]] = []
    for one in tasks(settings):
        if one.recipe.init_from:
            chains[-1].append(one)
        else:
            chains.append([one])
    with Workers(settings.jobs) as workers:
        return [run for runs in workers.chains(chain, chains) for run in runs]


def _table1(settings: Settings, seed: int) -> Task:
    """Return the baseline's run, with the validation set evaluated if the data has one.

    In that case it is trained on every training image, because nothing is decided on held-out ones.
    """
    baseline_task = replace(task(settings.profile, "baseline", seed), keep_probabilities=True)
    if not has_both(baseline_task.recipe.data.name):
        return baseline_task
    data = baseline_task.recipe.data.model_copy(update={"validation": 0})
    evaluations = [one for one in baseline_task.evaluate if one[0] != "validation"]
    return replace(
        baseline_task,
        recipe=baseline_task.recipe.model_copy(update={"data": data}),
        evaluate=(*evaluations, ("val", VIEWS)),
    )


def _task(settings: Settings, model: str, seed: int) -> Task:
    on_target = model not in (LARGER, FALL)
    return Task(
        settings.profile,
        EXPERIMENT,
        run_name(model, seed),
        recipe(settings, model, seed),
        ASKED + ((("unused", 1),) if settings.unused and on_target else ()),
        keep_probabilities=True,
    )


def _rows(settings: Settings, by_name: Mapping[str, Run]) -> list[dict[str, Any]]:
    """Return the table's rows. An average is left out while one of its nets is not stored."""
    rows = []

    def add(
        data: str, model: str, group: int, seed: int | None, key: str, evaluation: dict[str, Any]
    ) -> None:
        split, views = key.split("/")
        errors_of = {
            "images": evaluation["images"],
            "top1": PER_CENT * evaluation["top1"],
            "top5": PER_CENT * evaluation["top5"],
        }
        rows.append(
            {
                "data": data,
                "model": model,
                "group": group,
                "seed": seed,
                "split": split,
                "views": int(views),
                **errors_of,
            }
        )

    def of(model: str, seeds: Sequence[int]) -> list[Run]:
        names = (run_name(model, seed) for seed in seeds)
        return [by_name[name] for name in names if name in by_name]

    best = f"test/{VIEWS}"
    for seed in settings.seeds:
        if (run := by_name.get(f"baseline-seed{seed}")) is None:
            continue
        for key in ("test/1", best, "validation/1", f"val/{VIEWS}"):
            # not every recipe holds images out, and few data sets have a validation set besides a
            # test set
            if key in run.evaluation:
                add("table 1", ONE, 0, seed, key, run.evaluation[key])
    for run in of(FALL, settings.seeds):
        add("fall2009", FALL, 0, run.task.recipe.seed, best, run.evaluation[best])
    for group in range(settings.groups):
        seeds = settings.seeds_of(group)
        members = of(ONE, seeds)
        for run in members:
            add("table 2", ONE, group, run.task.recipe.seed, best, run.evaluation[best])
        whole = len(members) == settings.members
        if whole:
            add("table 2", FIVE, group, None, best, _average(settings, members))
        for seed in seeds:
            for model, data in ((LARGER, "larger"), (PRE, "table 2")):
                for run in of(model, [seed]):
                    add(data, model, group, seed, best, run.evaluation[best])
        tuned = of(PRE, seeds)
        if whole and tuned and len(tuned) == settings.pretrained:
            add("table 2", SEVEN, group, None, best, _average(settings, tuned + members))
    return rows


def _average(settings: Settings, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the errors of the nets' averaged probabilities, with equal weights.

    They are stored with the results, because they need the nets' weights.
    """
    recipes = [run.task.recipe for run in runs]
    key = hashlib.sha256(" ".join(recipe.id for recipe in recipes).encode()).hexdigest()[:10]
    path = paths.experiment(settings.profile, EXPERIMENT) / "averages.json"

    def make() -> dict[str, Any]:
        average_errors = errors(
            average([probabilities(recipe, "test", VIEWS) for recipe in recipes])
        )
        return {"runs": [recipe.id for recipe in recipes], **average_errors}

    return kept(path, key, make)
