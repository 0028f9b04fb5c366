"""What the tests of the data room share."""

from pathlib import Path

import pytest


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs folder of the test's own."""
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"
