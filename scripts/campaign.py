"""Train the runs behind the published verdicts, the most useful first.

python scripts/campaign.py --dry-run      list the runs, how long they take, and which are done
python scripts/campaign.py --jobs 2       train them; stop at any time; the same command resumes

Run it from a clone of its own at a fixed commit, with REPLICATION_RESULTS and REPLICATION_RUNS
outside it, so that work on the code does not change what is being measured. REPLICATION_SCHEDULER
spreads the runs over a cluster. Hours are for one core that trains the quarter-width net at about
1,200 images/s and 19pct at about 2,000, or 4,000 with bf16 instructions.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

from replication.base import paths
from replication.base.errors import InputError, TrainingError
from replication.base.text import counted
from replication.book.notebooks import parameters
from replication.experiments import (
    effect_of_data,
    figure1,
    first_fifths,
    kernels,
    lrn_cifar_nets,
    paper_vs_source,
    relu_vs_tanh,
    tables,
)
from replication.experiments.ablations import STAGE as VARIANTS_STAGE
from replication.experiments.candidates import CANDIDATES, RACE, Candidate, Kind
from replication.experiments.common.baselines import ALL, FAMILIES, SEEDS, TOWERS, task
from replication.experiments.figure1 import Search
from replication.runs.store import Task
from replication.runs.workers import Workers

FIGURE1 = relu_vs_tanh.settings(**parameters("relu_vs_tanh", "paper") | {"only_stored": False})
SECTION6 = tables.settings(**parameters("tables", "laptop"))
SOURCE = paper_vs_source.settings(**parameters("paper_vs_source", "laptop"))
NORMS = lrn_cifar_nets.settings(**parameters("lrn_cifar", "paper") | {"only_stored": False})


class Stage(NamedTuple):
    """A part of the campaign."""

    name: str
    hours: float  # of one core
    why: str
    run: Callable[[Workers], object]
    done: Callable[[], str]  # its progress, as text


def _search(candidate: Candidate, kind: Kind) -> Search:
    """Return the choice of a rate, as far as its runs are stored."""
    return figure1.search(FIGURE1, candidate, kind)


def _curves(
    name: str, candidate: Candidate, kinds: Sequence[Kind], hours: float, why: str = ""
) -> Stage:
    """Curves of a candidate: each one's rate on the selection seed, then its reporting seeds."""

    def done() -> str:
        words = []
        for kind in kinds:
            found = _search(candidate, kind)
            so_far = "" if found.ended else " so far"
            words.append(
                f"{kind}: {counted(len(found.tried), 'rate')} tried,"
                f" {found.rate or 'unknown'}{so_far}, "
                + _stored(_reporting(candidate, found), "runs wait for the rate")
            )
        return "; ".join(words)

    def run(workers: Workers) -> object:
        found = workers.chains(
            lambda kind: figure1.search(FIGURE1, candidate, kind, workers), kinds
        )
        columns = [_reporting(candidate, one) for one in found]
        return workers.all([task for row in zip_longest(*columns) for task in row if task])

    return Stage(name, hours, why or f"is it what the figure shows: {candidate.words}", run, done)


def _reporting(candidate: Candidate, found: Search) -> list[Task]:
    """A curve's runs at its rate, one per seed; none if the rate is not chosen yet."""
    if not found.ended or not found.rate:
        return []
    return figure1.reporting(FIGURE1, candidate, found.kind, found.rate)


def _tasks(name: str, hours: float, why: str, tasks: Callable[[], list[Task]]) -> Stage:
    return Stage(name, hours, why, lambda workers: workers.all(tasks()), lambda: _stored(tasks()))


def _stored(tasks: Sequence[Task], without: str = "waits for its rates") -> str:
    """Return how many of the runs are stored; ``without``: why there are none, if so."""
    if not tasks:
        return without
    return f"{sum(task.is_stored() for task in tasks)} of {counted(len(tasks), 'run')}"


def _beside(kind: Kind) -> list[Task]:
    """The race's net at the rates beside the chosen one."""
    found = _search(RACE, kind)
    if not found.ended or not found.rate:
        return []
    return [
        task for rate in found.beside for task in relu_vs_tanh.reporting_beside(FIGURE1, kind, rate)
    ]


def _candidate(name: str, hours: float, kind: Kind) -> Stage:
    return _curves(f"candidate {name}, {kind}", CANDIDATES[name], [kind], hours)


LEARNT_HOURS = 0.55  # of one core: a run of the laptop baseline that has learnt


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


def _family(family: str, name: str, why: str) -> Stage:
    names = [one for one in FAMILIES[family] if one != "baseline"]
    return _learnt(name, why, names, range(SEEDS[family]))


