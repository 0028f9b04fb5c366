"""On the machine: ``python -m replication.lease PLAN --minutes N``.

It needs torch, numpy, Pillow and pydantic; DALI is used if it is installed. PLAN is the plan.json
of the folder that ``python -m replication.lease.pack`` wrote. The results come back as one archive.
In the clone, ``tar -xzf facts.tar.gz results`` puts them beside the others, and ``replication run``
then builds their pages."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from replication.base.errors import InputError
from replication.lease.drive import ARCHIVE, JOBS, MPS_JOBS, Lease, default_state
from replication.lease.plan import read_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options and work through the plan; return 0 if all is done, else 1."""
    parser = argparse.ArgumentParser(prog="python -m replication.lease", description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--minutes", type=float, required=True, help="for this call")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(os.environ.get("OUT", ".")),
        help=f"where {ARCHIVE} is written; default the folder that OUT names",
    )
    parser.add_argument("--state", type=Path, default=default_state(), help="kept between calls")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the plan")
    parser.add_argument(
        "--jobs",
        type=int,
        help=f"trainings side by side; default on a GPU {MPS_JOBS} with MPS or {JOBS}, else 1",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan, and run nothing")
    options = parser.parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        # whoever lends the machine ends a command by it; trainings then write a checkpoint
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        plan = read_plan(options.plan)
        lease = Lease(
            plan,
            options.plan.resolve().parent,
            options.state.resolve(),
            options.out.resolve(),
            options.minutes,
            options.device,
            options.jobs,
        )
        if options.dry_run:
            print(lease.first_line())
            for step in plan.steps:
                print(f"{step.name}: at most {step.minutes:g} min, {lease.status(step)}")
            return 0
        done = lease.run(lambda line: print(line, flush=True))
    except InputError as error:
        print(f"replication.lease: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"{options.out / ARCHIVE}: {'all is done' if done else 'run it again to resume'}")
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
