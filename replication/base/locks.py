"""Locks between processes. The system releases a lock however its process ends.

They are flock locks of the ``filelock`` library. On a file system without flock (some network and
cloud drives) a marker file takes their place: it holds the owner's process id and host, and is
taken over once that process is gone."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from replication.base.errors import InputError

RUN_LOCK = "lock"  # in a run's folder
WAIT_SECONDS = 10.0  # for another process that is just releasing a run's folder
# what flock answers where the file system has none; filelock itself covers ENOSYS
NO_FLOCK = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}


@contextmanager
def held(path: Path, wait: float | None = None) -> Iterator[None]:
    """Hold the lock file ``path``, created if needed, until the block ends.

    Raises TimeoutError if another process holds it for ``wait`` seconds; None waits for ever."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _acquired(path, -1 if wait is None else wait)
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock file now."""
    if not path.is_file():
        return False
    try:
        _acquired(path, 0).release()
    except Timeout:
        return True
    return False


@contextmanager
def locked(folder: Path, name: str, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold a run's ``folder``, created if needed.

    Raises InputError if another process holds it for ``wait`` seconds; ``name``: what it trains."""
    try:
        lock = _acquired(_created(folder) / RUN_LOCK, wait)
    except Timeout:
        raise InputError(
            f"{folder}: another process is training {name}; wait for it or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process holds a run's ``folder`` now."""
    return is_held(folder / RUN_LOCK)


def _created(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _acquired(path: Path, timeout: float) -> BaseFileLock:
    try:
        lock: BaseFileLock = FileLock(path)
        lock.acquire(timeout=timeout, poll_interval=0.1)
    except OSError as error:
        if isinstance(error, Timeout) or error.errno not in NO_FLOCK:
            raise
        lock = SoftFileLock(path.with_name(f"{path.name}.held"))
        lock.acquire(timeout=timeout, poll_interval=0.1)
    return lock
