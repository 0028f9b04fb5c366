"""``replication doctor``: what is wrong is found, said with its cure, and counts only where the
thing is needed.
"""

import json
import sys
from pathlib import Path

import pytest

from replication.book import stale
from replication.cli import doctor, folders


def test_this_environment_is_healthy_and_every_fault_it_could_report_has_a_name():
    found = doctor.checks()
    assert doctor.healthy(found), [check for check in found if check.needed and not check.ok]
    assert len({check.name for check in found}) == len(found)


def test_only_what_is_needed_makes_it_unhealthy():
    good, spare, bad = (
        folders.Check("x", ok, needed, "")
        for ok, needed in [(True, True), (False, False), (False, True)]
    )
    assert doctor.healthy([good, spare])
    assert not doctor.healthy([good, bad])


def test_a_library_that_does_not_import_is_needed_and_has_a_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    check = doctor._torch()
    assert (check.ok, check.needed) == (False, True)
    assert "make setup" in check.cure


@pytest.mark.parametrize(("system", "needed"), [("linux", True), ("darwin", False)])
def test_dali_is_needed_on_linux_only(monkeypatch, system, needed):
    monkeypatch.setitem(sys.modules, "nvidia", None)
    monkeypatch.setattr(sys, "platform", system)
    check = doctor._dali()
    assert (check.ok, check.needed) == (False, needed)
    assert check.cure


@pytest.mark.parametrize(
    ("version", "ok"), [("1.0.4.post1", True), ("2.0.0", False), ("10.1", False), (None, False)]
)
def test_jupyter_book_must_be_version_1(monkeypatch, version, ok):
    monkeypatch.setattr(doctor, "_version", lambda package: version)
    check = doctor._jupyter_book()
    assert (check.ok, check.needed) == (ok, True)
    assert ok or "jupyter-book<2" in check.cure


def kernel(folder: Path, interpreter: str) -> None:
    """Register a kernel named python3 that runs ``interpreter``, in a Jupyter path of its own."""
    place = folder / "kernels" / "python3"
    place.mkdir(parents=True)
    spec = {
        "argv": [interpreter, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "x",
        "language": "python",
    }
    (place / "kernel.json").write_text(json.dumps(spec))


def test_a_kernel_of_another_python_is_refused_with_the_folder_to_remove(monkeypatch, tmp_path):
    kernel(tmp_path, "/opt/other/bin/python3")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    check = doctor._kernel()
    assert (check.ok, check.needed) == (False, True)
    assert "/opt/other/bin/python3" in check.found
    assert str(tmp_path) in check.cure


@pytest.mark.parametrize("interpreter", ["python", "python3", sys.executable])
def test_a_kernel_of_this_environment_is_accepted_however_it_is_named(
    monkeypatch, tmp_path, interpreter
):
    kernel(tmp_path, interpreter)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    check = doctor._kernel()
    assert check.ok
    assert check.found == sys.executable


def test_data_sets_are_named_where_they_are_found_and_not_needed(monkeypatch, tmp_path):
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path / "data"))
    missing = doctor._data()
    assert (missing.ok, missing.needed) == (False, False)
    assert "REPLICATION_DATA" in missing.cure
    (tmp_path / "data" / "cifar10-jpeg").mkdir(parents=True)
    there = doctor._data()
    assert there.ok
    assert "cifar10 (cifar-jpeg)" in there.found


def test_a_full_disk_is_a_fault(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "FREE_GB", 1e9)
    check = folders.free_disk(tmp_path / "not" / "made" / "yet")
    assert (check.ok, check.needed) == (False, True)
    assert "REPLICATION_RUNS" in check.cure


def test_an_unwritable_folder_is_a_fault_and_a_writable_one_is_not_created(tmp_path):
    (tmp_path / "file").touch()
    check = folders.writable("results folder", tmp_path / "file" / "results", "REPLICATION_RESULTS")
    assert (check.ok, check.needed) == (False, True)
    assert "REPLICATION_RESULTS" in check.cure
    assert folders.writable(
        "results folder", tmp_path / "new" / "results", "REPLICATION_RESULTS"
    ).ok
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_to_a_disk_that_is_gone_is_a_fault_and_no_crash(tmp_path):
    (tmp_path / "runs").symlink_to(tmp_path / "unmounted")
    assert not folders.free_disk(tmp_path / "runs").ok
    assert not folders.writable("runs folder", tmp_path / "runs", "REPLICATION_RUNS").ok


def test_what_a_file_system_lacks_is_named_and_only_renaming_is_needed(monkeypatch, tmp_path):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(folders.os, "link", refuse)
    monkeypatch.setattr(folders.fcntl, "flock", refuse)
    check = folders.file_system(tmp_path / "runs")
    assert check.ok and "no flock, hard links" in check.found
    monkeypatch.setattr(folders.os, "replace", refuse)
    check = folders.file_system(tmp_path / "runs")
    assert (check.ok, check.needed) == (False, True) and "REPLICATION_RUNS" in check.cure
    assert not list(tmp_path.iterdir())


def test_limits_that_end_a_training_in_the_middle_are_found(monkeypatch):
    assert doctor._limits().needed
    monkeypatch.setattr(doctor.tempfile, "gettempdir", lambda: "/tmp/" + "x" * 100)
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda _: (64, 64))
    check = doctor._limits()
    assert not check.ok and "TMPDIR" in check.found and "ulimit" in check.found


def test_only_the_cpus_that_may_be_used_are_counted(monkeypatch):
    monkeypatch.setattr(doctor.machine, "cpus", lambda: 1)
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 16)
    assert "1 of 16 usable" in doctor._cpus().found


def test_stale_pages_come_with_the_commands_that_execute_them_again(monkeypatch, tmp_path):
    for name, profile in (("b", "laptop"), ("a", "laptop"), ("c", "paper")):
        notes = {"cells": [], "metadata": {"replication": {"profile": profile}}}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(notes))
    monkeypatch.setenv("REPLICATION_PAGES", str(tmp_path))
    monkeypatch.setattr(stale, "stale_pages", lambda: {"b": ["code"], "a": ["code"], "c": ["code"]})
    check = doctor._pages()
    assert (check.ok, check.found) == (False, "3 pages are older than their code")
    assert "`replication run a b --profile laptop` and `replication run c --profile" in check.cure


def test_a_data_set_without_images_is_no_data_set(monkeypatch, tmp_path):
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "cifar-10-batches-py").mkdir(parents=True)
    assert "cifar10 (cifar-python) without train and test" in doctor._data().found
