"""The device that torch uses, and whether this machine has a better one.

Without a warning, torch falls back to the CPU when the driver is too old for its CUDA build, or
when ``CUDA_VISIBLE_DEVICES`` hides the GPU. So the driver itself is queried, through its library,
and its answer is compared with torch's.
"""

import ctypes
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from replication.base.errors import InputError
from replication.base.text import counted
from replication.base.types import Device

LIBRARY = "libcuda.so.1"
VERSION_FILE = Path("/proc/driver/nvidia/version")


class Driver(NamedTuple):
    """What NVIDIA's driver says of itself."""

    cuda: tuple[int, int]  # the newest CUDA version that it runs
    devices: int  # those that CUDA_VISIBLE_DEVICES leaves; 0 also where it does not start
    release: str  # "580.159.04", or "" if it is not on record


def best_device() -> Device:
    """Return the first CUDA device, or the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def described(device: torch.device | str) -> str:
    """Return ``device`` with the GPU's name, or, for a CPU, with the reason why it is no GPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    fault = cuda_fault()
    return f"{device} ({fault})" if fault else str(device)


def check_device(device: torch.device | str) -> torch.device:
    """Return ``device``. Raises InputError if it is no CPU or CUDA device of this machine."""
    try:
        parsed = torch.device(device)
    except RuntimeError:
        parsed = None
    known = parsed is not None and (parsed.type == "cuda" or str(parsed) in ("cpu", "cpu:0"))
    if not known:
        raise InputError(
            f"no device {str(device)!r} here: use cpu or cuda, or two of them as in cuda:0,cuda:1"
        )
    count = torch.cuda.device_count()
    if parsed.type == "cuda" and (parsed.index or 0) >= count:
        reason = cuda_fault() or f"torch finds {counted(count, 'CUDA device')} here"
        raise InputError(f"no device {str(device)!r}: {reason}; use cpu")
    return parsed


def cuda_fault() -> str | None:
    """Return why torch uses no GPU on a machine that has NVIDIA's driver; None if all is well."""
    if torch.cuda.device_count():
        return None
    return fault(driver(), torch.version.cuda, os.environ, torch.__version__)


def fault(
    found: Driver | None, built_for: str | None, environment: Mapping[str, str], version: str
) -> str | None:
    """Return what the driver's answer says if torch finds no device; None if nothing.

    ``built_for``: torch's CUDA version, None for a build for CPUs."""
    if found is None:
        return None
    name = f"the driver {found.release or 'of unknown release'}"
    runs = f"CUDA {found.cuda[0]}.{found.cuda[1]}"
    if built_for is None:
        seen = f"sees {counted(found.devices, 'GPU')}" if found.devices else f"runs {runs}"
        return f"torch {version} is a build for CPUs, and {name} {seen}"
    if found.cuda[0] < int(built_for.split(".")[0]):
        return f"{name} runs {runs} at most, and torch {version} is built for CUDA {built_for}"
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and not found.devices:
        return f"CUDA_VISIBLE_DEVICES={hidden!r} hides the GPUs"
    if not found.devices:
        return f"{name} is installed, and it finds no GPU that works"
    return f"{name} sees {counted(found.devices, 'GPU')}, and torch {version} cannot start CUDA"


@cache
def driver() -> Driver | None:
    """Ask NVIDIA's driver for its version and its devices; None without one."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    if library.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    if library.cuInit(0) == 0:
        library.cuDeviceGetCount(ctypes.byref(count))
    # 13010 is 13.1
    cuda = version.value // 1000, version.value % 1000 // 10
    return Driver(cuda, count.value, _release())


def _release() -> str:
    """Return the number in "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  ..."."""
    try:
        words = VERSION_FILE.read_text(encoding="utf-8").split("\n")[0].split()
    except OSError:
        return ""
    return next((word for word in words if word[:1].isdigit() and "." in word), "")
