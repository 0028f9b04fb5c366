"""The machine as this process may use it: CPUs, limits and the processor's name."""

import os
import platform
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")


def cpus() -> int:
    """Return how many CPUs this process may use: affinity and the cgroup's quota, at least 1."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        count = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, count if quota is None else min(count, round(quota)))


def is_busy() -> bool:
    """Return whether other programs have used every CPU of this process for the last minute."""
    return os.getloadavg()[0] >= cpus()


def cgroup_quota() -> float | None:
    """Return the CPUs that the control group grants to this process; None if unlimited.

    The tightest limit of the process's group and of the groups above it, version 2 or 1."""
    limits = [limit for folder in _groups() if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def processor() -> str:
    """Return the processor's model, as the system names it."""
    try:
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _groups() -> list[Path]:
    """Return the folders of this process's CPU control group and of its parents."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUP / "cpu" if controllers else CGROUP
        group = root / path.lstrip("/")
        folders += [group, *(parent for parent in group.parents if parent.is_relative_to(root))]
    return folders


def _limit(folder: Path) -> float | None:
    try:
        if (new := folder / "cpu.max").is_file():
            quota, period = new.read_text(encoding="ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
