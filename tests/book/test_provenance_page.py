"""The page of every run: it finds all of them, says when their code had changed, and refuses one
that lacks its provenance.
"""

import json
from pathlib import Path

import nbformat
import pytest

from replication.base.errors import CheckError, InputError
from replication.book.pages import deviations
from replication.book.pages import runs as page
from replication.ledger import verdicts as ledger
from replication.recipe import CifarNetSpec, Data, Recipe, Update

RECIPE = Recipe(data=Data(name="synthetic"), net=CifarNetSpec(), update=Update(rate=0.01), epochs=1)


def _store(results: Path, scale: str, experiment: str, dirty: bool | None = False) -> Path:
    folder = results / scale / experiment / f"run-{RECIPE.id}"
    folder.mkdir(parents=True)
    data = {"name": "synthetic", "form": "synthetic", "images": 10, "fingerprint": "f" * 16}
    made = {
        "commit": "c" * 40,
        "dirty": dirty,
        "libraries": {"torch": "2"},
        "data": data,
        "device": "cpu",
        "threads": 1,
        "python": "3.11",
    }
    made |= {
        "platform": "Linux",
        "seed": 0,
        "seconds": 7200.0,
        "peak_memory_mib": 100,
        "finished": "2026-01-01T00:00:00+00:00",
    }
    (folder / "recipe.json").write_text(RECIPE.model_dump_json())
    (folder / "provenance.json").write_text(json.dumps(made))
    (folder / "summary.json").write_text(json.dumps({"epochs": 1, "ended": "epochs"}))
    (folder / "metrics.jsonl").write_text("{}\n")
    return folder


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    return tmp_path


def test_published_runs_are_listed_and_trial_runs_are_not(results: Path) -> None:
    _store(results, "laptop", "ablations")
    _store(results, "gpu", "ablations", dirty=True)
    _store(results, "quick", "ablations")
    runs = page.table(page.stored_runs("laptop"))
    assert list(runs["profile"]) == ["gpu", "laptop"]
    assert runs["commit"].str.contains("changed").tolist() == [True, False]
    assert "4.0 hours" in page.counts_text(runs) and "1 of the runs" in page.counts_text(runs)
    assert list(page.experiments_table(runs)["runs"]) == [1, 1]
    assert RECIPE.id in page.runs_html(runs)
    assert len(page.stored_runs("quick")) == 1


def test_a_run_without_provenance_is_refused(results: Path) -> None:
    (_store(results, "laptop", "ablations") / "provenance.json").unlink()
    with pytest.raises(InputError, match=r"provenance\.json is missing"):
        page.stored_runs("laptop")


def test_a_run_under_another_recipes_hash_is_noticed(results: Path) -> None:
    folder = _store(results, "laptop", "ablations")
    folder.rename(folder.with_name("run-0123456789"))
    with pytest.raises(CheckError, match="hash of its recipe"):
        page.checks(page.stored_runs("laptop"))


def test_the_page_can_be_built_without_any_runs(results: Path) -> None:
    runs = page.table(page.stored_runs("laptop"))
    assert page.counts_text(runs) == "no stored runs"
    for shown in (page.experiments_table(runs), page.environments_table(runs), runs):
        page.table_html(shown)
    assert "No run" in page.runs_html(runs)


def test_the_pages_are_those_of_the_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page_of_mine = nbformat.v4.new_notebook(
        metadata={"papermill": {"duration": 2.04}, "replication": {"profile": "gpu"}}
    )
    nbformat.write(page_of_mine, tmp_path / "mine.ipynb")
    monkeypatch.setenv("REPLICATION_PAGES", str(tmp_path))
    assert page.pages_table().to_numpy().tolist() == [["mine", "gpu", 2.0, "not noted"]]


@pytest.mark.parametrize("show", [page.stored_runs, deviations.checks, ledger.chapter_rows])
def test_a_page_refuses_an_unknown_profile_instead_of_showing_the_published_one(show) -> None:
    with pytest.raises(InputError, match="did you mean 'quick'"):
        show("qiuck")
