"""What the tests of small nets share: their folders, and images that they have not seen yet."""

from pathlib import Path

import pytest

from replication.data.splits import selected


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders of runs and results of the test's own; returns that of the runs."""
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    selected.cache_clear()
    return tmp_path / "runs"
