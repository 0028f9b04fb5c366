"""Without the images, a run of published results repeats nothing and touches nothing."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from replication.base import paths
from replication.book import execute, stamps
from replication.book.kept import kept
from replication.cli.app import app
from replication.experiments import EXPERIMENTS
from replication.runs import seal

LAPTOP = paths.ROOT / "results" / "laptop"
# published at laptop, with runs or pictures of images that a clone does not have
ON_IMAGES = [
    experiment.name
    for experiment in EXPERIMENTS
    if (LAPTOP / experiment.name / seal.FILE).is_file() and experiment.name != "architecture"
]


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh clone: nothing but what is committed."""
    monkeypatch.delenv("REPLICATION_RESULTS", raising=False)
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    _changed(monkeypatch, "notebook", "code")


def _changed(monkeypatch: pytest.MonkeyPatch, *parts: str) -> None:
    """Let these parts of every page's stamp differ from those of now."""
    monkeypatch.setattr(stamps, "differences", lambda page, now: list(parts))


@pytest.mark.parametrize("name", ON_IMAGES)
def test_every_experiment_on_images_is_kept_and_says_why_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("the notebook is executed")

    monkeypatch.setattr(execute, "execute", never)
    done = CliRunner().invoke(app, ["run", name, "--profile", "laptop"])
    assert done.exit_code == 0
    (line,) = [line for line in done.output.splitlines() if line.startswith(name)]
    assert line.startswith(f"{name} (laptop): kept as published in results/laptop/{name}, because")
    assert "--force" in line


def test_a_page_at_another_scale_is_not_replaced_by_stored_runs(monkeypatch) -> None:
    _changed(monkeypatch, "profile", "parameters", "results")
    assert "cifar10 is not in" in kept("relu_vs_tanh", "laptop")


@pytest.mark.parametrize("part", ["results", "parameters", "page"])
def test_what_the_page_does_not_show_yet_is_executed(part: str, monkeypatch) -> None:
    _changed(monkeypatch, "code", part)
    assert kept("lrn_cifar", "laptop") == ""


def test_with_the_images_a_changed_page_is_executed(monkeypatch) -> None:
    (paths.data() / "cifar-10-batches-py").mkdir(parents=True)
    assert kept("lrn_cifar", "laptop") == ""


def test_results_of_ones_own_and_quick_ones_are_never_kept() -> None:
    assert kept("lrn_cifar", "laptop", ["seeds=[7]"]) == ""
    assert kept("lrn_cifar", "quick") == ""
    assert kept("architecture", "laptop") == ""


def test_a_pages_stamp_has_every_data_file_of_the_package() -> None:
    files = {path for path in stamps.PACKAGE.rglob("*.*") if path.is_file()}
    data = {path for path in files if path.suffix in (".csv", ".json", ".toml", ".yaml")}
    assert data == {path for kind in stamps.DATA for path in stamps.PACKAGE.rglob(kind)}
    assert stamps.PACKAGE / "paper" / "figure1.csv" in data
