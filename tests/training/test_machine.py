"""A run that resumes under another CPU says so, and takes no more threads than it has CPUs."""

from pathlib import Path

import pytest
import torch

from replication.training.process import machine as process


def test_a_run_resumed_on_another_processor_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    process.note_machine(tmp_path, lines.append)
    process.note_machine(tmp_path, lines.append)
    assert lines == []
    monkeypatch.setattr(process.machine, "processor", lambda: "Another Processor")
    process.note_machine(tmp_path, lines.append)
    assert len(lines) == 1 and "now Another Processor" in lines[0]


def test_a_quota_limits_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        monkeypatch.setattr(process.machine, "cpus", lambda: 1)
        process.limit_threads()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
