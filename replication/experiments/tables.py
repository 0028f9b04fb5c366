"""Section 6: Tables 1 and 2, the net for Fall 2009, and one view against ten (note 5).

The notebook is ``tables``. Table 1 is one net on the baseline's data. Table 2 is on a *target* data
set: single nets, the average of five, nets with a sixth convolutional layer that are trained on a
larger set of labels first and then fine-tuned on the target's, and the average of two such and the
five. Below the paper's scale the target is a part of the baseline's classes and the larger set all
of them: the same protocol on other images. The errors of this analogue cannot be compared with the
paper's, but its gains can be compared in direction.

Every average is over *members* nets of its own, so several groups of them give independent values.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
from pydantic import Field, model_validator

from replication.base import paths
from replication.base.models import Frozen, validated
from replication.base.types import Profile
from replication.data.splits import has_both
from replication.evaluation.ensemble import average
from replication.evaluation.metrics import errors
from replication.evaluation.probabilities import probabilities
from replication.experiments.common.baselines import baseline, task
from replication.experiments.common.comparison import (
    PER_CENT,
    VIEWS,
    Seeds,
    diverged,
    kept,
    ran,
    scale,
)
from replication.experiments.common.contract import store_tables
from replication.ledger.measurement import Measurement, measured
from replication.recipe import Recipe, Steps, Timeline
from replication.runs.store import Run, Task
from replication.runs.workers import Workers
from replication.training.schedule import LOGS

EXPERIMENT = "tables"
ASKED = (("test", 1), ("test", VIEWS))
# times the rate in the new last layer of a fine-tuned net; net 146 had 0.01 there and 0.001
# elsewhere at first
NEW_LAYER = 10.0
ONE, FIVE, PRE, SEVEN, LARGER = (
    "one net",
    "average of five",
    "one pre-trained net",
    "average of two pre-trained and five",
    "sixth layer",
)
FALL = "sixth layer on Fall 2009"


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
    jobs: int = Field(1, ge=1)  # training processes at a time

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.pretrained > self.members:
            raise ValueError(
                f"pretrained is {self.pretrained}; each pre-trained net is paired with one of the"
                f" {self.members} members"
            )
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
    measurements: list[Measurement]
    runs: tuple[Run, ...]


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
    return (
        f"table 1: the baseline on seeds {', '.join(map(str, settings.seeds))}, one view and"
        f" ten\ntable 2: {nets} nets on {classes} of {settings.target}, averaged in"
        f" {settings.groups} groups of {settings.members}\n{pre}"
    )


def recipe(settings: Settings, model: str, seed: int) -> Recipe:
    """Return the recipe of one net of Table 2.

    ``model``: ``ONE``, ``LARGER`` (pre-training alone), ``PRE`` (fine-tuned from it) or ``FALL``.
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
    """Return the runs of Table 1, then those of Table 2.

    Each pre-training comes before its fine-tuning.
    """
    first = [_table1(settings, seed) for seed in settings.seeds]
    one = [_task(settings, ONE, seed) for seed in _seeds(settings)]
    tuned = [
        _task(settings, model, seed)
        for seed in _pretrained_seeds(settings)
        for model in (LARGER, PRE)
    ]
    return [*first, *one, *tuned, *_fall2009(settings)]


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
    """Train or load every net, average them, and write the experiment's tables."""

    def one(seed: int) -> Run:
        return workers.run(_task(settings, ONE, seed))

    def tuned(seed: int) -> tuple[Run, Run]:
        return workers.run(_task(settings, LARGER, seed)), workers.run(_task(settings, PRE, seed))

    seeds, pairs = _seeds(settings), _pretrained_seeds(settings)
    with Workers(settings.jobs) as workers:
        first = workers.all([_table1(settings, seed) for seed in settings.seeds])
        nets = dict(zip(seeds, workers.chains(one, seeds), strict=True))
        pre = dict(zip(pairs, workers.chains(tuned, pairs), strict=True))
        fall = workers.all(_fall2009(settings))
    rows = _rows(settings, first, nets, pre, fall)
    table = pd.DataFrame(rows).astype({"seed": "Int64"})  # an average has no seed
    gains = gain_rows(table)
    runs = [*first, *nets.values(), *(run for pair in pre.values() for run in pair), *fall]
    outcome = Outcome(table, gains, measure(settings, table, gains, runs), tuple(runs))
    tables = {"table": outcome.table, "gains": outcome.gains}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def run_name(model: str, seed: int) -> str:
    """Return the name of a run of Table 2."""
    return f"{model.replace(' ', '-')}-seed{seed}"


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
    return Task(
        settings.profile,
        EXPERIMENT,
        run_name(model, seed),
        recipe(settings, model, seed),
        ASKED,
        keep_probabilities=True,
    )


