"""Writing large things: by one process at a time, and a full disk is one clear line."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replication.base.errors import InputError
from replication.base.locks import held

USERS_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of ``path``, after any other process that builds it."""
    with held(path.with_name(f".{path.name}.lock")):
        yield


@contextmanager
def writing(path: Path, name: str) -> Iterator[None]:
    """Turn a full disk, or a folder that cannot be written, into one line.

    It names ``name`` and the folder of ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno not in USERS_FAULT:
            raise
        why = os.strerror(error.errno)
        raise InputError(
            f"cannot write {name} to {path.parent}: {why}; free some space or choose another"
            " folder, and run again"
        ) from None


def check_space(folder: Path, needed: int, name: str) -> None:
    """Raise InputError unless ``folder``'s disk has ``needed`` bytes for ``name``."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{name} need {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free;"
            " free some space or choose another folder"
        )
