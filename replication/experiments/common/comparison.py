"""Comparing runs: their errors as a table, and when a loss meets a target.

Serves the ablations of sections 3 to 5, section 3.3's nets for CIFAR-10, and Tables 1 and 2. Errors
are fractions in the runs and in per cent here, differences of errors in percentage points, as in
the paper.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, Field

from replication.base.epochs import TIMINGS
from replication.base.errors import unknown
from replication.base.text import counted
from replication.ledger.scale import Ran, describe
from replication.runs.store import Run

PER_CENT = 100.0
VIEWS = 10  # the paper's differences of errors are over ten views, and so are the logs'
QUANTITIES = {  # column of the error table -> what a reader calls it
    "test_top1": "test error, top-1, ten views",
    "test_top5": "test error, top-5, ten views",
    "train_top1": "training error, top-1, one view",
    "gap": "test minus training error, top-1, one view",
}
# of nets that leave training images over: these are test images too, five times as many at laptop
UNUSED = {"unused_top1": "error on unused training images, top-1, one view"}


# Where in its epoch a value belongs: a loss is the mean over all minibatches, each before its
# update, and a validation error is measured after them.
MID_EPOCH, END_OF_EPOCH = 0.5, 1.0

ERROR_COLUMNS = (  # of the error table
    "variant",
    "seed",
    "test_top1",
    "test_top5",
    "test_top1_one",
    "train_top1",
    "gap",
    "unused_top1",
    "epochs",
    "iterations",
    "ended",
    "run",
)


def some_of(kind: str, choices: Iterable[object]) -> AfterValidator:
    """Return the check of a parameter that lists some of ``choices``, each at most once.

    ``kind``: what one of them is, for the message of its ValueError."""
    every = tuple(choices)

    def check(values: tuple[Any, ...]) -> tuple[Any, ...]:
        for value in values:
            if value not in every:
                raise ValueError(unknown(kind, str(value), map(str, every)))
        if len(set(values)) < len(values):
            raise ValueError(f"one {kind} occurs twice; give each {kind} once")
        return values

    return AfterValidator(check)


def distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``seeds``. Raises ValueError if one occurs twice."""
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed occurs twice; give each seed once")
    return seeds


# the types of the seeds in an experiment's settings: of its runs, and of further ones
MoreSeeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], AfterValidator(distinct)]
Seeds = Annotated[MoreSeeds, Field(min_length=1)]


def error_rows(runs: Sequence[Run], names: Sequence[str]) -> pd.DataFrame:
    """Return one row per run, in their order: variant, seed, errors in per cent, end, folder.

    ``names``: the variants of ``runs``. Test errors are over ten views, ``test_top1_one`` over one.
    The training error is that of the trained net on its training images, one view, no augmentation,
    no dropout, and the gap is between errors over one view. Both are NaN for a run that was not
    evaluated on its training images, and ``unused_top1`` for one without images left over.
    """
    rows = []
    for run, name in zip(runs, names, strict=True):
        test, one, train, unused = (
            run.evaluation[f"test/{VIEWS}"],
            run.evaluation["test/1"],
            run.evaluation.get("train/1", {}),
            run.evaluation.get("unused/1", {}),
        )
        top1, train_top1 = PER_CENT * one["top1"], PER_CENT * train.get("top1", math.nan)
        rows.append(
            {
                "variant": name,
                "seed": run.task.recipe.seed,
                "test_top1": PER_CENT * test["top1"],
                "test_top5": PER_CENT * test["top5"],
                "test_top1_one": top1,
                "train_top1": train_top1,
                "gap": top1 - train_top1,
                "unused_top1": PER_CENT * unused.get("top1", math.nan),
                "epochs": run.summary["epochs"],
                "iterations": run.summary["iterations"],
                "ended": run.summary["ended"],
                "run": run.task.folder.name,
            }
        )
    return pd.DataFrame(rows, columns=ERROR_COLUMNS)


def crossing(values: Sequence[float], target: float, start: float, first: float) -> float:
    """Return the epochs until ``values``, one per epoch, first fall to ``target``; NaN if never.

    The curve is linear between the values and is ``start`` at epoch 0. The first value belongs to
    epoch ``first``, each other one to one epoch later. A ``target`` of ``start`` or more is met at
    epoch 0.
    """
    if start <= target:
        return 0.0
    before, then = start, 0.0
    for epoch, value in enumerate(values):
        here = epoch + first
        if value <= target:
            return then + (here - then) * (before - target) / (before - value)
        before, then = value, here
    return math.nan


def iterations_to_loss(run: Run, target: float) -> float:
    """Return the iterations until ``run``'s training loss meets ``target``; NaN if never.

    At the start the loss is that of a net that has learnt nothing.
    """
    if run.history.empty:
        return math.nan
    return (
        crossing(run.history["loss"].tolist(), target, guessing_loss(run), MID_EPOCH)
        * run.summary["iterations_per_epoch"]
    )


