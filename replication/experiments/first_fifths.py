"""The error of each epoch's first fifth, as the number of the epoch before: runs and table.

cuda-convnet prints the training error of each of CIFAR-10's five files, and plots the first one at
epoch 0. Then the number at an epoch's end is that of the next epoch's first file. Only the race's
net is trained for this, with the images in shuffled and in stored order, on seeds of its own. The
protocol is in ``figure1``.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from replication.base.statistics import Interval, mean_interval
from replication.experiments.candidates import CANDIDATES, PAIR, RACE, Candidate, Kind
from replication.experiments.figure1 import FIRST_FIFTH, Settings, Trial, search, task
from replication.experiments.identification import Arm, errors_of
from replication.paper.figures import start
from replication.runs.store import Task

STORED_ORDER = "stored-order"
UNMEASURED = {"exact_error": False, "stop_on": "running"}


def tasks(settings: Settings) -> list[Task]:
    """Return the runs for the error of each first fifth, of every curve whose rate is chosen."""
    return [
        one
        for candidate, kind, rate in curves(settings)
        for one in of_curve(settings, candidate, kind, rate)
    ]


def curves(settings: Settings) -> list[tuple[Candidate, Kind, float]]:
    """Return candidate, activation and rate of the curves whose first fifths are recorded.

    The race's net, and the same with the images in stored order: at its own rate, or at the race's
    as long as that is not chosen."""
    if not settings.first_fifth_seeds:
        return []
    found = []
    for kind in PAIR:
        race = search(settings, RACE, kind)
        if not race.ended or not race.rate:
            continue
        found.append((RACE, kind, race.rate))
        if STORED_ORDER in settings.candidates:
            own = search(settings, CANDIDATES[STORED_ORDER], kind)
            rate = own.rate if own.ended and own.rate else race.rate
            found.append((CANDIDATES[STORED_ORDER], kind, rate))
    return found


def of_curve(settings: Settings, candidate: Candidate, kind: Kind, rate: float) -> list[Task]:
    """Return the runs that record the error of each first fifth, as long as those of the race.

    They do not measure the exact error, which costs as much as a third of the training, and end by
    the mean over an epoch's minibatches instead."""
    found = []
    for seed in settings.first_fifth_seeds:
        stop = settings.stop_error
        trial = Trial(candidate, kind, rate, seed, settings.epochs, stop, "fifths")
        one = task(settings, trial)
        found.append(replace(one, recipe=one.recipe.model_copy(update=UNMEASURED)))
    return found


def starts(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return where our curves and the paper's start, at epoch 0.

    One row per arm: candidate, curve, rate, n, mean, low, high (over seeds), paper; fractions."""
    rows = []
    for arm in arms:
        first = [errors[0] for run in arm.runs if (errors := errors_of(run, FIRST_FIFTH))]
        if first:
            row = {"candidate": arm.candidate, "curve": arm.kind, "rate": f"{arm.rate:g}"}
            row |= {"n": len(first), **mean_interval(first)._asdict(), "paper": start(arm.kind)}
            rows.append(row)
    columns = ["candidate", "curve", "rate", "n", *Interval._fields, "paper"]
    return pd.DataFrame(rows, columns=columns)


def table(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return the race's curves by the first fifth of the next epoch, from epoch 0 on.

    Columns: activation, seed, epoch, ``FIRST_FIFTH``, selection."""
    rows = [
        {"activation": arm.kind, "seed": run.task.recipe.seed, "epoch": epoch, FIRST_FIFTH: error}
        for arm in arms
        if arm.candidate == RACE.name
        for run in arm.runs
        for epoch, error in enumerate(errors_of(run, FIRST_FIFTH))
    ]
    columns = ["activation", "seed", "epoch", FIRST_FIFTH]
    return pd.DataFrame(rows, columns=columns).assign(selection=False)
