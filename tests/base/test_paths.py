"""Folders: absolute for every process, and results that are not published kept apart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from replication.base import paths
from replication.base.errors import InputError


def _python(code: str, cwd: Path, **variables: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)} | variables
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_relative_folders_are_handed_on_as_absolute_ones(tmp_path: Path) -> None:
    code = "import os; from replication.base import paths; os.chdir('/'); "
    code += "print(os.environ['REPLICATION_RESULTS'], paths.results())"
    wanted = str(tmp_path / "mine")
    assert _python(code, tmp_path, REPLICATION_RESULTS="mine") == f"{wanted} {wanted}"


def test_outside_a_clone_the_folders_are_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path / "site-packages")
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "site-packages" / "notebooks")
    for variable in paths.FOLDERS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert paths.runs() == tmp_path / "share" / "alexnet-replication" / "runs"


def test_a_user_without_a_home_is_told_which_variables_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(paths.Path, "home", homeless)
    with pytest.raises(InputError, match="REPLICATION_RUNS"):
        paths.home()


def test_published_results_are_read_but_not_written_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("")  # a clone has one
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv(paths.PLACE, raising=False)
    published = tmp_path / "results" / "laptop" / "x"
    published.mkdir(parents=True)
    (published / "table.csv").write_text("")
    own = tmp_path / "results" / "own" / "by-hand" / "laptop" / "x"
    assert paths.experiment("laptop", "x") == own
    assert paths.stored("laptop", "x", "table.csv") == published / "table.csv"
    assert paths.experiment("quick", "x") == tmp_path / "results" / "quick" / "x"
    monkeypatch.setenv(paths.PLACE, "")
    assert paths.experiment("laptop", "x") == published


def test_published_results_are_not_read_for_other_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    (tmp_path / "laptop" / "x").mkdir(parents=True)
    (tmp_path / "laptop" / "x" / "table.csv").write_text("")
    monkeypatch.setenv(paths.PLACE, "own/images/cifar10-1234")
    own = tmp_path / "own" / "images" / "cifar10-1234" / "laptop" / "x"
    assert paths.stored("laptop", "x", "table.csv") == own / "table.csv"
