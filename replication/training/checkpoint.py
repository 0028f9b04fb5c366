"""Checkpoints that can be trusted: written whole, named by their own hash, the last two kept, only tensors and plain values.

A run's folder holds files ``step-<steps>.<sha256, 16 digits>.pt``. A file that is torn, cut short, altered or foreign does not
match its name; it is reported and the one before it is used.
"""

import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from replication.files import write_atomic

KEPT = 2
NAME = re.compile(r"step-(\d+)\.([0-9a-f]{16})\.pt")


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write ``state`` (tensors, numbers, text and containers of them) as the checkpoint of ``step``; drop all but the newest two."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    path = folder / f"step-{step:09d}.{_digest(content)}.pt"
    write_atomic(path, lambda file: file.write(content))
    for _, old in _files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load(folder: Path, report: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest sound checkpoint of ``folder``, or None. Each unsound one is reported in one line and passed over."""
    for _, path in _files(folder):
        content = path.read_bytes()
        if _digest(content) != NAME.fullmatch(path.name)[2]:
            report(f"{path}: damaged (its content does not match the hash in its name), using the checkpoint before it")
            continue
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return None


def _digest(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _files(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of every checkpoint, newest first."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := NAME.fullmatch(path.name))]
    return sorted(found, reverse=True)
