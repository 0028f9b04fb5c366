"""Packing: write a plan of runs, and the images that they need, into one folder.

    python -m replication.lease.pack FOLDER

The plan is ``thirty_minutes.toml``, or that of another file, ``--order FILE``. The most useful
parts come first: checks that the machine gives the right numbers, then runs of experiments and
benchmarks. In each part every run gets its first seed before any run gets a second one. The images
of a data set travel as one compressed archive, cut into parts of less than 40 MB."""

import argparse
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from replication.base.code import code_digest
from replication.base.errors import InputError
from replication.base.models import Frozen, validated
from replication.base.text import counted
from replication.lease.images import PART_BYTES, pack_images
from replication.lease.plan import FILE, Origin, Plan, Step, Training, write_plan
from replication.runs import provenance
from replication.runs.store import Task

EMBEDDED = "synthetic"  # drawn anew wherever it is needed
ORDER = Path(__file__).with_name("thirty_minutes.toml")
CHECKS = {
    "parity": ("-m", "replication.lease.parity", "--device", "cuda"),
    "tests": ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/training/test_gpu.py"),
} | {
    f"benchmark-{name}": ("-m", f"benchmarks.{name}", "--device=cuda", "--batch=128", "--json")
    for name in ("step", "lrn", "trainer", "loader")
}
NEEDS = {"tests": ("pytest",)}  # what may be missing on a bare machine


class Part(Frozen):
    """A part of an order: checks, or runs of experiments seed by seed."""

    checks: tuple[str, ...] = ()  # of CHECKS
    experiments: tuple[str, ...] = ()
    profile: str | None = None  # of its experiments; default the order's
    minutes: float = Field(gt=0)  # for one step in a call
    publishes: str  # what a reader of the book gets from it


class Order(Frozen):
    """What a machine is used for, the most valuable part first."""

    profile: str
    minutes: float  # that it is meant for
    part: tuple[Part, ...]


def read_order(path: Path = ORDER) -> Order:
    """Read an order. Raises InputError that names the file and the first fault."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not an order ({error})") from None
    order = validated(Order, str(path), values)
    for name in (name for part in order.part for name in part.checks):
        if name not in CHECKS:
            raise InputError(f"{path}: no check {name!r}; use {', '.join(CHECKS)}")
    return order


def steps_of(order: Order) -> list[Step]:
    """Return the steps of an order, each run in the first part that has it.

    Runs whose results are here are left out, so a second machine begins where the first ended."""
    steps: dict[str, Step] = {}
    for part in order.part:
        found = [check(name, part.minutes) for name in part.checks]
        if part.experiments:
            tasks = experiment_tasks(part.profile or order.profile, part.experiments)
            found += trainings((one for one in tasks if not one.is_stored()), part.minutes)
        for step in found:
            identity = step.training.recipe.id if step.training else step.name
            steps.setdefault(identity, step)
    return list(steps.values())


def check(name: str, minutes: float) -> Step:
    """Return a step before any training: parity with the CPU, or a benchmark."""
    return Step(
        name=name,
        minutes=minutes,
        device="cuda",
        needs=NEEDS.get(name, ()),
        command=CHECKS[name],
    )


def trainings(tasks: Iterable[Task], minutes: float) -> list[Step]:
    """Return the tasks as steps, each recipe once, ordered by seed."""
    once: dict[str, Task] = {}
    for task in tasks:
        before = once.get(task.recipe.id, task)
        # experiments that share a run may evaluate it on different images
        evaluate = tuple(dict.fromkeys((*before.evaluate, *task.evaluate)))
        once[task.recipe.id] = replace(before, evaluate=evaluate)
    return [
        Step(
            name=f"{task.experiment}-{task.name}-{identity}",
            minutes=minutes,
            training=Training(
                profile=task.profile,
                experiment=task.experiment,
                name=task.name,
                recipe=task.recipe,
                evaluate=task.evaluate,
            ),
        )
        for identity, task in sorted(once.items(), key=lambda item: item[1].recipe.seed)
    ]


def experiment_tasks(profile: str, names: Sequence[str]) -> list[Task]:
    """Return the runs of experiments at a profile, as far as stored results decide them.

    ``only_stored`` of the profile means the notebook, which then trains nothing; the runs are the
    same. Raises InputError for an unknown name or profile."""
    from replication.book.notebooks import settings  # its libraries are not on the bare machine
    from replication.experiments import EXPERIMENTS
    from replication.lease.decided import decided_tasks

    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"no experiment {unknown[0]!r}; use {', '.join(known)}")
    return [task for name in names for task in decided_tasks(known[name], settings(name, profile))]


def pack(folder: Path, steps: Sequence[Step], part_bytes: int = PART_BYTES) -> Plan:
    """Write the plan and the images of its trainings into ``folder``, and return the plan."""
    names = sorted({step.training.recipe.data.name for step in steps if step.training})
    folder.mkdir(parents=True, exist_ok=True)
    ours = provenance.commit()
    plan = Plan(
        origin=Origin(commit=ours["commit"], dirty=ours["dirty"], code=code_digest()),
        images=tuple(pack_images(name, folder, part_bytes) for name in names if name != EMBEDDED),
        steps=tuple(steps),
    )
    write_plan(folder / FILE, plan)
    return plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options, pack, and say what was packed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--order", type=Path, default=ORDER, help="a file like thirty_minutes.toml")
    options = parser.parse_args(arguments)
    try:
        plan = pack(options.folder, steps_of(read_order(options.order)))
    except InputError as error:
        print(f"replication.lease: {error}", file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in options.folder.iterdir())
    print(f"{options.folder}: {counted(len(plan.steps), 'step')}, {size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
