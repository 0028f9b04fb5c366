"""Files that are either complete or absent.

They are written under a temporary name, flushed, then moved.
New files and folders follow the umask and a parent's setgid bit, as those of any other program. A
file system that cannot flush a folder is accepted: that only weakens the protection against a power
cut."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk, or the user's share of it
# what fsync answers where the file system has no such operation
NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Call ``write`` on a temporary file beside ``path``, flush it, and move it to ``path``.

    On any failure (a full disk, an interrupt) the file that was at ``path`` before stays as it was.
    An OSError names ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = beside(path)
    try:
        with unfinished.open("xb") as file:
            write(file)
            flush(file)
        os.replace(unfinished, path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(unfinished)):
            error.filename, error.filename2 = str(path), None
        raise
    sync_folder(path.parent)


def beside(path: Path) -> Path:
    """Return a hidden name in ``path``'s folder that no other process uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def flush(file: BinaryIO) -> None:
    """Flush an open file to the disk, if its file system can do that."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut. Best effort."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, atomically."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. Raises ValueError for NaN and infinity."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return ``value`` as an indented JSON document. Raises ValueError for NaN and infinity."""
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def digest(path: Path) -> str:
    """Return the first 16 hex digits of a file's sha256."""
    return sha256(path)[:16]


def sha256(path: Path) -> str:
    """Return a file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Read one JSON document."""
    return json.loads(path.read_text(encoding="utf-8"))