def _rows(
    settings: Settings,
    first: Sequence[Run],
    nets: dict[int, Run],
    pre: dict[int, tuple[Run, Run]],
    fall: Sequence[Run] = (),
) -> list[dict[str, Any]]:
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

    for run in first:
        for key in ("test/1", f"test/{VIEWS}", "validation/1", f"val/{VIEWS}"):
            # not every recipe holds images out, and few data sets have a validation set besides a
            # test set
            if key in run.evaluation:
                add("table 1", ONE, 0, run.task.recipe.seed, key, run.evaluation[key])
    best = f"test/{VIEWS}"
    for run in fall:
        add("fall2009", FALL, 0, run.task.recipe.seed, best, run.evaluation[best])
    for group in range(settings.groups):
        members = [nets[seed] for seed in settings.seeds_of(group)]
        for run in members:
            add("table 2", ONE, group, run.task.recipe.seed, best, run.evaluation[best])
        add("table 2", FIVE, group, None, best, _average(settings, members))
        tuned = [pre[seed] for seed in settings.seeds_of(group) if seed in pre]
        for larger, fine in tuned:
            add("larger", LARGER, group, larger.task.recipe.seed, best, larger.evaluation[best])
            add("table 2", PRE, group, fine.task.recipe.seed, best, fine.evaluation[best])
        if tuned:
            add(
                "table 2",
                SEVEN,
                group,
                None,
                best,
                _average(settings, [fine for _, fine in tuned] + members),
            )
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


def gain_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the gain of each step of section 6 in top-1 and top-5 error.

    In percentage points, one row per seed, or per group of seeds. ``table``: columns data, model,
    group, seed, split, views, top1, top5. Gain of an average: the mean error of the group's single
    nets minus the average's. Of pre-training: the error of the net trained on the target alone
    minus the pre-trained net's of that seed.
    """
    rows = []
    for k in ("top1", "top5"):
        test = table[table["split"] == "test"]
        views = test[test["data"] == "table 1"].pivot(index="seed", columns="views", values=k)
        second = test[test["data"] == "table 2"]
        one, pre = (second[second["model"] == model].set_index("seed")[k] for model in (ONE, PRE))
        single = second[second["model"] == ONE].groupby("group")[k].mean()
        gains = {"ten views": views[1] - views[VIEWS], "pre-training": one.reindex(pre.index) - pre}
        for name, model in (("five", FIVE), ("seven", SEVEN)):
            gains[name] = (single - second[second["model"] == model].set_index("group")[k]).dropna()
        rows += [
            {"gain": name, "k": k, "unit": unit, "value": value}
            for name, values in gains.items()
            for unit, value in values.items()
        ]
    return pd.DataFrame(rows, columns=["gain", "k", "unit", "value"])


def measure(
    settings: Settings, table: pd.DataFrame, gains: pd.DataFrame, runs: Sequence[Run]
) -> list[Measurement]:
    """Measure every claim of section 6 that the available nets can answer.

    Errors are compared with the paper's only at the paper's scale.
    """
    measurements: list[Measurement] = []
    by_name = {run.task.name: run for run in runs}
    first, target = by_name[f"baseline-seed{settings.seeds[0]}"], by_name[run_name(ONE, 0)]
    larger, fine = by_name.get(run_name(LARGER, 0), target), by_name.get(run_name(PRE, 0), target)
    fall = by_name.get(run_name(FALL, settings.seeds[0]))
    seen = larger.provenance["data"]
    sixth = (
        f"pre-trained nets have a sixth convolutional layer and first saw {seen['images']:,} images"
        f" of {seen['classes']} classes"
    )
    remark = diverged(runs)

    def add(
        claim: str,
        variant: str,
        values: Sequence[float],
        shown: Run,
        reason: str = "",
        views: str = "ten views",
    ) -> None:
        if len(values):
            reasons = "; ".join(text for text in (reason, remark) if text)
            measurements.append(
                measured(
                    claim,
                    list(values),
                    variant=variant,
                    profile=settings.profile,
                    scale=scale(shown, views),
                    reason=reasons,
                    ran=ran(shown),
                )
            )

    def gained(name: str, k: str) -> list[float]:
        return gains.loc[(gains["gain"] == name) & (gains["k"] == k), "value"].tolist()

    def error(data: str, model: str, k: str) -> list[float]:
        rows = table[
            (table["data"] == data)
            & (table["model"] == model)
            & (table["split"] == "test")
            & (table["views"] == VIEWS)
        ]
        return rows[k].tolist()

    for k, name in (("top1", "top-1"), ("top5", "top-5")):
        add("ten-views", name, gained("ten views", k), first, views="one view and ten")
        add("table1-cnn", name, error("table 1", ONE, k), first)
        for claim, model, shown, reason in (
            ("table2-1cnn", ONE, target, ""),
            ("table2-5cnn", FIVE, target, ""),
            ("table2-1cnn-pre", PRE, fine, sixth),
            ("table2-7cnn", SEVEN, target, sixth),
        ):
            add(claim, name, error("table 2", model, k), shown, reason)
        analogue = "an analogue: nets with a sixth layer on the larger set of labels"
        shown, row, model = (fall, "fall2009", FALL) if fall else (larger, "larger", LARGER)
        add("fall2009", name, error(row, model, k), shown, "" if fall else analogue)
    for claim, name, variant, shown, reason in (
        ("table2-5cnn", "five", "gain of five", target, ""),
        ("table2-1cnn-pre", "pre-training", "gain of pre-training", fine, sixth),
        ("table2-7cnn", "seven", "gain of seven", target, sixth),
    ):
        add(claim, variant, gained(name, "top5"), shown, reason)
    for split, number, views in (("val", VIEWS, "ten views"), ("validation", 1, "one view")):
        sides = table[(table["data"] == "table 1") & (table["views"] == number)].pivot(
            index="seed", columns="split", values="top5"
        )
        if split in sides and not any(one.claim == "val-test" for one in measurements):
            aside = (
                ""
                if split == "val"
                else "images put aside from the training set stand in for a validation set"
            )
            values = (sides[split] - sides["test"]).abs().tolist()
            add("val-test", "", values, first, aside, views)
    return measurements
