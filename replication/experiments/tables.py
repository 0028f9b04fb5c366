"""Section 6: Tables 1 and 2 and the net for Fall 2009, and note 5's one view against ten. The
notebook ``tables``.

Table 1 is one net on the baseline's data. Table 2 is on a *target* data set: single nets, the
average of five, nets with a sixth convolutional layer that are trained on a larger set of labels
first and then fine-tuned on the target's, and the average of two such and the five. Below the
paper's scale the target is a part of the baseline's classes and the larger set all of them: the
same protocol on other images, an analogue, whose errors are no match for the paper's while its
gains can be compared in direction.

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
    """What the notebook's parameters say; Table 1's runs are the baseline's, described in
    ``experiments.common.baselines``.
    """

    profile: Profile
    seeds: Seeds  # of Table 1's net
    target: str  # Table 2's data set
    target_classes: int = Field(ge=0)  # so many of its classes; 0: all
    target_count: int = Field(ge=0)  # training images, those put aside among them; 0: all
    target_validation: int = Field(ge=0)  # of which put aside
    target_epochs: int = Field(ge=1)
    # epochs after which the rate drops; none: as run 145 of 2012 was logged, scaled to
    # target_epochs
    target_drops: tuple[int, ...]
    # the data set with more labels, to train on first; "": there is none, and pre-training is not
    # run
    larger: str
    # Fall 2009, of which one half is trained on and the other held out, for section 6's net with a
    # sixth layer on 10,184 classes; "": it is in no catalog, and ``larger`` stands in for it
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
        """Seeds of a group's members; the first ``pretrained`` of them are those of its pre-trained
        nets.
        """
        return range(group * self.members, (group + 1) * self.members)


class Outcome(NamedTuple):
    """All that the notebook shows."""

    # one row for each net or average and number of views: data, model, group, seed, split, views,
    # images, errors
    table: pd.DataFrame
    # gain (ten views, five, pre-training, seven), top-k, value in percentage points, one row a seed
    # or group
    gains: pd.DataFrame
    measurements: list[Measurement]
    runs: tuple[Run, ...]


def settings(**parameters: Any) -> Settings:
    """The notebook's parameters, checked. Raises InputError that names the first one that will not
    do.
    """
    return validated(Settings, EXPERIMENT, parameters)


def plan(settings: Settings) -> str:
    """What will be run, in words."""
    nets = settings.groups * settings.members
    classes = f"{settings.target_classes} classes" if settings.target_classes else "all classes"
    pre = (
        f"{settings.groups * settings.pretrained} nets with a sixth layer, trained on"
        f" {settings.larger} and then on the target"
        if settings.larger
        else "no larger set of labels is at hand: pre-training is not run"
    )
    return (
        f"table 1: the baseline on seeds {', '.join(map(str, settings.seeds))}, one view and"
        f" ten\ntable 2: {nets} nets on {classes} of {settings.target}, averaged in"
        f" {settings.groups} groups of {settings.members}\n{pre}"
    )


def recipe(settings: Settings, model: str, seed: int) -> Recipe:
    """The recipe of one net of Table 2: ``ONE``, ``LARGER`` (pre-training alone) or ``PRE``
    (fine-tuned from it).
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
    """Return the runs of Table 1, then those of Table 2, each pre-training before its
    fine-tuning.
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
    """Seeds of the nets that are trained on the larger set of labels first; none without one."""
    if not settings.larger:
        return []
    return [
        seed
        for group in range(settings.groups)
        for seed in settings.seeds_of(group)[: settings.pretrained]
    ]


def run(settings: Settings) -> Outcome:
    """Train, or read where it was trained before, every net of the tables; average them; write the
    experiment's tables.
    """

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
    # an average has none
    rows = _rows(settings, first, nets, pre, fall)
    table = pd.DataFrame(rows).astype({"seed": "Int64"})
    gains = gain_rows(table)
    runs = [*first, *nets.values(), *(run for pair in pre.values() for run in pair), *fall]
    outcome = Outcome(table, gains, measure(settings, table, gains, runs), tuple(runs))
    tables = {"table": outcome.table, "gains": outcome.gains}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def run_name(model: str, seed: int) -> str:
    """How the run of a model of Table 2 is called."""
    return f"{model.replace(' ', '-')}-seed{seed}"


def _table1(settings: Settings, seed: int) -> Task:
    """The baseline; where the data set has a validation set, on every one of its training images
    and asked about that set, because nothing is decided on images put aside.
    """
    asked = replace(task(settings.profile, "baseline", seed), keep_probabilities=True)
    if not has_both(asked.recipe.data.name):
        return asked
    data = asked.recipe.data.model_copy(update={"validation": 0})
    questions = [one for one in asked.evaluate if one[0] != "validation"]
    return replace(
        asked,
        recipe=asked.recipe.model_copy(update={"data": data}),
        evaluate=(*questions, ("val", VIEWS)),
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
        data: str, model: str, group: int, seed: int | None, key: str, found: dict[str, Any]
    ) -> None:
        split, views = key.split("/")
        said = {
            "images": found["images"],
            "top1": PER_CENT * found["top1"],
            "top5": PER_CENT * found["top5"],
        }
        rows.append(
            {
                "data": data,
                "model": model,
                "group": group,
                "seed": seed,
                "split": split,
                "views": int(views),
                **said,
            }
        )

    for run in first:
        for key in ("test/1", f"test/{VIEWS}", "validation/1", f"val/{VIEWS}"):
            # not every recipe puts images aside, and few data sets have a validation set besides a
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
    """Errors of the nets' averaged probabilities, equal weights; kept with the results, because
    they need the nets' weights.
    """
    recipes = [run.task.recipe for run in runs]
    key = hashlib.sha256(" ".join(recipe.id for recipe in recipes).encode()).hexdigest()[:10]
    path = paths.experiment(settings.profile, EXPERIMENT) / "averages.json"

    def make() -> dict[str, Any]:
        found = errors(average([probabilities(recipe, "test", VIEWS) for recipe in recipes]))
        return {"runs": [recipe.id for recipe in recipes], **found}

    return kept(path, key, make)


def gain_rows(table: pd.DataFrame) -> pd.DataFrame:
    """What each step of section 6 gains in top-1 and top-5 error, percentage points; one row for
    each seed, or group of seeds.

    ``table``: columns data, model, group, seed, split, views, top1, top5. Gain of an average: the
    mean error of the group's single nets minus the average's. Of pre-training: the error of the net
    trained on the target alone minus the pre-trained net's of that seed."""
    rows = []
    for k in ("top1", "top5"):
        test = table[table["split"] == "test"]
        views = test[test["data"] == "table 1"].pivot(index="seed", columns="views", values=k)
        second = test[test["data"] == "table 2"]
        one, pre = (second[second["model"] == model].set_index("seed")[k] for model in (ONE, PRE))
        single = second[second["model"] == ONE].groupby("group")[k].mean()
        found = {"ten views": views[1] - views[VIEWS], "pre-training": one.reindex(pre.index) - pre}
        for name, model in (("five", FIVE), ("seven", SEVEN)):
            found[name] = (single - second[second["model"] == model].set_index("group")[k]).dropna()
        rows += [
            {"gain": name, "k": k, "unit": unit, "value": value}
            for name, values in found.items()
            for unit, value in values.items()
        ]
    return pd.DataFrame(rows, columns=["gain", "k", "unit", "value"])


def measure(
    settings: Settings, table: pd.DataFrame, gains: pd.DataFrame, runs: Sequence[Run]
) -> list[Measurement]:
    """Every claim of section 6 that the nets at hand can answer. Errors stand beside the paper's
    only where the scale is the paper's.
    """
    found: list[Measurement] = []
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
            found.append(
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
        if split in sides and not any(one.claim == "val-test" for one in found):
            aside = (
                ""
                if split == "val"
                else "images put aside from the training set stand in for a validation set"
            )
            values = (sides[split] - sides["test"]).abs().tolist()
            add("val-test", "", values, first, aside, views)
    return found
