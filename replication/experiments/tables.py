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
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from replication.base import paths
from replication.base.errors import InputError
from replication.base.text import counted
from replication.evaluation import per_image
from replication.evaluation.ensemble import average
from replication.evaluation.metrics import errors
from replication.evaluation.probabilities import probabilities
from replication.evaluation.trained import can_evaluate
from replication.experiments.common.baselines import BASELINE
from replication.experiments.common.collect import collect, variant_of
from replication.experiments.common.comparison import PER_CENT, VIEWS
from replication.experiments.common.contract import settings_of, store_tables
from replication.experiments.common.image_noise import Images, images_of, mean_of, minus, wrong_in
from replication.experiments.common.learnt import learnt_tasks
from replication.experiments.common.table_gains import (
    FALL,
    FIVE,
    LARGER,
    ONE,
    PRE,
    SEVEN,
    control_rows,
    gain_rows,
    measure,
    run_name,
)
from replication.experiments.table_nets import (
    EXPERIMENT,
    Settings,
    control_tasks,
    tasks,
)
from replication.ledger.measurement import Measurement
from replication.runs.facts import AVERAGES, is_known, kept
from replication.runs.store import Run, Task, complete
from replication.runs.workers import Workers

PER_IMAGE = "per_image"  # in an average's facts
STAGE = "pre-training"  # of the campaign, which trains the controls
settings = settings_of(Settings, EXPERIMENT)


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
    # averages of stored nets that are not stored themselves, and whose weights or images are not
    # available
    left_out: tuple[str, ...] = ()


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    nets = settings.groups * settings.members
    classes = (
        counted(settings.target_classes, "class") if settings.target_classes else "all classes"
    )
    pre = (
        f"{counted(settings.groups * settings.pretrained, 'net')} with a sixth convolutional layer,"
        f" pre-trained on {settings.larger} and fine-tuned on the target"
        if settings.larger
        else "no pre-training: no data set with more labels is available"
    )
    beside = len(control_tasks(settings))
    if beside:
        pre += (
            f"\ncontrols without pre-training, six convolutional layers: {counted(beside, 'net')}"
        )
    return (
        f"table 1: the baseline on seeds {', '.join(map(str, settings.seeds))}, one view and"
        f" ten views\ntable 2: {counted(nets, 'net')} on {classes} of {settings.target}, averaged"
        f" in {counted(settings.groups, 'group')} of {settings.members}\n{pre}"
    )


def waits(settings: Settings) -> str:
    """Return why there is nothing to show yet; "" if there is."""
    if not settings.only_stored:
        return ""
    return _lacking(collect(tasks(settings), only_stored=True).runs)


def _lacking(runs: Sequence[Run]) -> str:
    """Return which of the two tables has no net among ``runs``; "" if both have one."""
    for name in ("baseline", run_name(ONE, 0).rpartition("-")[0]):
        if not any(variant_of(run.task) == name for run in runs):
            return f"no run of {name} is stored yet; only_stored=false trains the runs"
    return ""


def run(settings: Settings) -> Outcome:
    """Train or load every net, average them, and write the experiment's tables.

    Raises InputError if nothing is to be trained and a table has no stored net."""
    planned = tasks(settings)
    if settings.only_stored:
        runs, missing = collect(planned, only_stored=True)
    else:
        runs, missing = _trained(settings), []
    by_name = {run.task.name: run for run in runs}
    if reason := _lacking(runs):
        raise InputError(f"{EXPERIMENT}: {reason}")
    table = pd.DataFrame(_rows(settings, by_name)).astype({"seed": "Int64"})  # an average has none
    gains = gain_rows(table)
    controls = control_rows(runs)
    averages = _gain_images(settings, by_name)
    learnt = complete(learnt_tasks(settings.profile, BASELINE, settings.seeds))
    measurements = measure(settings.profile, table, gains, controls, runs, averages, learnt)
    left_out = _left_out(settings, by_name)
    outcome = Outcome(table, gains, controls, measurements, tuple(runs), tuple(missing), left_out)
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


