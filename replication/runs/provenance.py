"""Where a result came from: code, libraries, machine and data."""

import os
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from replication.base import devices, machine
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
    """Return the provenance of a run on ``index``.

    ``seconds``: of training, over all its processes; ``device``: where it trained; ``made_by``: the
    pipeline of its batches; ``skipped``: images left out as unreadable."""
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
        "processor": machine.processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),  # which kernels torch's CPU code has
        "threads": torch.get_num_threads(),
        "threads_between": torch.get_num_interop_threads(),
        "cpus": machine.cpus(),
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
        "peak_memory_mib": _peak_memory_mib(),  # of the process, which may have trained others
    }


def commit() -> dict[str, Any]:
    """Return the commit of the code and whether the code was changed.

    Both are None if they are unknown; ``no_commit`` then says why. On a machine without a clone,
    ``COMMIT`` names the commit."""
    try:
        head = _git("rev-parse", "HEAD")
        return {"commit": head, "dirty": bool(_git("status", "--porcelain", "--", *CODE))}
    except (OSError, subprocess.SubprocessError) as error:
        if named := os.environ.get(COMMIT):
            return {"commit": named.removesuffix(DIRTY), "dirty": named.endswith(DIRTY)}
        return {"commit": None, "dirty": None, "no_commit": _reason(error)}


def _git(*words: str) -> str:
    """Return git's answer about this clone.

    A package in an environment inside another repository must not record that one's commit; nor may
    GIT_DIR and its like point elsewhere. Raises OSError or SubprocessError if there is no git or no
    answer, and NotADirectoryError if the repository is not ours."""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}

    def answer(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=30,
            check=True,
            env=environment,
        )
        return done.stdout.strip()

    if Path(top := answer("rev-parse", "--show-toplevel")).resolve() != ROOT:
        raise NotADirectoryError(f"{ROOT} is inside another repository, {top}")
    return answer(*words)


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    """Return the first line of the message of git, or why git did not start or end."""
    message = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
    return (message or str(error)).strip().splitlines()[0]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _peak_memory_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux KiB
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
