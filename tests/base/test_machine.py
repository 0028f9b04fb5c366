"""CPUs are counted as this process may use them: affinity and the control group's quota."""

import os
from pathlib import Path

import pytest

from replication.base import machine


def _group(root: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    root.mkdir(parents=True)
    for name, content in files.items():
        (root / name.replace("_", ".", 1)).write_text(content)
    monkeypatch.setattr(machine, "_groups", lambda: [root])


@pytest.mark.parametrize(
    ("content", "limit"), [("max 100000", None), ("150000 100000", 1.5), ("50000 100000", 0.5)]
)
def test_the_quota_of_a_control_group_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, limit: float | None
) -> None:
    _group(tmp_path / "group", monkeypatch, cpu_max=content)
    assert machine.cgroup_quota() == limit


def test_a_quota_below_the_affinity_counts_and_is_never_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    _group(tmp_path / "group", monkeypatch, cpu_max="200000 100000")
    assert machine.cpus() == 2
    (tmp_path / "group" / "cpu.max").write_text("10000 100000")
    assert machine.cpus() == 1


def test_affinity_counts_and_not_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_groups", list)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert machine.cpus() == 1
