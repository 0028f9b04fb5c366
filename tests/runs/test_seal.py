"""Published results are as they were measured: a digit edited by hand, a file taken away or put in
is found.
"""

from pathlib import Path

import pytest

from replication.base import paths
from replication.base.types import PROFILES
from replication.runs.seal import faults, seal

PUBLISHED = sorted(
    path
    for profile in PROFILES[1:]
    for path in (paths.ROOT / "results" / profile).glob("*")
    if path.is_dir()
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run-1").mkdir()
    (tmp_path / "table.csv").write_text("seed,error\n0,0.125\n")
    (tmp_path / "run-1" / "summary.json").write_text('{"epochs": 3}')
    seal(tmp_path)
    return tmp_path


def test_there_are_published_results() -> None:
    assert PUBLISHED


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_published_result_is_as_it_was_measured(published: Path) -> None:
    assert faults(published) == []


def test_an_edited_digit_is_found(folder: Path) -> None:
    assert faults(folder) == []
    (folder / "table.csv").write_text("seed,error\n0,0.124\n")
    assert faults(folder) == ["table.csv was changed"]


def test_a_file_taken_away_and_one_put_in_are_found(folder: Path) -> None:
    (folder / "run-1" / "summary.json").rename(folder / "run-1" / "other.json")
    assert faults(folder) == ["run-1/summary.json is missing", "run-1/other.json was added"]


def test_an_experiment_that_was_not_sealed_is_a_fault(tmp_path: Path) -> None:
    assert "missing" in faults(tmp_path)[0]
