"""The campaign of runs behind the published verdicts, in the order in which they are worth having.

    python scripts/campaign.py --dry-run   what there is to do, how long it takes, what is done
    python scripts/campaign.py --jobs 2    do it; stop it at any moment, the same command goes on

Run it from a clone of its own at a fixed commit, with REPLICATION_RESULTS and REPLICATION_RUNS
outside it, so that work on the code does not change what is being measured. REPLICATION_SCHEDULER
spreads it over a cluster. Hours are of one core that trains the quarter-width net at about 1,200
images/s and 19pct at about 2,000."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from replication.experiments import figure1
from replication.experiments.figure1 import (
    CANDIDATE_SEEDS,
    CANDIDATES,
    RACE,
    SEEDS,
    Candidate,
    Kind,
)
from replication.runs.store import Task
from replication.runs.workers import Workers


class Stage(NamedTuple):
    """A part of the campaign."""

    name: str
    hours: float  # of one core
    why: str
    run: Callable[[Workers], object]
    done: Callable[[], str]  # how far it is, in words


def _search(candidate: Candidate, hours: float) -> Stage:
    def done() -> str:
        words = []
        for kind in candidate.kinds:
            found, ended = figure1.stored_search(candidate, kind)
            words.append(
                f"{kind}: {len(found.tried)} runs, "
                + (f"rate {found.rate:g}" if ended else f"best so far {found.rate:g}")
            )
        return "; ".join(words)

    return Stage(
        f"rates {candidate.name}",
        hours,
        "the fastest rate of each activation, on the selection seed",
        lambda workers: workers.chains(
            lambda kind: figure1.search(candidate, kind, workers), candidate.kinds
        ),
        done,
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


def _rate(candidate: Candidate, kind: Kind) -> float | None:
    found, ended = figure1.stored_search(candidate, kind)
    return found.rate if ended and found.rate == found.rate else None


def _race() -> list[Task]:
    rates = {kind: _rate(RACE, kind) for kind in RACE.kinds}
    return [
        figure1.reporting(kind, rate, seed)
        for seed in SEEDS
        for kind, rate in rates.items()
        if rate
    ]


def _candidate(candidate: Candidate) -> list[Task]:
    rates = {kind: _rate(candidate, kind) for kind in candidate.kinds}
    return [
        figure1.identifying(candidate, kind, rate, seed)
        for seed in CANDIDATE_SEEDS
        for kind, rate in rates.items()
        if rate
    ]


def _beside() -> list[Task]:
    found = [figure1.stored_search(RACE, kind) for kind in RACE.kinds]
    return [
        figure1.identifying(RACE, search.kind, rate, seed)
        for seed in CANDIDATE_SEEDS
        for search, ended in found
        if ended and search.rate == search.rate
        for rate in figure1.neighbours(search)
    ]


STAGES = (
    _search(RACE, 1.5),
    _tasks("race", 3.2, "Figure 1: both activations at their rates, seed by seed", _race),
    *(
        stage
        for candidate in CANDIDATES
        for stage in (
            _search(candidate, 1.3),
            _tasks(
                f"candidate {candidate.name}",
                1.4,
                "is it this that the figure shows",
                partial(_candidate, candidate),
            ),
        )
    ),
    _tasks("rates beside", 2.8, "can the figure tell the rate", _beside),
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
