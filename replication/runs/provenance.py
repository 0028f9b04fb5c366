"""Where a result came from: the code, the libraries, the machine and the data that made it."""

import os
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from replication.base import devices
from replication.base.code import code_digest
from replication.base.paths import ROOT
from replication.data.files.index import Index

LIBRARIES = ("torch", "numpy", "pillow", "nvidia-dali-cuda130")
COMMIT, DIRTY = "REPLICATION_COMMIT", "+dirty"
CODE = ("replication", "notebooks", "params", "requirements.lock")  # what can change a result


def describe(
    index: Index,
    seed: int,
    seconds: float,
    device: str = "cpu",
    made_by: str = "raw",
    skipped: int = 0,
) -> dict[str, Any]:
    """The provenance of a run on ``index`` that trained for ``seconds`` in this process or in it
    and earlier ones.

    ``device``: where it trained; ``made_by``: the pipeline of its batches; ``skipped``: images left
    out as unreadable."""
    driver = devices.driver()
    return {
        **commit(),
        "code": code_digest(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "platform": platform.platform(),
        "device": device,
        "driver": driver.release or "unknown" if driver else None,
        "pipeline": made_by,
        "threads": torch.get_num_threads(),
        "data": {
            "name": index.name,
            "form": index.form,
            "note": index.note,
            "split": index.split,
            "images": len(index),
            "classes": len(index.classes),
            "fingerprint": index.fingerprint,
            "skipped": skipped,
        },
        "seed": seed,
        "seconds": round(seconds, 2),
        "peak_memory_mib": _peak_memory_mib(),
    }


def commit() -> dict[str, Any]:
    """The commit of the code, and whether it was changed since; both None if git does not know.

    On a machine without a clone whoever brought the code there names the commit in ``COMMIT``."""
    found = _git("rev-parse", "HEAD")
    if found is None and (named := os.environ.get(COMMIT)):
        return {"commit": named.removesuffix(DIRTY), "dirty": named.endswith(DIRTY)}
    status = _git("status", "--porcelain", "--", *CODE)
    return {"commit": found, "dirty": None if status is None else bool(status)}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None  # not a clone, or no git: the result then says that its commit is unknown
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _peak_memory_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux KiB
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
