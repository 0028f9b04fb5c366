"""One process at a time in a run's folder. The system lets go of the lock however the process ends."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replication.errors import InputError

FILE = "lock"
WAIT_SECONDS = 10.0  # for another process that is just letting go of the folder


@contextmanager
def locked(folder: Path, name: str, wait: float | None = WAIT_SECONDS) -> Iterator[None]:
    """Hold ``folder``, which is made if need be, alone. Raises InputError if another process holds it for ``wait`` seconds; None: waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / FILE, "w") as file:
        deadline = None if wait is None else time.monotonic() + wait
        while not _take(file):
            if deadline is not None and time.monotonic() > deadline:
                raise InputError(f"{folder}: another process is training {name}; wait for it or stop it")
            time.sleep(0.1)
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds ``folder`` now."""
    if not (folder / FILE).is_file():
        return False
    with open(folder / FILE) as file:
        return not _take(file)  # let go of at once, when the file closes


def _take(file: object) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
