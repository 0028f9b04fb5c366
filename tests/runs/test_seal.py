"""Published results and pages are as they were measured; each way to change them is noticed."""

import contextlib
import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from replication.base import paths
from replication.base.errors import InputError
from replication.runs import seal
from replication.runs.seal import FILE, check_unchanged, faults


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run-1").mkdir()
    (tmp_path / "table.csv").write_text("seed,error\n0,0.125\n")
    (tmp_path / "run-1" / "summary.json").write_text('{"epochs": 3}')
    seal.seal(tmp_path)
    return tmp_path


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two published experiments, each with a page, all of them sealed."""
    results = tmp_path / "results"
    monkeypatch.setenv("REPLICATION_RESULTS", str(results))
    monkeypatch.setenv("REPLICATION_PAGES", str(tmp_path / "pages"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv(paths.PLACE, raising=False)
    for name in ("one", "two"):
        place = results / "laptop" / name
        place.mkdir(parents=True)
        (place / "table.csv").write_text("error\n0.5\n")
        seal.seal(place)
        notes = {"profile": "laptop", "results": seal.shown_results(place)}
        page = {"metadata": {"replication": notes}, "cells": [{"outputs": "50%"}]}
        (tmp_path / "pages").mkdir(exist_ok=True)
        (tmp_path / "pages" / f"{name}.ipynb").write_text(json.dumps(page))
        seal.list_published([place / FILE, tmp_path / "pages" / f"{name}.ipynb"])
    assert seal.published_faults() == []
    return tmp_path


def test_the_published_results_and_pages_are_as_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*paths.FOLDERS, paths.PLACE):
        monkeypatch.delenv(variable, raising=False)
    assert len(seal.published_folders()) > 10 and len(seal.published_pages()) > 10
    assert seal.published_faults() == []


def test_an_edited_digit_is_found(folder: Path) -> None:
    assert faults(folder) == []
    (folder / "table.csv").write_text("seed,error\n0,0.124\n")
    assert faults(folder) == ["table.csv was changed"]


def test_a_file_taken_away_and_one_put_in_are_found(folder: Path) -> None:
    (folder / "run-1" / "summary.json").rename(folder / "run-1" / "other.json")
    assert faults(folder) == ["run-1/summary.json is missing", "run-1/other.json was added"]


def test_an_experiment_that_was_not_sealed_is_a_fault(tmp_path: Path) -> None:
    assert "missing" in faults(tmp_path)[0]


def test_sha256sum_checks_every_seal(folder: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    subprocess.run(["sha256sum", "--check", "--quiet", FILE], cwd=folder, check=True)


def test_a_run_refuses_an_edited_result_and_accepts_a_run_that_sealed_itself(folder: Path) -> None:
    (folder / "run-2").mkdir()
    (folder / "run-2" / "summary.json").write_text("{}")
    seal.seal(folder / "run-2")
    check_unchanged(folder)  # an interrupted command trained it
    (folder / "run-1" / "summary.json").write_text('{"epochs": 2}')
    with pytest.raises(InputError, match=r"run-1/summary.json was changed.*reseal"):
        check_unchanged(folder)


def test_a_run_put_in_by_hand_is_refused(folder: Path) -> None:
    (folder / "run-2").mkdir()
    (folder / "run-2" / "summary.json").write_text("{}")
    with pytest.raises(InputError, match=r"run-2/summary.json was added"):
        check_unchanged(folder)


RUN = {"summary.json": '{"epochs": 3}', "evaluation.json": '{"test/1": 0.5}'}
MORE = {
    "per_image.json": b'{"test/1": 1, "test/10": 1}',
    "evaluation.json": b'{"test/1": 0.5, "test/10": 0.4}',
}


def _run(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    for file, content in RUN.items():
        (folder / name / file).write_text(content)
    seal.seal(folder / name)
    return folder / name


@pytest.mark.parametrize("written", range(5))
@pytest.mark.parametrize("kind", ["published", "of the oldest", "of an interrupted command"])
def test_an_evaluation_added_by_an_interrupted_command_is_accepted_and_completed(
    tmp_path: Path, written: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "table.csv").write_text("error\n0.5\n")
    if kind != "of an interrupted command":
        run = _run(tmp_path, "run")
    seal.seal(tmp_path)
    if kind == "of an interrupted command":
        run = _run(tmp_path, "run")
    if kind == "of the oldest":  # which have no seal of their own
        (run / FILE).unlink()
    left = [written]

    def interrupted(write):
        def one(*arguments):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write(*arguments)

        return one

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        for write in ("write_atomic", "write_text"):
            patch.setattr(seal, write, interrupted(getattr(seal, write)))
        seal.add(run, MORE)
    check_unchanged(tmp_path)
    seal.add(run, MORE)
    assert faults(run) == [] and (run / "per_image.json").read_bytes() == MORE["per_image.json"]
    check_unchanged(tmp_path)


def test_an_edited_evaluation_is_refused_and_so_is_a_run_that_was_sealed_again_by_hand(
    tmp_path: Path,
) -> None:
    run = _run(tmp_path, "run")
    seal.seal(tmp_path)
    (run / "evaluation.json").write_text('{"test/1": 0.4}')
    with pytest.raises(InputError, match=r"run/evaluation.json was changed"):
        check_unchanged(tmp_path)
    (run / "evaluation.json").write_text(RUN["evaluation.json"])
    (run / "summary.json").write_text('{"epochs": 4}')
    seal.seal(run)  # a command never changes what the training wrote
    with pytest.raises(InputError, match=r"run/summary.json was changed"):
        check_unchanged(tmp_path)


def test_a_digit_changed_in_a_page_is_found(published: Path) -> None:
    page = published / "pages" / "one.ipynb"
    page.write_text(page.read_text().replace("50%", "49%"))
    assert seal.published_faults() == ["book/experiments/one.ipynb was changed"]


def test_results_that_were_copied_elsewhere_are_judged_without_their_pages(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "far" / "away" / "results"
    shutil.copytree(published / "results", copy)
    monkeypatch.setenv("REPLICATION_RESULTS", str(copy))
    assert seal.published_faults() == []  # REPLICATION_PAGES still names the pages
    monkeypatch.delenv("REPLICATION_PAGES")
    assert seal.published_faults() == []
    (copy / "laptop" / "one" / "table.csv").write_text("error\n0.4\n")
    assert seal.published_faults() == ["results/laptop/one/table.csv was changed"]


def test_pages_of_the_clone_s_own_results_may_be_stored_elsewhere(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "published", lambda: published / "results")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("REPLICATION_PAGES", str(tmp_path / "elsewhere"))
    assert seal.published_faults() == []  # the book's own pages are still there
    page = tmp_path / "elsewhere" / "one.ipynb"
    page.write_text((published / "pages" / "one.ipynb").read_text().replace("50%", "60%"))
    seal.list_published([page])
    assert seal.published_faults() == []
    monkeypatch.setenv("REPLICATION_PAGES", str(published / "pages"))
    page.unlink()
    assert seal.published_faults() == [f"{page} is missing"]


def test_a_page_that_is_executed_from_copied_results_is_listed_once(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "far" / "away" / "results"
    shutil.copytree(published / "results", copy)
    monkeypatch.setenv("REPLICATION_RESULTS", str(copy))
    page = published / "pages" / "one.ipynb"
    page.write_text(page.read_text().replace("50%", "49%"))
    seal.list_published([page])
    assert seal.published_faults() == []
    assert (copy / FILE).read_text().count("one.ipynb") == 1


def test_nothing_is_resealed_while_a_notebook_is_executed(published: Path) -> None:
    folder = published / "results" / "laptop" / "one"
    (folder / "table.csv").write_text("error\n0.25\n")
    (folder / seal.BEFORE).mkdir()
    before = (folder / FILE).read_text()
    with pytest.raises(InputError, match="laptop/one: its notebook is executed now"):
        seal.reseal("the numbers were wrong")
    assert (folder / FILE).read_text() == before
    (folder / seal.BEFORE).rmdir()
    assert seal.reseal("the numbers were wrong")


def test_a_removed_folder_and_a_new_one_are_found(published: Path) -> None:
    (published / "results" / "laptop" / "one").rename(published / "results" / "laptop" / "three")
    found = seal.published_faults()
    assert "results/laptop/one/SHA256SUMS is missing" in found
    assert "results/laptop/three is not in the list of published results" in found


def test_a_page_beside_newer_results_is_found(published: Path) -> None:
    place = published / "results" / "laptop" / "one"
    (place / "table.csv").write_text("error\n0.4\n")
    seal.seal(place)
    seal.list_published([place / FILE])
    (difference,) = seal.published_faults()
    assert "one.ipynb shows an earlier version of laptop/one" in difference
    assert "replication run one --profile laptop" in difference


def test_resealing_needs_a_reason_and_keeps_it(published: Path) -> None:
    (published / "results" / "laptop" / "one" / "table.csv").write_text("error\n0.4\n")
    with pytest.raises(InputError, match="say why"):
        seal.reseal(" ")
    *_, last = seal.reseal("a corrected unit")
    assert "replication run one --profile laptop --force" in last
    assert seal.published_faults() == []
    log = (published / "results" / seal.LOG).read_text()
    assert "a corrected unit" in log and "laptop/one" in log and log.count("\n") == 1


def test_resealing_unchanged_results_writes_nothing(published: Path) -> None:
    before = (published / "results" / seal.FILE).stat().st_mtime_ns
    assert seal.reseal("nothing has changed") == []
    assert not (published / "results" / seal.LOG).exists()
    assert (published / "results" / seal.FILE).stat().st_mtime_ns == before


def test_a_seal_with_the_marks_of_a_merge_conflict_is_a_fault_and_can_be_sealed(
    published: Path,
) -> None:
    root = published / "results"
    for path in (root / FILE, root / "laptop" / "one" / FILE):
        path.write_text("<<<<<<< HEAD\n" + path.read_text() + "=======\n")
    found = seal.published_faults()
    assert "results/SHA256SUMS is damaged in line 1" in found
    assert "results/laptop/one/SHA256SUMS is damaged in line 1" in found
    with pytest.raises(InputError, match="SHA256SUMS is damaged in line 1"):
        check_unchanged(root / "laptop" / "one")
    seal.reseal("the conflict is resolved")
    assert seal.published_faults() == []


def test_a_damaged_page_is_not_sealed(published: Path) -> None:
    page, root = published / "pages" / "two.ipynb", published / "results"
    page.write_text("<<<<<<< HEAD\n" + page.read_text())
    (root / "laptop" / "one" / "table.csv").write_text("error\n0.4\n")
    before = [path.read_bytes() for path in sorted(published.rglob("*")) if path.is_file()]
    with pytest.raises(InputError, match=r"two\.ipynb is no notebook"):
        seal.reseal("a corrected unit")
    assert before == [path.read_bytes() for path in sorted(published.rglob("*")) if path.is_file()]


def test_two_experiments_that_end_together_are_both_listed(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [published / "results" / "laptop" / name for name in ("one", "two")]
    for place in places:
        (place / "table.csv").write_text(f"error\n{place.name}\n")
        seal.seal(place)
    read = seal._read

    def slow(path: Path) -> dict[str, str]:
        listed = read(path)
        time.sleep(0.2)  # the other one reads meanwhile
        return listed

    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as both:
        patch.setattr(seal, "_read", slow)
        list(both.map(lambda place: seal.list_published([place / FILE]), places))
    assert all("shows an earlier version of laptop/" in fault for fault in seal.published_faults())
