"""One process at a time. The system lets go of a lock however its process ends."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def held(path: Path, wait: float | None = None) -> Iterator[None]:
    """Hold the lock file ``path``, made if need be, alone. TimeoutError if another process has it
    for ``wait`` seconds; None: waits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        if wait is None:
            fcntl.flock(file, fcntl.LOCK_EX)
        else:
            deadline = time.monotonic() + wait
            while not _take(file):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} is held by another process")
                time.sleep(0.1)
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file now."""
    if not path.is_file():
        return False
    with path.open() as file:
        return not _take(file)  # let go of at once, when the file closes


def _take(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
