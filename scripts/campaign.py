"""The campaign of runs behind the published verdicts, in the order in which they are worth having.

python scripts/campaign.py --dry-run      what there is to do, how long it takes, and what is done
python scripts/campaign.py --jobs 2       do it; stop it at any moment; the same command resumes

Run it from a clone of its own at a fixed commit, with REPLICATION_RESULTS and REPLICATION_RUNS
outside it, so that work on the code does not change what is being measured. REPLICATION_SCHEDULER
spreads it over a cluster. Hours are of one core that trains the quarter-width net at about 1,200
images/s and 19pct at about 2,000.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from replication.base import paths
from replication.base.files import read_json
from replication.book.notebooks import parameters
from replication.experiments import figure1, lrn_cifar, relu_vs_tanh
from replication.experiments.common.baselines import (
    ALL,
    CONTROLS,
    DATA,
    FIDELITY,
    RATES,
    SIZES,
    VARIANTS,
    task,
)
from replication.experiments.figure1 import CANDIDATES, RACE, Candidate, Kind, Search
from replication.runs.store import Task
from replication.runs.workers import Workers

FIGURE1 = relu_vs_tanh.settings(**parameters("relu_vs_tanh", "paper") | {"only_stored": False})
TOWERS = ("baseline", "early-crossing")
NORMS = lrn_cifar.settings(**parameters("lrn_cifar", "paper"))
STORED = FIGURE1.model_copy(update={"only_stored": True})


class Stage(NamedTuple):
    """A part of the campaign."""

    name: str
    hours: float  # of one core
    why: str
    run: Callable[[Workers], object]
    done: Callable[[], str]  # its progress, as text


def _search(candidate: Candidate, kind: Kind) -> Search:
    """The choice of a rate as far as its runs are stored."""
    return figure1.search(STORED, candidate, kind, Workers())


def _rates(candidate: Candidate, hours: float) -> Stage:
    """The choice of a candidate's rates, each activation's beside the other's."""

    def done() -> str:
        words = []
        for kind in candidate.kinds:
            found = _search(candidate, kind)
            so_far = "" if found.ended else " so far"
            words.append(f"{kind}: {len(found.tried)} runs, rate {found.rate or 'unknown'}{so_far}")
        return "; ".join(words)

    def run(workers: Workers) -> object:
        return workers.chains(
            lambda kind: figure1.search(FIGURE1, candidate, kind, workers), candidate.kinds
        )

    return Stage(
        f"rates {candidate.name}", hours, "the fastest rate, on the selection seed", run, done
    )


def _tasks(name: str, hours: float, why: str, tasks: Callable[[], list[Task]]) -> Stage:
    def done() -> str:
        wanted = tasks()
        return (
            f"{sum(task.is_stored() for task in wanted)} of {len(wanted)} runs"
            if wanted
            else "waits for its rates"
        )

    return Stage(name, hours, why, lambda workers: workers.all(tasks()), done)


def _reporting(candidate: Candidate) -> list[Task]:
    """A candidate's runs at its rates, seed by seed; none of an activation whose rate is not known
    yet."""
    searches = [_search(candidate, kind) for kind in candidate.kinds]
    columns = [
        figure1.reporting(FIGURE1, candidate, found.kind, found.rate)
        for found in searches
        if found.ended and found.rate
    ]
    return [task for row in zip(*columns, strict=True) for task in row]


def _beside() -> list[Task]:
    searches = [_search(RACE, kind) for kind in RACE.kinds]
    return [
        task
        for found in searches
        if found.ended and found.rate
        for rate in found.beside
        for task in relu_vs_tanh.reporting_beside(FIGURE1, found.kind, rate)
    ]


def _candidate(name: str, rates: float, runs: float) -> tuple[Stage, Stage]:
    candidate = CANDIDATES[name]
    return _rates(candidate, rates), _tasks(
        f"candidate {name}",
        runs,
        f"is it what the figure shows: {candidate.words}",
        partial(_reporting, candidate),
    )


