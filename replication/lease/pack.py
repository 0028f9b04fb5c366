"""At home: write a plan of runs, and the images that they need, into one folder.

    python -m replication.lease.pack FOLDER --profile gpu ablations tables training

The steps come in the order of worth: first whether the machine gives the right numbers, then how
fast it is, then the first seed of every run, the second of every run, and so on. The images of a
data set travel as one compressed archive, cut into parts of less than 40 MB."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from replication.base.code import code_digest
from replication.base.errors import InputError
from replication.lease.images import PART_BYTES, pack_images
from replication.lease.plan import FILE, Origin, Plan, Step, Training, write_plan
from replication.runs import provenance
from replication.runs.store import Task

EMBEDDED = "synthetic"  # drawn anew wherever it is needed
PARITY = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", "tests/training/test_gpu.py")
BENCHMARKS = ("lrn", "step", "trainer", "loader")


def checks() -> list[Step]:
    """Return the steps before any training: parity with the CPU, and the benchmarks."""
    return [
        Step(name="parity", minutes=3, device="cuda", needs=("pytest",), command=PARITY),
        *(
            Step(
                name=f"benchmark-{name}",
                minutes=2,
                device="cuda",
                command=(
                    "-m",
                    f"benchmarks.{name}",
                    "--device",
                    "cuda",
                    "--batch",
                    "128",
                    "--json",
                ),
            )
            for name in BENCHMARKS
        ),
    ]


def trainings(tasks: Iterable[Task], minutes: float) -> list[Step]:
    """Return the tasks as steps, each recipe once, ordered by seed."""
    once = {task.recipe.id: task for task in tasks}
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
    """Return the runs of experiments at a profile. Raises InputError for an unknown name."""
    from replication.book.notebooks import settings  # its libraries are not on the bare machine
    from replication.experiments import EXPERIMENTS

    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"no experiment {unknown[0]!r}; use {', '.join(known)}")
    return [task for name in names for task in known[name].tasks(settings(name, profile))]


def pack(folder: Path, steps: Sequence[Step], part_bytes: int = PART_BYTES) -> Plan:
    """Write the plan and the images of its trainings into ``folder``, and return the plan."""
    names = sorted({step.training.recipe.data.name for step in steps if step.training})
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        origin=Origin(**provenance.commit(), code=code_digest()),
        images=tuple(pack_images(name, folder, part_bytes) for name in names if name != EMBEDDED),
        steps=tuple(steps),
    )
    write_plan(folder / FILE, plan)
    return plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options, pack, and say what was packed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("experiments", nargs="*", help="whose runs; none: the checks alone")
    parser.add_argument("--profile", default="gpu")
    parser.add_argument("--cap", type=float, default=5.0, help="minutes for one training in a call")
    options = parser.parse_intermixed_args(arguments)
    try:
        tasks = experiment_tasks(options.profile, options.experiments)
        plan = pack(options.folder, [*checks(), *trainings(tasks, options.cap)])
    except InputError as error:
        print(f"replication.lease: {error}", file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in options.folder.iterdir())
    print(f"{options.folder}: {len(plan.steps)} steps, {size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