def _rows(settings: Settings, by_name: Mapping[str, Run]) -> list[dict[str, Any]]:
    """Return the table's rows.

    An average is left out while one of its nets is not stored. If nothing is to be trained, also
    one whose errors are not stored and whose nets' weights or images are not available."""
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

    def add_average(model: str, group: int) -> None:
        runs = _members(settings, by_name, group).get(model, [])
        if runs and _can_average(settings, runs):
            add("table 2", model, group, None, best, _average(settings, runs))

    best = f"test/{VIEWS}"
    for seed in settings.seeds:
        if (run := by_name.get(f"baseline-seed{seed}")) is None:
            continue
        for key in ("test/1", best, "validation/1", f"val/{VIEWS}"):
            # not every recipe holds images out, and few data sets have a validation set besides a
            # test set
            if key in run.evaluation:
                add("table 1", ONE, 0, seed, key, run.evaluation[key])
    for run in _stored(by_name, FALL, settings.seeds):
        add("fall2009", FALL, 0, run.task.recipe.seed, best, run.evaluation[best])
    for group in range(settings.groups):
        seeds = settings.seeds_of(group)
        for run in _stored(by_name, ONE, seeds):
            add("table 2", ONE, group, run.task.recipe.seed, best, run.evaluation[best])
        add_average(FIVE, group)
        for seed in seeds:
            for model, data in ((LARGER, "larger"), (PRE, "table 2")):
                for run in _stored(by_name, model, [seed]):
                    add(data, model, group, seed, best, run.evaluation[best])
        add_average(SEVEN, group)
    return rows


def _stored(by_name: Mapping[str, Run], model: str, seeds: Sequence[int]) -> list[Run]:
    names = (run_name(model, seed) for seed in seeds)
    return [by_name[name] for name in names if name in by_name]


def _members(settings: Settings, by_name: Mapping[str, Run], group: int) -> dict[str, list[Run]]:
    """Return the nets of a group's averages, by model: of those whose nets are all stored."""
    seeds = settings.seeds_of(group)
    single, tuned = (_stored(by_name, model, seeds) for model in (ONE, PRE))
    if len(single) < settings.members:
        return {}
    whole = bool(tuned) and len(tuned) == settings.pretrained
    return {FIVE: single} | ({SEVEN: tuned + single} if whole else {})


def _gain_images(settings: Settings, by_name: Mapping[str, Run]) -> dict[str, list[Images | None]]:
    """Return what each average gains on each image in top-5 error, by model, one entry per group.

    That is the mean of the group's single nets minus the average, as in ``gain_rows``; None if the
    answers for single images are not stored."""
    found: dict[str, list[Images | None]] = {FIVE: [], SEVEN: []}
    for group in range(settings.groups):
        members = _members(settings, by_name, group)
        for model, runs in members.items():
            if _can_average(settings, runs):
                entry = _average(settings, runs).get(PER_IMAGE)
                together = None if entry is None else wrong_in(entry, 5)
                single = mean_of([images_of(run, "test_top5") for run in members[FIVE]])
                found[model].append(minus(single, together))
    return found


def _left_out(settings: Settings, by_name: Mapping[str, Run]) -> tuple[str, ...]:
    """Return the averages whose nets are stored and whose errors cannot be known here."""
    return tuple(
        f"{model}, group {group}"
        for group in range(settings.groups)
        for model, runs in _members(settings, by_name, group).items()
        if not _can_average(settings, runs)
    )


def _can_average(settings: Settings, runs: Sequence[Run]) -> bool:
    """Return whether the average is to be shown: it is stored, or its nets are here or wanted."""
    return (
        not settings.only_stored
        or is_known(_averages(settings), _key(runs), runs)
        or all(can_evaluate(run.task.recipe) for run in runs)
    )


def _average(settings: Settings, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the errors of the nets' averaged probabilities, with equal weights.

    They are stored with the results, because they need the nets' weights; so are the answers for
    single images, except with the oldest.
    """
    recipes = [run.task.recipe for run in runs]

    def make() -> dict[str, Any]:
        together = average([probabilities(recipe, "test", VIEWS) for recipe in recipes])
        ids = [recipe.id for recipe in recipes]
        return {"runs": ids, **errors(together), PER_IMAGE: per_image.packed(together)}

    return kept(_averages(settings), _key(runs), make, runs)


def _key(runs: Sequence[Run]) -> str:
    ids = " ".join(run.task.recipe.id for run in runs)
    return hashlib.sha256(ids.encode()).hexdigest()[:10]


def _averages(settings: Settings) -> Path:
    return paths.experiment(settings.profile, EXPERIMENT) / AVERAGES
