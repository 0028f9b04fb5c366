"""Checkpoints that can be trusted: written whole, named by their own hash, plain values only.

A run's folder has the last two as ``step-<steps>.<sha256, 16 digits>.pt``, and as ``best-...`` the
one after the epoch with the lowest validation error. A file that is torn, cut short, altered or
foreign does not match its name, or is not what this module wrote. It is reported and set aside, and
the one before it is used."""

import contextlib
import hashlib
import io
import os
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from replication.base.errors import TrainingError
from replication.base.files import sync_folder, write_atomic

KEPT = 2
FORMAT = 2  # of the state in ``training.state``; a checkpoint of another format is passed over
WRITTEN = ("step-", "best-", "weights", "metrics.jsonl.", "timings.jsonl.")  # by a training
NAME = re.compile(r"(step|best)-(\d+)\.([0-9a-f]{16})\.pt")


def save(folder: Path, step: int, state: dict[str, Any], best: bool = False) -> Path:
    """Write ``state`` as the checkpoint of ``step`` and delete all but the newest two.

    ``state`` has tensors, numbers, text and containers of them. ``best``: keep it also as the best
    so far. Files of later steps, which ``read`` passed over, are not counted. Raises TrainingError
    if the disk is full; the checkpoints before it are then intact."""
    content = _serialised(state)
    path = folder / f"step-{step:09d}.{_digest(content)}.pt"
    with _writing(folder):
        if best:
            _write_best(_best_name(path), content)
            _link(_best_name(path), path, content)
        else:
            write_atomic(path, lambda file: file.write(content))
    earlier = [old for old in _files(folder, "step") if old != path and _step(old) <= step]
    same = [old for old in earlier if _step(old) == step]
    for old in same + [old for old in earlier if old not in same][KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return path


def save_best(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write ``state`` as the best checkpoint so far, that of an earlier ``step``."""
    content = _serialised(state)
    with _writing(folder):
        _write_best(folder / f"best-{step:09d}.{_digest(content)}.pt", content)


def read(folder: Path, report: Callable[[str], None]) -> bytes | None:
    """Return the content of the newest sound checkpoint of ``folder``, or None.

    Each unsound one is reported in one line. A damaged one is renamed, so that it does not count as
    one of the last two."""
    for path in [*_files(folder, "step"), *_files(folder, "best")]:
        try:
            content = path.read_bytes()
        except OSError as error:
            report(
                f"{path}: cannot be read ({error.strerror or error}), using the checkpoint"
                " before it"
            )
            continue
        if _digest(content) != _parts(path)[3]:
            report(
                f"{path}: damaged (its content does not match the hash in its name), using the"
                " checkpoint before it"
            )
            with contextlib.suppress(OSError):  # a folder that is only read
                path.rename(path.with_suffix(".damaged"))
            continue
        try:
            parse(content)
        except ValueError as error:
            report(f"{path}: {error}, using the checkpoint before it")
            continue
        return content
    return None


def parse(content: bytes) -> dict[str, Any]:
    """Return the state in a checkpoint's content, with tensors on the CPU.

    Raises ValueError for a foreign file."""
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ValueError(f"not a checkpoint of this project ({type(error).__name__})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError("a checkpoint of another version of this project")
    return state


def clear(folder: Path) -> None:
    """Remove the temporary files of a training process that was killed while it wrote.

    Only for the process that has locked the folder. An evaluation, which has not, may write its
    predictions there meanwhile."""
    for path in [path for kind in WRITTEN for path in folder.glob(f".{kind}*")]:
        path.unlink(missing_ok=True)
    for path in _files(folder, "best")[1:]:
        path.unlink(missing_ok=True)


def _serialised(state: dict[str, Any]) -> memoryview:
    buffer = io.BytesIO()
    torch.save({"format": FORMAT} | state, buffer)
    return buffer.getbuffer()


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn a failed write into a TrainingError that names the folder and the reason."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{folder}: cannot write a checkpoint ({error.strerror or error}); the last one is"
            " intact; free space, start again"
        ) from error


def _write_best(path: Path, content: memoryview) -> None:
    """Write the best checkpoint, then delete the earlier one.

    It is written before the step's own name: a kill between the two repeats the epoch's end and
    finds it best again, so none is lost."""
    write_atomic(path, lambda file: file.write(content))
    for old in _files(path.parent, "best"):
        if old != path:
            old.unlink(missing_ok=True)


def _link(path: Path, second: Path, content: memoryview) -> None:
    """Give a file a second name, which costs no space where the file system has hard links."""
    try:
        os.link(path, second)
    except FileExistsError:
        return
    except OSError:
        write_atomic(second, lambda file: file.write(content))
        return
    sync_folder(path.parent)


def _best_name(path: Path) -> Path:
    return path.with_name(path.name.replace("step", "best", 1))


def _step(path: Path) -> int:
    return int(_parts(path)[2])


def _parts(path: Path) -> re.Match[str]:
    """Return the kind, step and hash in a checkpoint's name."""
    parts = NAME.fullmatch(path.name)
    if parts is None:
        raise ValueError(f"{path} is not named as a checkpoint")
    return parts


def _digest(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _files(folder: Path, kind: str) -> list[Path]:
    """Return every checkpoint of one kind, newest first."""
    if not folder.is_dir():
        return []
    numbered = [
        (int(match[2]), path)
        for path in folder.iterdir()
        if (match := NAME.fullmatch(path.name)) and match[1] == kind
    ]
    return [path for _, path in sorted(numbered, reverse=True)]
