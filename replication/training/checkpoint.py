"""Checkpoints that can be trusted: written whole, named by their own hash, only tensors and plain
values.

A run's folder holds the last two as ``step-<steps>.<sha256, 16 digits>.pt``, and as ``best-...``
the one after the epoch with the lowest validation error. A file that is torn, cut short, altered or
foreign does not match its name, or is not what this module wrote; it is reported and the one before
it is used."""

import contextlib
import hashlib
import io
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from replication.base.errors import TrainingError
from replication.base.files import sync_folder, write_atomic

KEPT = 2
FORMAT = 2  # of the state that ``trainer`` keeps; one of another format is passed over
NAME = re.compile(r"(step|best)-(\d+)\.([0-9a-f]{16})\.pt")


def save(folder: Path, step: int, state: dict[str, Any], best: bool = False) -> Path:
    """Write ``state`` (tensors, numbers, text and containers of them) as the checkpoint of
    ``step``; drop all but the newest two.

    ``best``: keep it also as the best so far. Raises TrainingError where the disk is full; the
    checkpoints before it are then intact."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT} | state, buffer)
    content = buffer.getbuffer()
    path = folder / f"step-{step:09d}.{_digest(content)}.pt"
    try:
        if best:
            _write_best(path, content)
        else:
            write_atomic(path, lambda file: file.write(content))
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(
            f"{folder}: cannot write a checkpoint ({reason}); the last one is intact; free space,"
            " start again"
        ) from error
    number = NAME.fullmatch(path.name)[2]
    superseded = [
        old
        for old in _files(folder, "step")
        if old != path and NAME.fullmatch(old.name)[2] == number
    ]
    for old in superseded + [old for old in _files(folder, "step") if old not in superseded][KEPT:]:
        old.unlink(missing_ok=True)
    return path


def read(folder: Path, report: Callable[[str], None]) -> bytes | None:
    """The content of the newest sound checkpoint of ``folder``, or None. Each unsound one is
    reported in one line and passed over.
    """
    for path in [*_files(folder, "step"), *_files(folder, "best")]:
        try:
            content = path.read_bytes()
        except OSError as error:
            report(
                f"{path}: cannot be read ({error.strerror or error}), using the checkpoint"
                " before it"
            )
            continue
        if _digest(content) != NAME.fullmatch(path.name)[3]:
            report(
                f"{path}: damaged (its content does not match the hash in its name), using the"
                " checkpoint before it"
            )
            continue
        try:
            parse(content)
        except ValueError as error:
            report(f"{path}: {error}, using the checkpoint before it")
            continue
        return content
    return None


def parse(content: bytes) -> dict[str, Any]:
    """The state in the content of a checkpoint, tensors on the CPU. Raises ValueError for a foreign
    file.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ValueError(f"not a checkpoint of this project ({type(error).__name__})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError("a checkpoint of another version of this project")
    return state


def load(folder: Path, report: Callable[[str], None]) -> dict[str, Any] | None:
    """``read`` and ``parse``."""
    content = read(folder, report)
    return None if content is None else parse(content)


def clear(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote. Only for the one that holds the
    folder.
    """
    for path in [*folder.glob(".step-*"), *folder.glob(".best-*"), *_files(folder, "best")[1:]]:
        path.unlink(missing_ok=True)


def _write_best(path: Path, content: memoryview) -> None:
    """The best so far under its own name, and a second name for the same file, which costs no space
    while both are there.

    The best comes first: a kill between the two repeats the epoch's end and finds it best again, so
    none is lost."""
    best = path.with_name(path.name.replace("step", "best", 1))
    write_atomic(best, lambda file: file.write(content))
    with contextlib.suppress(FileExistsError):
        os.link(best, path)
    sync_folder(path.parent)
    for old in _files(path.parent, "best"):
        if old != best:
            old.unlink(missing_ok=True)


def _digest(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _files(folder: Path, kind: str) -> list[Path]:
    """Every checkpoint of one kind, newest first."""
    if not folder.is_dir():
        return []
    found = [
        (int(match[2]), path)
        for path in folder.iterdir()
        if (match := NAME.fullmatch(path.name)) and match[1] == kind
    ]
    return [path for _, path in sorted(found, reverse=True)]
