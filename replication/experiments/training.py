"""Section 5: learning curves, the rule that lowers the rate, speed, and two variants.

The runs are those of the ablations (the baseline, biases at 0, no weight decay) and one more under
section 5's own rule: divide the rate by 10 when the validation error stops improving, three times,
then stop. A profile with a baseline that has learnt shows its runs too, as far as they are stored.
The claims about biases and weight decay are measured in ``ablations``; the claim about the rule is
checked here, on the logs of 2012.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from pydantic import Field

from replication.base.models import Frozen
from replication.base.types import Profile
from replication.experiments.common.baselines import baseline, task
from replication.experiments.common.collect import collect
from replication.experiments.common.comparison import PER_CENT, MoreSeeds, Seeds, speed
from replication.experiments.common.contract import settings_of, store_tables
from replication.experiments.common.curves import curves
from replication.experiments.common.learnt import learnt_tasks
from replication.ledger.measurement import Measurement, checked
from replication.paper import claim as find_claim
from replication.recipe import Plateau, Recipe
from replication.recipes import named
from replication.runs.store import Run, Task
from replication.runs.workers import Workers
from replication.training.schedule import LOGS, Log

EXPERIMENT = "training"
BASELINE, ZERO, NO_DECAY, RULE = "baseline", "biases-zero", "no-weight-decay", "plateau"
LEARNT = "learnt"  # the baseline that has learnt
PAPER_RATE = 0.01  # section 5
MAIN = "145-2010"  # the logged run of Table 1


class Settings(Frozen):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    profile: Profile
    seeds: Seeds
    patience: int = Field(ge=1)  # epochs without improvement until the rule lowers the rate
    most_epochs: int = Field(ge=1)  # of the run under the rule
    # of the baseline that has learnt: of these, the stored runs are shown, and none is trained
    learnt_seeds: MoreSeeds = ()
    jobs: int = Field(1, ge=1)  # training processes at a time


settings = settings_of(Settings, EXPERIMENT)


class Outcome(NamedTuple):
    """What the notebook shows."""

    recipe: Recipe  # the baseline's
    # variant, seed, epoch, loss, running_error, validation_error, rate, decision; one row per epoch
    curves: pd.DataFrame
    speed: pd.DataFrame  # variant, seed, images/s, share of the time spent waiting for a batch
    # variant, seed, training and test error in per cent, with and without weight decay
    decay: pd.DataFrame
    # seed, epochs, training and test error and that of unused images in per cent, of both baselines
    gap: pd.DataFrame
    measurements: list[Measurement]
    runs: tuple[Run, ...]


def tasks(settings: Settings) -> list[Task]:
    """Return the runs of the variants and the one under the plateau rule."""
    return [task for _, task in named_tasks(settings)]


def named_tasks(settings: Settings) -> list[tuple[str, Task]]:
    """Return the runs, each with the name of its variant."""
    shared = [
        (variant, task(settings.profile, variant, seed))
        for seed in settings.seeds
        for variant in (BASELINE, ZERO, NO_DECAY)
    ]
    schedule = Plateau(kind="plateau", patience=settings.patience)
    seed = settings.seeds[0]
    rule = baseline(settings.profile, seed, schedule=schedule, epochs=settings.most_epochs)
    return [*shared, (RULE, Task(settings.profile, EXPERIMENT, f"{RULE}-seed{seed}", rule))]


def run(settings: Settings) -> Outcome:
    """Train or load every run of the chapter, and write its tables."""
    names, wanted = zip(*named_tasks(settings), strict=True)
    with Workers(settings.jobs) as workers:
        runs = workers.all(wanted)
    later = learnt_tasks(settings.profile, BASELINE, settings.learnt_seeds)
    learnt = collect(later, only_stored=True, needed=("train/1", "test/1")).runs
    runs, names = [*learnt, *runs], (*[LEARNT] * len(learnt), *names)
    fit = fit_rows(runs, names)
    outcome = Outcome(
        wanted[0].recipe,
        curves(runs, names),
        speed_rows(runs, names),
        fit[fit["variant"] != LEARNT].drop(columns=["epochs", "unused"]),
        fit[fit["variant"] != NO_DECAY],
        [measure(settings.profile)],
        tuple(runs),
    )
    tables = {"speed": outcome.speed, "decay": outcome.decay, "gap": outcome.gap}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def measure(profile: Profile, logs: Mapping[str, Log] = LOGS) -> Measurement:
    """Check the claim on the logs of 2012: every run has its three drops before its end.

    A log whose third drop is not noted is left out, and named."""
    rate = named("alexnet-2012", "paper").update.rate
    complete = {name: log for name, log in logs.items() if log.third < log.stop or name == MAIN}
    dates = {name: (log.first, log.second, log.third) for name, log in complete.items()}
    kept = [
        name
        for name, drops in dates.items()
        if 0 < drops[0] < drops[1] < drops[2] < complete[name].stop
    ]
    main, *others = complete
    left_out = [name for name in logs if name not in complete]
    partial = f"; left out, for its third drop is not noted: {', '.join(left_out)}"
    shown = ", ".join(map(str, dates[main]))
    return checked(
        "three-drops",
        value=(
            f"{len(kept)} of {len(complete)} logged runs; run {main} after epochs {shown} of"
            f" {complete[main].stop}"
        ),
        expected=f"{find_claim('three-drops').paper} from {PAPER_RATE:g}",
        holds=len(kept) == len(complete) and math.isclose(rate, PAPER_RATE),
        profile=profile,
        scale="the logs of the 2012 source",
        reason=(
            f"also runs {', '.join(others)}{partial * bool(left_out)}; made by hand, and for conv1"
            " at other dates; the logs do not say whether the validation error had stopped"
            " improving"
        ),
    )


def speed_rows(runs: Sequence[Run], names: Sequence[str]) -> pd.DataFrame:
    """Return training images per second of every run, and the share of time spent waiting.

    Waiting is for a batch.
    """
    rows = [
        (name, run.task.recipe.seed, *speed(run.task.folder))
        for run, name in zip(runs, names, strict=True)
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "images_per_second", "waiting"])


def fit_rows(runs: Sequence[Run], names: Sequence[str]) -> pd.DataFrame:
    """Return how far both baselines, and that without weight decay, fit their training images.

    One row per run: variant, seed, epochs, and the top-1 errors train, test and unused in per cent,
    over one view: of the training images as they are, of the test images, and of the images of the
    training set that no run trains on (NaN if the run was not evaluated on them).
    """
    return pd.DataFrame(
        {"variant": name, "seed": run.task.recipe.seed, "epochs": run.summary["epochs"]}
        | {
            split: PER_CENT * run.evaluation[f"{split}/1"]["top1"]
            if f"{split}/1" in run.evaluation
            else math.nan
            for split in ("train", "test", "unused")
        }
        for run, name in zip(runs, names, strict=True)
        if name in (BASELINE, LEARNT, NO_DECAY)
    )


def rate_text(rate: float) -> str:
    """Return a learning rate in decimals, as the paper writes it: 0.00001, not 1e-05."""
    return f"{rate:.8f}".rstrip("0").rstrip(".")
