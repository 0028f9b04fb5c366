"""What conv1 has learned in the two towers, and whether they specialise in every run.

Figure 3 and section 6.1. The nets are the baselines of the other experiments. As a control, nets
with the same number of conv1 kernels in one tower are trained, and their kernels dealt to two
towers at random: there, specialisation can only be chance. A profile may name the recipe of one
large net, which takes too long to train on several seeds; its kernels are then the ones shown. The
same test is applied to the paper's own kernels, as far as Figure 3 shows them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from replication.analysis import kernels as analysis
from replication.base import paths
from replication.base.errors import InputError
from replication.base.models import Frozen
from replication.base.text import counted
from replication.base.types import Profile
from replication.evaluation.artefacts import KERNELS, write_kernels
from replication.evaluation.trained import can_evaluate
from replication.experiments.common import baselines, first_layer
from replication.experiments.common.baselines import BASELINE
from replication.experiments.common.collect import Collected, collect, nothing_yet
from replication.experiments.common.comparison import MoreSeeds, Seeds, diverged, ran, scale
from replication.experiments.common.contract import settings_of, store_tables
from replication.ledger.measurement import Measurement, measured
from replication.paper.figures import figure3
from replication.recipes import chosen
from replication.runs.store import Run, Task, load

EXPERIMENT = "kernels"
TOWERS, CONTROL, LARGE = "two towers", "one tower, dealt at random", "large net, two towers"
EARLY = "two towers that read each other from conv2 on"
PAPER = "the paper's Figure 3"
STAGE = "specialisation"  # of the campaign, which trains the nets that have learnt
# in a net: of fewer kernels, chance makes less than one selective, so a run's share says nothing
MIN_KERNELS = 20
SURE = 0.05  # a run's towers differ if chance gives such a difference more rarely than this


class Settings(Frozen):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    profile: Profile
    seeds: Seeds
    # of the nets with one tower; none: no control
    control_seeds: MoreSeeds
    # of the nets whose towers read each other from conv2 on; none: not this control
    early_seeds: MoreSeeds = ()
    regime: baselines.Regime = "first"  # which baseline, where a profile has two
    # at which width: "twice-width" has twice as many kernels to share out
    width: Literal["baseline", "twice-width"] = "baseline"
    # the file of a recipe, from the project's root: one more net, whose kernels are shown; "": none
    large: str = ""
    only_stored: bool = False  # show what is stored so far, and train nothing
    jobs: int = Field(1, ge=1)  # training processes at a time


settings = settings_of(Settings, EXPERIMENT)


class Outcome(NamedTuple):
    """What the notebook shows."""

    # one row per kernel: net, seed, tower, kernel, its measures, and in which of them it is more
    # selective than chance
    kernels: pd.DataFrame
    table: pd.DataFrame  # one row per net, seed and tower: means and shares
    tests: pd.DataFrame  # one row per net and seed: the test of specialisation
    marks: dict[str, float]  # the limit of each measure that 5% of untrained kernels pass
    # conv1's kernels (n, 3, k, k) of each tower: of the large net, or of the first seed's
    shown: list[np.ndarray]
    pictured: Run  # the net that has them
    measurements: list[Measurement]
    runs: tuple[Run, ...]
    missing: tuple[Task, ...]  # not stored yet, or without weights here


def control(settings: Settings, seed: int) -> Task:
    """Return the run of the one-tower net with the same number of kernels in conv1 to conv4.

    conv5 and the hidden layers, not halved there, have twice as many.
    """
    two = baselines.variant(settings.profile, settings.width, seed, settings.regime)
    changes = {"towers": 1, "width": 2 * two.net.width}
    recipe = baselines.baseline(settings.profile, seed, settings.regime, net=changes)
    prefix = "" if settings.width == BASELINE else f"{settings.width}-"
    return Task(settings.profile, EXPERIMENT, f"{prefix}one-tower-seed{seed}", recipe)


def large_net(profile: Profile, file: str) -> list[Task]:
    """Return the run of the recipe in ``file``, a path from the project's root; none for "".

    It is trained once for all experiments.
    """
    return (
        [Task(profile, EXPERIMENT, "large", chosen(str(paths.ROOT / file), profile))]
        if file
        else []
    )


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    return (
        f"{baselines.planned(settings.regime, settings.seeds)}\n"
        f"control, one tower of twice the width: {_seeds(settings.control_seeds)}"
        + (f"\n{EARLY}: {_seeds(settings.early_seeds)}" if settings.early_seeds else "")
        + (f"\nand one large net: {settings.large}" if settings.large else "")
    )


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seeds {', '.join(map(str, seeds))}" if seeds else "none"


def tasks(settings: Settings) -> list[Task]:
    """Return the runs: two towers, the control, the large net."""
    every = [task for group in grouped_tasks(settings).values() for task in group]
    shown = every[-1] if settings.large else every[0]
    return [replace(task, needs_weights=not _is_published(task, task is shown)) for task in every]


def _is_published(task: Task, shown: bool) -> bool:
    """Return whether the page can be made without this net: by its measures, and its kernels.

    ``shown``: its kernels are pictured."""
    stored = load(task)
    if stored is None:
        return False
    folder = paths.experiment(task.profile, EXPERIMENT)
    if shown:
        return first_layer.published(_kernels_file(task.profile), folder, stored) is not None
    return first_layer.are_known(folder, stored)


def _kernels_file(profile: Profile) -> Path:
    return paths.stored(profile, EXPERIMENT, KERNELS)


def _pictured(profile: Profile, runs: Sequence[Run]) -> Run | None:
    """Return the net to picture: the large one, or the first whose kernels can be shown."""
    folder, file = paths.experiment(profile, EXPERIMENT), _kernels_file(profile)
    ordered = sorted(runs, key=lambda one: one.task.name != "large")
    return next((one for one in ordered if first_layer.can_be_shown(file, folder, one)), None)


def grouped_tasks(settings: Settings) -> dict[str, list[Task]]:
    """Return the runs by kind of net."""
    profile, regime, width = settings.profile, settings.regime, settings.width
    early = "early-crossing" if width == BASELINE else f"{width}-early-crossing"
    return {
        TOWERS: [baselines.task(profile, width, seed, regime) for seed in settings.seeds],
        CONTROL: [control(settings, seed) for seed in settings.control_seeds],
        EARLY: [baselines.task(profile, early, seed, regime) for seed in settings.early_seeds],
        LARGE: large_net(settings.profile, settings.large),
    }


def run(settings: Settings) -> Outcome:
    """Train or load every net, measure its kernels, and write the experiment's tables.

    Raises InputError if nothing is to be trained and no net of two towers is stored."""
    kind = {
        task.folder.name: net for net, group in grouped_tasks(settings).items() for task in group
    }
    runs, missing = _here(settings)
    nets = [kind[run.task.folder.name] for run in runs]
    if TOWERS not in nets:
        raise InputError(f"{EXPERIMENT}: {_reason()}")
    folder = paths.experiment(settings.profile, EXPERIMENT)
    kernels = pd.concat(
        [
            first_layer.measures(folder, run).assign(net=net, seed=run.task.recipe.seed)
            for net, run in zip(nets, runs, strict=True)
        ]
    )
    kernels = kernels[["net", "seed", *kernels.columns.drop(["net", "seed"])]]
    tests = specialisation(kernels)
    if (pictured := _pictured(settings.profile, runs)) is None:
        raise InputError(f"{EXPERIMENT}: the weights that are here are of other trainings")
    shown = first_layer.shown(_kernels_file(settings.profile), folder, pictured)
    outcome = Outcome(
        kernels,
        summary(kernels),
        tests,
        analysis.limits(shown[0].shape[-1]),
        shown,
        pictured,
        _measurements(settings, kernels, tests, runs[: nets.count(TOWERS)]),
        tuple(runs),
        tuple(missing),
    )
    tables = {"kernels": outcome.kernels, "table": outcome.table, "specialisation": outcome.tests}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements, float_format="%.6g")
    write_kernels(folder / KERNELS, outcome.shown)
    return outcome


def _here(settings: Settings) -> Collected:
    """Return the runs, and those that are missing.

    If nothing is to be trained, a run counts as missing too if neither its measures nor its
    weights and images are here, and all do if no kernels can be shown."""
    planned = tasks(settings)
    collected = collect(planned, settings.only_stored, settings.jobs, needed=())
    if not settings.only_stored:
        return collected
    folder = paths.experiment(settings.profile, EXPERIMENT)
    runs = [
        run
        for run in collected.runs
        if first_layer.are_known(folder, run) or can_evaluate(run.task.recipe)
    ]
    if _pictured(settings.profile, runs) is None:
        return Collected([], planned)
    found = {run.task.folder for run in runs}
    return Collected(runs, [task for task in planned if task.folder not in found])


def _reason() -> str:
    lacks = "no two-tower net with its weights and images is"
    return nothing_yet(lacks, "baseline", STAGE)


def waits(settings: Settings) -> str:
    """Return why there is nothing to show yet; "" if there is."""
    if not settings.only_stored:
        return ""
    towers = {task.folder for task in grouped_tasks(settings)[TOWERS]}
    found = any(run.task.folder in towers for run in _here(settings).runs)
    return "" if found else _reason()


def specialisation(kernels: pd.DataFrame) -> pd.DataFrame:
    """Run the permutation tests on each net.

    Columns: net, seed; difference, chance, ratio and p of the mean colourfulness; medians and
    medians_chance of the colour share.
    """
    rows = [
        _tested(net, seed, of["colourfulness"], of["colour_share"], of["tower"])
        for (net, seed), of in kernels.groupby(["net", "seed"], sort=False)
    ]
    return pd.DataFrame(rows)


def paper_tests() -> pd.DataFrame:
    """Return the same tests of the paper's kernels, one row.

    Their colour share takes the place of the colourfulness, which cannot be read off the figure.
    """
    paper = figure3()
    return pd.DataFrame(
        [_tested(PAPER, 0, paper["colour_share"], paper["colour_share"], paper["tower"])]
    )


def _tested(
    net: str, seed: int, colourfulness: pd.Series, share: pd.Series, tower: pd.Series
) -> dict[str, Any]:
    means = analysis.specialisation(colourfulness.to_numpy(), tower.to_numpy(), seed)
    medians = analysis.medians(share.to_numpy(), tower.to_numpy(), seed)
    return (
        {"net": net, "seed": seed}
        | means._asdict()
        | {
            "medians": medians.difference,
            "medians_chance": medians.chance,
        }
    )


def summary(kernels: pd.DataFrame) -> pd.DataFrame:
    """Return mean colourfulness, share coloured and shares selective, per net, seed and tower.

    A coloured kernel responds more to colour than to brightness.
    """
    grouped = kernels.assign(coloured=kernels["colourfulness"] > 0.5).groupby(
        ["net", "seed", "tower"], sort=False
    )
    columns = {
        "kernels": ("kernel", "size"),
        "colourfulness": ("colourfulness", "mean"),
        "coloured": ("coloured", "mean"),
    }
    columns |= {name: (f"selective_{name}", "mean") for name in (*analysis.KINDS, "any")}
    return grouped.agg(**columns).reset_index()


def _measurements(
    settings: Settings, kernels: pd.DataFrame, tests: pd.DataFrame, runs: list[Run]
) -> list[Measurement]:
    common = {"profile": settings.profile, "scale": scale(runs[0]), "ran": ran(runs[0])}
    remark = diverged(runs)
    ours, tested = kernels[kernels["net"] == TOWERS], tests[tests["net"] == TOWERS]
    shares = ours.groupby("seed", sort=False)["selective_any"].agg(["mean", "size"])
    measurements = [
        measured(
            "specialise",
            tested["ratio"].tolist(),
            p=analysis.combine(tested["p"].tolist()),
            reason="; ".join(filter(None, [differing_text(tests), remark])),
            **common,
        )
    ]
    beyond = (tested["medians"] - tested["medians_chance"]).tolist()
    measurements.append(
        measured("specialise", beyond, variant="difference of medians", reason=remark, **common)
    )
    early = tests.loc[tests["net"] == EARLY, "ratio"].tolist()
    if early:
        measurements.append(
            measured(
                "specialise",
                tested["ratio"].tolist(),
                denominators=early,
                variant="over early crossing",
                reason=remark,
                **common,
            )
        )
    differ = [float(p < SURE) for p in tested["p"]]
    measurements.append(measured("specialise-every", differ, reason=remark, **common))
    if shares["size"].min() >= MIN_KERNELS:
        measurements.insert(
            0, measured("kernels", shares["mean"].tolist(), reason=remark, **common)
        )
    return measurements


def differing_text(tests: pd.DataFrame) -> str:
    """Describe in how many runs of each net the towers differ, with the combined p."""
    return "; ".join(
        f"{net}: p below {SURE:g} in {(of['p'] < SURE).sum()} of {counted(len(of), 'run')}, p"
        f" {analysis.combine(of['p'].tolist()):.2g} together"
        for net, of in tests.groupby("net", sort=False)
    )
