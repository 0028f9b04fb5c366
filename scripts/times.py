"""Time `make reproduce` and `make test` on this machine, for README and the book.

    python scripts/times.py      run it on an idle machine, in a clean clone after `make setup`

It removes results/quick and keeps runs in a folder of its own, so that nothing is reused, and
writes results/times.json. Then run `replication claims --readme` to update the README."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime

from replication.base import machine, paths
from replication.base.files import write_json
from replication.runs import provenance

COMMANDS = ("make test", "make reproduce")


def main() -> int:
    """Run each command from nothing; store what it took only if all of them succeed."""
    if provenance.commit()["dirty"] is not False:
        print("times.py: needs a clone without changes, so that the commit says what was timed")
        return 2
    seconds = {}
    for command in COMMANDS:
        for folder in (paths.ROOT / "results" / "quick", paths.ROOT / "_build"):
            shutil.rmtree(folder, ignore_errors=True)
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as runs:
            status = subprocess.run(
                command.split(),
                cwd=paths.ROOT,
                env=os.environ | {"REPLICATION_RUNS": runs},
                check=False,
            ).returncode
        if status:
            print(f"times.py: {command} ended with {status}; nothing is stored")
            return status
        seconds[command] = round(time.monotonic() - start)
    times = {
        "seconds": seconds,
        "cpus": machine.cpus(),
        "processor": machine.processor(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance.commit(),
    }
    write_json(paths.ROOT / "results" / "times.json", times)
    print("run `replication claims --readme` and commit README.md with results/times.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
