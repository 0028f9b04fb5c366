"""Whether files are still those that something was built from.

A fingerprint covers names and sizes, so it is the same on every machine. But it does not change if
a file is replaced by another one of the same size. So a note *beside* the built file stores more:
the time stamps of the files on this machine, and a hash of their contents, in case only the stamps
differ, as after a copy. The note also shows whether the built file itself is complete."""

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import read_json, write_json
from replication.data.files import tree
from replication.data.files.decode import Unreachable, Unreadable, read
from replication.data.files.index import Index
from replication.data.files.parallel import each


def content(index: Index) -> str:
    """Return 16 hex digits over the bytes of the index's files, read once and then remembered."""
    path = paths.runs() / "content" / f"{index.name}-{index.split}-{index.fingerprint}.json"
    kept = _read(path)
    if kept.get("stamp") == index.stamp and isinstance(kept.get("content"), str):
        return kept["content"]
    files = list(dict.fromkeys(index.paths))

    def digest(row: int) -> bytes:
        try:
            return hashlib.blake2b(read(index.root / files[row], files[row])).digest()
        except Unreachable:
            raise  # a fault of the machine is no content
        except Unreadable as error:
            return error.kind.encode()

    whole = hashlib.blake2b(digest_size=8)
    for part in each(digest, range(len(files)), f"{index.name} {index.split}, contents"):
        whole.update(part)
    _remember(path, {"stamp": index.stamp, "content": whole.hexdigest()})
    return whole.hexdigest()


def note_of(built: Path) -> Path:
    """Return the place of the note about ``built``."""
    return built.with_name(f".{built.name}.json")


def record(built: Path, index: Index) -> None:
    """Note that ``built`` is whole and belongs to the index's files as they are."""
    note = {"stamp": index.stamp, "content": content(index), "built": _built(built)}
    write_json(note_of(built), note | {"digest": _digest(built)})


def is_current(built: Path, index: Index) -> bool:
    """Return whether ``built`` is whole and the files that it was built from have not changed."""
    note = _read(note_of(built))
    if not built.is_file() or not {"stamp", "content", "built", "digest"} <= note.keys():
        return False
    now = note | {"stamp": index.stamp, "built": _built(built)}
    if now == note:
        return True
    if now["built"] != note["built"] and _digest(built) != note["digest"]:
        return False  # damaged, or copied in part
    if now["stamp"] != note["stamp"] and content(index) != note["content"]:
        return False
    _remember(note_of(built), now)
    return True


def note_of_run(run: str) -> Path:
    """Return the place of the note about the images that a run, by its id, began with."""
    return paths.runs() / run / "images.json"


def begin(note: Path, index: Index) -> None:
    """Record in ``note`` which images a run begins with, unless that is recorded already."""
    if not note.is_file():
        _remember(note, {"stamp": index.stamp, "content": content(index)})


def check_same(note: Path, index: Index, what: str) -> None:
    """Raise InputError if the images have changed since ``begin`` kept ``note``.

    ``what`` began then. Without a note, as for results of another machine, nothing is checked."""
    kept = _read(note)
    if not kept or kept.get("stamp") == index.stamp:
        return
    now = {"stamp": index.stamp, "content": content(index)}
    if kept.get("content") != now["content"]:
        raise InputError(
            f"{what} began with other images: files of {index.name} in {index.root} have been"
            f" replaced since; restore them, or move {note.parent} away to begin again"
        )
    _remember(note, now)


def _built(path: Path) -> list[int]:
    return list(tree.stamp(path))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _remember(path: Path, note: dict[str, Any]) -> None:
    """Write a note; if the folder cannot be written, the next call reads all files again."""
    with contextlib.suppress(PermissionError):
        write_json(path, note)


def _read(path: Path) -> dict[str, Any]:
    """Return a note, {} if it is missing or damaged."""
    try:
        note = read_json(path)
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