LEARNT_HOURS = 0.45  # of one core: a run of the laptop baseline that has learnt


def _ablations(names: Sequence[str], seeds: Sequence[int]) -> list[Task]:
    """Variants of the baseline that has learnt, seed by seed."""
    return [task("laptop", name, seed, "learnt") for seed in seeds for name in names]


def _hours(name: str) -> float:
    """Of one run: its cost goes with the images and nearly with the square of the width."""
    changes = ALL[name]
    width, images = changes.get("width", 1.0), changes.get("images", 225)
    return LEARNT_HOURS * width**1.6 * max(0.15, images / 225)


def _learnt(name: str, why: str, names: Sequence[str], seeds: Sequence[int]) -> Stage:
    hours = len(seeds) * sum(map(_hours, names))
    return _tasks(name, hours, why, lambda: _ablations(names, seeds))


LEARNT = (
    _learnt("baseline", "what has learnt, before anything is compared", ["baseline"], range(5)),
    _learnt("variants", "sections 3 to 5 and 7", [*VARIANTS][1:], range(5)),
    _learnt("paper against source", "one difference at a time", [*FIDELITY], range(5)),
    _learnt("controls", "what else a variant changes", [*CONTROLS], range(5)),
    _learnt("amounts of data", "where a regulariser helps", [*DATA], range(3)),
    _learnt("sizes", "larger and longer", [*SIZES], range(5)),
    _learnt("rates", "a variant that prefers another rate", [*RATES], range(3)),
    _learnt("specialisation", "16 seeds and its control", TOWERS, range(5, 16)),
)


def _norms() -> list[Task]:
    """Section 3.3's nets. The arm of constant gains waits for the net whose gains it takes."""
    gains = paths.stored("paper", "lrn_cifar", "gains.json")
    if gains.is_file():
        return lrn_cifar.tasks(NORMS, tuple(next(iter(read_json(gains).values()))["gains"]))
    return [one for one in lrn_cifar.tasks(NORMS) if not one.recipe.net.gains]


STAGES = (
    _rates(RACE, 1.3),
    _tasks(
        "race",
        2.8,
        "Figure 1: both activations at their rates, seed by seed",
        partial(_reporting, RACE),
    ),
    *_candidate("modern", 0.6, 0.7),
    *_candidate("bias-factor-1", 1.3, 1.6),
    *_candidate("stored-order", 1.3, 1.6),
    *_candidate("scaled-tanh", 1.2, 1.4),
    _tasks("rates beside", 3.2, "can the figure tell the rate", _beside),
    *LEARNT[:2],
    Stage(
        "norms on CIFAR-10",
        24.0,
        "section 3.3: 13% to 11%, over the length of training",
        lambda workers: lrn_cifar.run(NORMS),
        _tasks("", 0, "", _norms).done,
    ),
    *LEARNT[2:],
    *_candidate("80sec", 1.4, 1.7),
    *_candidate("conv-local-13pct", 3.0, 3.5),
    *_candidate("modern-saturating", 1.6, 2.0),
    *_candidate("saturating", 3.0, 2.0),
)


def main() -> None:
    """Print the plan, or run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", help="names of stages; default: all, in order")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and what is done")
    parser.add_argument("--jobs", type=int, default=1, help="training processes at a time")
    asked = parser.parse_args()
    if unknown := set(asked.stages) - {stage.name for stage in STAGES}:
        parser.error(
            f"no stage {min(unknown)!r}; they are: {', '.join(stage.name for stage in STAGES)}"
        )
    stages = [stage for stage in STAGES if not asked.stages or stage.name in asked.stages]
    if asked.dry_run:
        for stage in stages:
            print(f"{stage.name:32} {stage.hours:5.1f} h  {stage.done()}  ({stage.why})")
        print(f"{'all':32} {sum(stage.hours for stage in stages):5.1f} h of one core")
        return
    with Workers(asked.jobs) as workers:
        for stage in stages:
            print(f"== {stage.name}", flush=True)
            stage.run(workers)


if __name__ == "__main__":
    main()
