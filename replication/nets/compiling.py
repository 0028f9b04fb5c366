"""Compiling functions with ``torch.compile`` and Triton, if this machine can."""

import logging
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Versions of a function that torch keeps compiled: one for each size of the maps, precision and
# window that a process meets.
SHAPES = 256

log = logging.getLogger(__name__)


@cache
def can_compile() -> bool:
    """Return whether kernels can be compiled here: ``missing`` names nothing, and a trial works.

    The trial is one of a GPU, which has a driver and a linker of its own."""
    if missing() is not None:
        return False
    if not torch.cuda.is_available():
        return True
    try:
        _compiled(_trial)(torch.zeros(8, device="cuda")).cpu()
    except (RuntimeError, OSError, ImportError, subprocess.SubprocessError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        log.warning("kernels cannot be compiled here, so torch's own are used: %s", reason)
        return False
    return True


@cache
def missing() -> str | None:
    """Return what compiled kernels need and this machine lacks; None if nothing."""
    if not find_spec("triton"):
        return "Triton"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "a C compiler"
    if not any(Path(folder, "Python.h").is_file() for folder in _headers()):
        return "Python's headers"
    return None


def _headers() -> list[str]:
    """Return where Triton looks for Python's headers.

    Debian's own Python names a folder of local packages first, and Triton does not look there."""
    scheme = sysconfig.get_default_scheme()
    return [sysconfig.get_path("include", "posix_prefix" if scheme == "posix_local" else scheme)]


def run_compiled(
    function: Callable[..., Tensor], tensors: Sequence[Tensor], settings: Sequence[Any]
) -> Tensor:
    """Call the compiled ``function``; one version serves every number of images but 1."""
    # Beyond torch's own limit of 8 it would not compile. The setting belongs to the thread, and a
    # GPU's backward pass has a thread of its own.
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)
    for tensor in tensors:
        torch._dynamo.maybe_mark_dynamic(tensor, 0)
    return _compiled(function)(*tensors, *settings)


def _trial(x: Tensor) -> Tensor:
    return x + 1


@cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(function)