def iterations_to_validation(run: Run, target: float) -> float:
    """Return the iterations until ``run``'s validation error meets ``target``; NaN if never.

    The error is top-1, a fraction, measured after each epoch.
    """
    if "validation_error" not in run.history:
        return math.nan
    return (
        crossing(run.history["validation_error"].tolist(), target, guessing(run), END_OF_EPOCH)
        * run.summary["iterations_per_epoch"]
    )


def last_measured(table: pd.DataFrame, place: float) -> pd.Series:
    """Return the iterations of each run at which its last epoch's value was measured.

    A run that did not meet a target by then may have met it later, so they are what bounds it.
    ``table``: columns iterations and epochs, both complete; ``place``: MID_EPOCH or
    END_OF_EPOCH."""
    an_epoch = table["iterations"] / table["epochs"].clip(lower=1)  # a run may end in its first
    return table["iterations"] - (1 - place) * an_epoch


def guessing(run: Run) -> float:
    """Return the top-1 error, a fraction, of a net that guesses."""
    return 1 - 1 / run.provenance["data"]["classes"]


def halfway(runs: Sequence[Run]) -> float:
    """Return the validation error halfway from guessing to the lowest that all ``runs`` reach.

    This is a target that nobody has to choose. NaN if no images were held out.
    """
    if any("validation_error" not in run.history for run in runs):
        return math.nan
    return (guessing(runs[0]) + max(run.history["validation_error"].min() for run in runs)) / 2


def scale(run: Run, views: str = "one view") -> str:
    """Describe an experiment's scale from one of its runs, for ledger, tables and figures.

    The text names images, classes, net, length and views.
    """
    data, recipe = run.provenance["data"], run.task.recipe
    note = f" ({data['note']})" if data["note"] and data["note"] != data["name"] else ""
    side = f"{recipe.data.size} x {recipe.data.size}" + (
        f", crops of {recipe.data.crop}" if recipe.data.crop else ""
    )
    if recipe.net.family == "alexnet":
        towers = "one-tower" if recipe.net.towers == 1 else "two-tower"
        net = f"{towers} net ({recipe.net.fidelity})" + (
            f" at {recipe.net.width:g} of its width" if recipe.net.width != 1 else ""
        )
    else:
        net = f"net {recipe.net.name}"
    products = "" if recipe.precision == "float32" else f", {recipe.precision} products"
    return (
        f"{counted(data['images'], 'image')} of {counted(data['classes'], 'class')} of"
        f" {data['name']}{note}, {side},"
        f" {net}, at most {counted(recipe.epochs, 'epoch')}{products}, {views}"
    )


def ran(run: Run, target_error: float | None = None) -> Ran:
    """Return what decides whether ``run`` is at a claim's own scale, for the ledger.

    ``target_error``: the training error to which iterations were counted, a fraction."""
    return describe(run.task.recipe, run.provenance["data"], target_error)


def trained_on(run: Run) -> str:
    """Return "CPU" or "GPU"."""
    return "GPU" if run.provenance["device"].startswith("cuda") else "CPU"


def devices(trained: pd.Series) -> str:
    """Return the devices of several runs (``trained_on`` of each): "CPU", or "2 CPU, 1 GPU"."""
    counts = trained.value_counts().sort_index()
    return (
        counts.index[0] if len(counts) == 1 else ", ".join(f"{n} {of}" for of, n in counts.items())
    )


def diverged(runs: Sequence[Run]) -> str:
    """Name the runs whose loss was not finite or that learnt nothing; "" if there are none.

    Their errors count as they are.
    """
    broken = [run.task.name for run in runs if run.summary["ended"] == "diverged"]
    idle = [run.task.name for run in runs if run.task.name not in broken and not learnt(run)]
    remarks = (
        ("the loss was not finite in", broken),
        ("the training loss was never below that of chance in", idle),
    )
    return "; ".join(f"{text} {_few(names, len(runs))}" for text, names in remarks if names)


def _few(names: list[str], of: int) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} of {of} runs"


def learnt(run: Run) -> bool:
    """Return whether the training loss ever fell below that of guessing by a hundredth of it.

    Dropout and augmentation are part of that loss.
    """
    return run.history.empty or bool(run.history["loss"].min() < 0.99 * guessing_loss(run))


def guessing_loss(run: Run) -> float:
    """Return the loss of a net that has learnt nothing: ln K for K classes, in nats."""
    return math.log(run.provenance["data"]["classes"])


def speed(folder: Path) -> tuple[float, float]:
    """Return a run's training images per second, and the share of time spent waiting for a batch.

    ``folder``: of the run. NaN if no times were recorded. The first epoch, which also warms up, is
    left out if there are more."""
    if not (folder / TIMINGS).is_file():
        return math.nan, math.nan
    rows = pd.read_json(folder / TIMINGS, lines=True)
    rows = rows[1:] if len(rows) > 1 else rows
    seconds = rows["seconds"].sum() if len(rows) else 0.0
    if not seconds:
        return math.nan, math.nan
    return rows["images"].sum() / seconds, rows["waited"].sum() / seconds
