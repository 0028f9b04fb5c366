"""What the tests of the data room share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from photos import write_tree


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs folder of the test's own."""
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tree of photographs of many kinds, and a runs folder, for the tests of one module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATION_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield write_tree(tmp_path_factory.mktemp("photos"))
