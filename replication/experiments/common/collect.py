"""Collecting an experiment's runs: train all of them, or read those stored so far.

A campaign takes days, and its first results are worth a page before it ends. Such a page shows the
stored runs, names the missing ones, and gives no verdict with too few seeds.
"""

from collections.abc import Sequence
from typing import NamedTuple

from replication.base.text import counted
from replication.experiments.common.baselines import BASELINE
from replication.experiments.common.comparison import VIEWS
from replication.runs.store import Run, Task, load
from replication.runs.workers import Workers

ERRORS = ("test/1", f"test/{VIEWS}")  # what a table of errors needs of a run
CAMPAIGN = "python scripts/campaign.py"


class Collected(NamedTuple):
    """Runs in the order of their tasks, and the tasks without a stored result."""

    runs: list[Run]
    missing: list[Task]


def collect(
    tasks: Sequence[Task], only_stored: bool, jobs: int = 1, needed: Sequence[str] = ERRORS
) -> Collected:
    """Return the runs of ``tasks``: trained where missing, or only those that are stored.

    ``needed``: evaluations without which a stored run counts as missing, "split/views".
    """
    if not only_stored:
        with Workers(jobs) as workers:
            return Collected(workers.all(tasks), [])
    runs, missing = [], []
    for task in tasks:
        run = load(task)
        if run is None or not set(needed) <= set(run.evaluation):
            missing.append(task)
        else:
            runs.append(run)
    return Collected(runs, missing)


def variant_of(task: Task) -> str:
    """Return the variant whose run ``task`` is: its name without the seed."""
    return task.name.rpartition("-seed")[0]


def missing_text(missing: Sequence[Task], of: int) -> str:
    """Return which of ``of`` runs are missing, by variant with their seeds; "" if none is."""
    if not missing:
        return ""
    seeds: dict[str, list[str]] = {}
    for task in missing:
        seeds.setdefault(variant_of(task), []).append(str(task.recipe.seed))
    same: dict[str, list[str]] = {}
    for variant, of_variant in seeds.items():
        same.setdefault(", ".join(of_variant), []).append(variant)
    lines = [f"  seeds {which}: {', '.join(names)}" for which, names in same.items()]
    return "\n".join([f"not stored yet: {len(missing)} of {counted(of, 'run')}", *lines])


def stored_text(runs: Sequence[Run], missing: Sequence[Task], of: int) -> str:
    """Return how many of ``of`` runs are shown, and which are missing."""
    return "\n".join(filter(None, [f"runs shown: {len(runs)}", missing_text(missing, of)]))


def waiting_for(tasks: Sequence[Task], only_stored: bool, stage: str) -> str:
    """Return why these tasks' page has nothing to compare yet; "" if it has, or trains."""
    return waiting(collect(tasks, only_stored=True).runs, stage) if only_stored else ""


def waiting(runs: Sequence[Run], stage: str) -> str:
    """Return why there is nothing to compare yet; "" if the baseline and a variant are stored.

    ``stage``: of the campaign, which trains what is missing.
    """
    stored = {variant_of(run.task) for run in runs}
    if BASELINE in stored and len(stored) > 1:
        return ""
    lacks = "no variant is" if BASELINE in stored else "the baseline is not"
    return nothing_yet(lacks, "baseline", stage)


def nothing_yet(lacks: str, *stages: str) -> str:
    """Return a line: what is missing (``lacks``, "no run is"), and how to train the runs.

    ``stages``: of the campaign."""
    names = " ".join(stage if stage.isidentifier() else repr(stage) for stage in stages)
    return (
        f"{lacks} stored yet; `{CAMPAIGN} {names}` trains the runs, and so does only_stored=false"
    )
