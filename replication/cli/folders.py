"""What ``doctor`` checks of folders: free disk, write access, and what a file system can do."""

import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from replication.base import disk

FREE_GB = 1.0  # the quick profile keeps its prepared images and checkpoints well below this
MOVE_RUNS = "name a folder on another disk in REPLICATION_RUNS"


@dataclass(frozen=True)
class Check:
    """One property of this machine, and, unless ``ok``, how to correct it.

    ``needed``: the project does not work without it.
    """

    name: str
    ok: bool
    needed: bool
    found: str
    cure: str = ""


def free_disk(folder: Path) -> Check:
    """Check that the disk of ``folder`` has room for a quick run."""
    try:
        free = disk.free_bytes(folder) / 1e9
    except OSError as error:  # a link to a disk that is not mounted
        return Check(
            "free disk",
            False,
            True,
            f"{folder}: {error.strerror}",
            "mount it, or name another folder in REPLICATION_RUNS",
        )
    ok = free >= FREE_GB
    cure = "" if ok else f"free some: {FREE_GB:g} GB are needed; or {MOVE_RUNS}"
    return Check("free disk", ok, True, f"{free:.1f} GB for {folder}", cure)


def writable(name: str, folder: Path, variable: str) -> Check:
    """Check that files can be created in ``folder``, which ``variable`` moves."""
    if reason := disk.why_not_writable(folder):
        cure = f"give yourself write access, or name another folder in {variable}"
        return Check(name, False, True, f"{folder}: {reason}", cure)
    return Check(name, True, True, str(folder))


def file_system(folder: Path) -> Check:
    """Try what runs need of a file system, in a folder that is removed at the end."""
    try:
        with tempfile.TemporaryDirectory(dir=disk.nearest(folder), prefix=".doctor-") as place:
            lacks = _lacking(Path(place))
    except OSError as error:
        return Check("file system", False, True, f"{folder}: {error.strerror}", MOVE_RUNS)
    missing = ", ".join(lacks)
    if "rename" in lacks:
        return Check("file system", False, True, f"{folder}: no {missing}", MOVE_RUNS)
    found = f"{folder}: no {missing}; the project does without" if lacks else str(folder)
    return Check("file system", True, True, found)


def _lacking(place: Path) -> list[str]:
    """Return which operations the file system of ``place`` does not have."""
    (place / "a").write_bytes(b"a")

    def rename() -> None:
        (place / "b").write_bytes(b"b")
        os.replace(place / "b", place / "c")

    def flock() -> None:
        with (place / "a").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def sync() -> None:
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    tried = {
        "rename": rename,
        "flock": flock,
        "hard links": lambda: os.link(place / "a", place / "d"),
        "fsync of folders": sync,
        "chmod": lambda: (place / "a").chmod(0o600),
    }
    lacks = []
    for name, operation in tried.items():
        try:
            operation()
        except OSError:
            lacks.append(name)
    return lacks
