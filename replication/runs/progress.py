"""Progress of an experiment's runs, passed from the training processes to the command.

``replication run`` names a folder in REPLICATION_PROGRESS. The notebook's kernel and its training
processes inherit it, and each run keeps one small file there; the command reads them all. Without
that variable nothing is written. Progress is a convenience: a file that cannot be written or read
is left out."""

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

FOLDER = "REPLICATION_PROGRESS"
State = Literal["training", "evaluating", "done", "stored"]


@dataclass(frozen=True)
class Status:
    """The state of one run at one time."""

    run: str  # the recipe's id
    name: str
    state: State
    time: float  # of this status, seconds since the epoch
    epoch: int = 0  # the current one, from 1
    epochs: int = 0  # at most
    error: float | None = None  # of the epoch so far, a fraction
    images_per_second: float | None = None
    seconds_left: float | None = None  # of the run, if it takes all its epochs
    result: str = ""  # of a finished run, one line


def note(run: str, name: str, state: State, **values: float | str | None) -> None:
    """Record the state of a run, if a command is listening."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    status = Status(run, name, state, time.time(), **values)
    path = Path(folder) / f"{run}.json"
    with contextlib.suppress(OSError):
        if state == "stored" and any(one.run == run for one in finished(Path(folder))):
            return  # trained by this command, and now only read
        unfinished = path.with_name(f".{run}.{os.getpid()}")
        unfinished.write_text(json.dumps(asdict(status)), encoding="utf-8")
        unfinished.replace(path)


def finished(folder: Path) -> list[Status]:
    """Return the last status of every run that has ended, the oldest first."""
    return [status for status in statuses(folder) if status.state in ("done", "stored")]


def statuses(folder: Path) -> list[Status]:
    """Return the last status of every run, the oldest first."""
    read = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            read.append(Status(**json.loads(path.read_text(encoding="utf-8"))))
    return sorted(read, key=lambda status: status.time)