PAIR = ("baseline", "early-crossing")
WIDE = ("twice-width", *TOWERS)  # of the baseline: at half the paper's width
LEARNT = (
    _learnt("baseline", "what has learnt, before anything is compared", ["baseline"], range(5)),
    _family("variants", VARIANTS_STAGE, "sections 3 to 5 and 7"),
    _family("fidelity", f"{paper_vs_source.STAGE}, learnt", "the same in nets that have learnt"),
    _family("controls", "controls", "what else a variant changes"),
    _family("data", effect_of_data.STAGE, "where a regulariser helps"),
    _family("sizes", "sizes", "larger and longer"),
    _family("rates", "rates", "a variant that prefers another rate"),
    _learnt(kernels.STAGE, "16 seeds and its control", PAIR, range(5, 16)),
)
# the same with twice as many kernels to share out; after everything else, for its cost
LEARNT_LAST = _learnt(
    "specialisation at twice the width", "16 seeds and its control", WIDE, range(SEEDS["towers"])
)


def _norms() -> list[Task]:
    """Section 3.3's nets in the order in which they are trained."""
    return lrn_cifar_nets.tasks(NORMS, lrn_cifar_nets.stored_gains(NORMS))


RACED = "Figure 1: the race, each activation at its own rate"
SEVERAL = "is ReLU several times faster than these too"
RATES_BESIDE = "can the figure tell the rate"
# A ReLU curve costs about a tenth of a tanh curve, so the ReLU side of every candidate comes first:
# from then on the paper's ReLU curve is identified among all of them.
STAGES = (
    _curves(relu_vs_tanh.STAGES[0], RACE, ["relu"], 0.6, RACED),
    _candidate("modern", 0.4, "relu"),
    _candidate("bias-factor-1", 0.4, "relu"),
    _candidate("stored-order", 0.4, "relu"),
    _tasks("rates beside, relu", 0.4, RATES_BESIDE, partial(_beside, "relu")),
    _candidate("bf16", 0.2, "relu"),
    _candidate("80sec", 0.2, "relu"),
    _candidate("conv-local-13pct", 0.5, "relu"),
    _curves(relu_vs_tanh.STAGES[1], RACE, ["tanh"], 3.5, RACED),
    _tasks(
        "first fifths",
        1.7,
        "which number of an epoch the figure plots",
        lambda: first_fifths.tasks(FIGURE1),
    ),
    _candidate("modern", 0.9, "tanh"),
    _candidate("bf16", 1.0, "tanh"),
    _candidate("scaled-tanh", 1.0, "tanh"),
    _candidate("bias-factor-1", 2.5, "tanh"),
    _candidate("stored-order", 2.5, "tanh"),
    *LEARNT[:2],
    Stage(
        lrn_cifar_nets.STAGE,
        72.0,
        "section 3.3: 13% to 11%, over the length of training",
        lambda workers: lrn_cifar_nets.train(NORMS, workers),
        lambda: _stored(_norms()),
    ),
    _tasks(
        tables.STAGE,
        0.7,
        "six layers without pre-training, and with as many updates",
        lambda: tables.control_tasks(SECTION6),
    ),
    _tasks(
        paper_vs_source.STAGE,
        5.5,
        "one difference at a time, in nets that are trained briefly",
        lambda: paper_vs_source.tasks(SOURCE),
    ),
    *LEARNT[2:],
    _tasks("rates beside, tanh", 2.8, RATES_BESIDE, partial(_beside, "tanh")),
    _candidate("80sec", 1.0, "tanh"),
    _candidate("conv-local-13pct", 2.7, "tanh"),
    _curves(
        "modern-saturating",
        CANDIDATES["modern-saturating"],
        ["logistic", "abs_tanh"],
        1.4,
        SEVERAL,
    ),
    _curves("saturating", CANDIDATES["saturating"], ["logistic", "abs_tanh"], 2.0, SEVERAL),
    LEARNT_LAST,
)


def main() -> int:
    """Print the plan, or run it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", help="names of stages; default: all, in order")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and what is done")
    parser.add_argument("--jobs", type=int, default=1, help="training processes at a time")
    options = parser.parse_args()
    if unknown := set(options.stages) - {stage.name for stage in STAGES}:
        parser.error(
            f"no stage {min(unknown)!r}; they are: {', '.join(stage.name for stage in STAGES)}"
        )
    stages = [stage for stage in STAGES if not options.stages or stage.name in options.stages]
    if options.dry_run:
        for stage in stages:
            print(f"{stage.name:32} {stage.hours:5.1f} h  {stage.done()}  ({stage.why})")
        print(f"{'all':32} {sum(stage.hours for stage in stages):5.1f} h of one core")
        return 0
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: at least 1")
    try:
        _check_place()
        with Workers(options.jobs) as workers:
            for stage in stages:
                print(f"== {stage.name}", flush=True)
                stage.run(workers)
    except (InputError, TrainingError) as error:
        print(f"campaign.py: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 3
    except KeyboardInterrupt:
        print("campaign.py: interrupted; run the same command again to resume", file=sys.stderr)
        return 130
    return 0


def _check_place() -> None:
    """Raise InputError if the runs would be kept where no page looks for them."""
    if place := paths.place("paper"):
        raise InputError(
            f"the runs would be kept in {paths.results() / place}, where no page looks for them;"
            " name a folder outside this clone in REPLICATION_RESULTS (a copy of results/, so that"
            " what is published is not trained again), for `replication run` too"
        )


if __name__ == "__main__":
    sys.exit(main())
