"""Notebooks: parameters that fit, checks that can fail, failures that publish nothing; and the
commands' one-line errors.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import papermill
import pytest
import yaml

from replication.base import paths
from replication.base.errors import InputError, NotebookError
from replication.base.locks import held
from replication.base.types import PROFILES
from replication.book import execute, notebooks, plates, progress, stale
from replication.experiments.common.contract import Experiment
from replication.runs import seal

NAMES = notebooks.experiments()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", NAMES)
def test_the_parameter_files_fit_their_notebooks(name: str, profile: str) -> None:
    assert notebooks.parameters(name, profile).get("profile") == profile


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_declares_its_parameters_and_defines_nothing(name: str) -> None:
    notebook = nbformat.read(notebooks.source(name), as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert 5 <= len(code) <= 15
    assert not any(
        line.lstrip().startswith(("def ", "class "))
        for source in code
        for line in source.splitlines()
    )
    declared = papermill.inspect_notebook(str(notebooks.source(name)))
    assert all(
        entry["help"] and entry["inferred_type_name"] != "None" for entry in declared.values()
    )


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "replication", "data", "get", "synthetic"]
    env = os.environ | {"REPLICATION_RUNS": str(tmp_path / "file" / "runs")}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=paths.ROOT, env=env, timeout=120
    )
    assert (
        done.returncode == 2 and done.stderr.count("\n") == 1 and "REPLICATION_RUNS" in done.stderr
    )


def _notebook(folder: Path, last: str) -> None:
    parameters = nbformat.v4.new_code_cell(
        'profile: str = "quick"  # scale', metadata={"tags": ["parameters"]}
    )
    cells = [parameters, nbformat.v4.new_code_cell(last)]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata=metadata),
        folder / "notebooks" / "tiny.ipynb",
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("notebooks", "params/quick", "results"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "params" / "quick" / "tiny.yaml").write_text(yaml.safe_dump({"profile": "quick"}))
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(paths, "PARAMS", tmp_path / "params")
    monkeypatch.setattr(notebooks, "EXPERIMENTS", (Experiment("tiny"),))
    monkeypatch.setattr(Experiment, "tasks", lambda *_: [])
    monkeypatch.setattr(Experiment, "settings", lambda *_, **__: None)
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    return tmp_path


def test_a_second_command_does_not_execute_the_same_experiment_at_the_same_time(
    project: Path,
) -> None:
    _notebook(project, "print(1)")
    with held(progress.log_path("tiny", "quick").with_suffix(".lock")):
        with pytest.raises(InputError, match=r"tiny \(quick\): another command executes it now"):
            execute.execute("tiny", "quick")
        assert list((project / "results").iterdir()) == []


def test_a_page_that_cannot_be_stored_is_refused_before_its_notebook_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = project / "ran"
    _notebook(project, f"open({str(ran)!r}, 'w').close()")
    (project / "params" / "laptop").mkdir()
    (project / "params" / "laptop" / "tiny.yaml").write_text(yaml.safe_dump({"profile": "laptop"}))
    monkeypatch.setenv("REPLICATION_PAGES", "/proc/pages")  # not even root can write there
    with pytest.raises(InputError, match="^/proc/pages: .*; .* REPLICATION_PAGES$"):
        execute.execute("tiny", "laptop")
    monkeypatch.setenv("REPLICATION_PAGES", str(project / "pages"))
    monkeypatch.setenv("REPLICATION_RESULTS", "/proc/results")
    with pytest.raises(InputError, match="^/proc/results/.*; .* REPLICATION_RESULTS$"):
        execute.execute("tiny", "laptop")
    assert not ran.exists()


def test_what_a_killed_execution_left_is_removed_by_the_next(project: Path) -> None:
    _notebook(project, "print(1)")
    folder = project / "results" / "quick" / "tiny"
    folder.mkdir(parents=True)
    (folder / ".tiny.4711.ipynb").write_text("{}")
    execute.execute("tiny", "quick")
    assert [file.name for file in folder.iterdir()] == ["tiny.ipynb"]


def test_published_tables_of_a_killed_execution_are_put_back_before_they_are_compared_with_the_seal(
    project: Path,
) -> None:
    _notebook(project, "print(1)")
    (project / "params" / "laptop").mkdir()
    (project / "params" / "laptop" / "tiny.yaml").write_text("profile: laptop\n")
    folder = project / "results" / "laptop" / "tiny"
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text("published")
    seal.seal(folder)
    killed = folder / ".before"  # as an execution leaves it while it runs
    killed.mkdir()
    (folder / "table.csv").rename(killed / "table.csv")
    (folder / "table.csv").write_text("half")
    lock = progress.log_path("tiny", "laptop").with_suffix(".lock")
    with held(lock), pytest.raises(InputError, match="another command executes it now"):
        execute.check("tiny", "laptop")  # it is not killed
    assert (folder / "table.csv").read_text() == "half"
    execute.check("tiny", "laptop")
    assert (folder / "table.csv").read_text() == "published"
    assert sorted(file.name for file in folder.iterdir()) == ["SHA256SUMS", "table.csv"]


@pytest.mark.parametrize("sealed", [True, False])
def test_an_execution_that_is_stopped_while_it_seals_does_not_make_the_next_refuse(
    project: Path, monkeypatch: pytest.MonkeyPatch, sealed: bool
) -> None:
    folder = project / "results" / "laptop" / "tiny"
    _notebook(
        project, f"from pathlib import Path; Path({str(folder)!r}, 'table.csv').write_text('new')"
    )
    (project / "params" / "laptop").mkdir()
    (project / "params" / "laptop" / "tiny.yaml").write_text("profile: laptop\n")
    monkeypatch.setenv("REPLICATION_PAGES", str(project / "pages"))
    monkeypatch.setenv(paths.PLACE, "")
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text("published")
    if sealed:
        seal.seal(folder)

    def stopped(changed: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(seal, "list_published", stopped)
        execute.execute("tiny", "laptop")
    assert (folder / "table.csv").read_text() == "published"
    assert (folder / seal.FILE).is_file() == sealed
    execute.execute("tiny", "laptop")
    assert (folder / "table.csv").read_text() == "new" and seal.published_faults() == []


def test_data_are_looked_for_first_unless_runs_of_the_plan_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATA", "RESULTS", "RUNS"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    measured = tmp_path / "RESULTS" / "laptop" / "relu_vs_tanh" / "measurements.json"
    measured.parent.mkdir(parents=True)
    measured.write_text("[]")  # of a plan before this one
    recipe = SimpleNamespace(data=SimpleNamespace(name="cifar10"))
    planned = SimpleNamespace(folder=tmp_path / "run", recipe=recipe)
    words = "relu_vs_tanh", "laptop", {"data": "cifar10"}
    with pytest.raises(InputError, match="cifar10 is not in"):
        notebooks.preflight(*words, [planned])
    planned.folder.mkdir()
    notebooks.preflight(*words, [planned])


def test_a_failed_notebook_publishes_nothing_and_is_kept(project: Path) -> None:
    _notebook(project, "print(1 / 0)")
    with pytest.raises(NotebookError, match="ZeroDivisionError") as caught:
        execute.execute("tiny", "quick")
    assert "\n" not in str(caught.value)
    assert [file.name for file in (project / "results" / "quick" / "tiny").iterdir()] == [
        "tiny.failed.ipynb"
    ]


@pytest.mark.parametrize(
    "last",
    [
        "import sys; sys.exit(0)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "!false",
        "%no_such_magic",
    ],
)
def test_a_notebook_that_dies_names_its_cell_and_measures_nothing(project: Path, last: str) -> None:
    folder = project / "results" / "quick" / "tiny"
    folder.mkdir(parents=True)
    (folder / "measurements.json").write_text("old")
    _notebook(project, f"open({str(folder / 'measurements.json')!r}, 'w').write('new')\n{last}")
    with pytest.raises(NotebookError, match=r"tiny, cell \d") as caught:
        execute.execute("tiny", "quick")
    assert "\n" not in str(caught.value)
    assert (folder / "measurements.json").read_text() == "old"
    kept = sorted(path.name for path in folder.iterdir())
    assert kept == ["measurements.json", "tiny.failed.ipynb"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_reaches_the_kernel_and_what_it_started(project: Path, number: int) -> None:
    code = "import subprocess, time; child = subprocess.Popen(['sleep', '300'])\n"
    code += f"open({str(project / 'pid')!r}, 'w').write(str(child.pid)); time.sleep(300)"
    _notebook(project, code)

    def send() -> None:
        while not (project / "pid").is_file() or not (project / "pid").read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        execute.execute("tiny", "quick")
    assert time.monotonic() - started < 120
    with pytest.raises(ProcessLookupError):
        _gone(int((project / "pid").read_text()))


def _gone(pid: int) -> None:
    for _ in range(200):
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            if file.read().split()[2] == "Z":
                raise ProcessLookupError
        time.sleep(0.05)


def test_the_users_settings_do_not_reach_the_pages(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    (tmp_path / "matplotlibrc").write_text("figure.facecolor: red\n")
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / "matplotlibrc"))
    _notebook(
        project,
        "import matplotlib, matplotlib.pyplot as plt\n"
        "print(matplotlib.get_backend(), matplotlib.rcParams['figure.facecolor'])\n"
        "plt.plot([1]); plt.show()",
    )
    page = nbformat.read(execute.execute("tiny", "quick"), as_version=4)
    outputs = page.cells[-1].outputs
    assert "inline" in outputs[0].text and "red" not in outputs[0].text
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_executing_again_leaves_the_page_as_it_is(project: Path) -> None:
    _notebook(project, "print(profile)")
    page = execute.execute("tiny", "quick")
    before = page.read_bytes()
    execute.execute("tiny", "quick")
    assert page.read_bytes() == before


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "010", 10),
        ("float", "1e-3", 0.001),
        ("str", "on", "on"),
        ("str", "007", "007"),
        ("bool", "true", True),
        ("list[int]", "[0, 1]", [0, 1]),
    ],
)
def test_a_value_is_read_as_the_type_that_is_declared(kind: str, text: str, value: object) -> None:
    declared = {"x": {"inferred_type_name": kind}}
    raw = notebooks._yaml(text, "not YAML")
    assert notebooks._value("tiny", "x", raw, declared) == value


@pytest.mark.parametrize(
    ("kind", "text"), [("int", "1:30"), ("int", "true"), ("float", "1_0"), ("list[int]", "1")]
)
def test_a_value_of_another_type_is_refused(kind: str, text: str) -> None:
    declared = {"x": {"inferred_type_name": kind}}
    with pytest.raises(InputError, match=f"wants {re.escape(kind)}"):
        notebooks._value("tiny", "x", notebooks._yaml(text, "not YAML"), declared)


def test_the_profile_is_no_parameter(project: Path) -> None:
    _notebook(project, "print(profile)")
    with pytest.raises(InputError, match="--profile"):
        notebooks.parameters("tiny", "quick", ["profile=laptop"])


def test_changed_parameters_get_a_place_of_their_own(project: Path) -> None:
    _notebook(project, "print(profile)")
    (project / "params" / "laptop").mkdir()
    (project / "params" / "laptop" / "tiny.yaml").write_text("profile: laptop\n")
    assert execute.place("tiny", "laptop") == ""
    where = execute.place("tiny", "laptop", ["seeds=[0, 1]"])
    assert where.startswith("own/parameters/seeds-0-1-")
    assert where != execute.place("tiny", "laptop", ["seeds=[0, 2]"])


def test_what_is_up_to_date_is_not_executed_again_and_what_changed_is(project: Path) -> None:
    _notebook(project, "print(profile)")
    place = execute.execute("tiny", "quick")
    assert execute.is_current("tiny", "quick")
    _notebook(project, "print(profile, 2)")
    assert not execute.is_current("tiny", "quick")
    assert "2" not in place.read_text().split('"text"')[1][:20]


@pytest.mark.parametrize("damage", ["<<<<<<< HEAD\n{}", "", '{"metadata": {}}'])
def test_a_damaged_page_is_executed_again(project: Path, damage: str) -> None:
    _notebook(project, "print(profile)")
    page = execute.execute("tiny", "quick")
    page.write_text(damage)
    assert not execute.is_current("tiny", "quick")
    execute.execute("tiny", "quick")
    assert execute.is_current("tiny", "quick")


def test_a_damaged_notebook_is_named_with_its_remedy(project: Path) -> None:
    file = project / "notebooks" / "tiny.ipynb"
    file.write_text("<<<<<<< HEAD\n{}")
    with pytest.raises(InputError, match=f"{file} is no notebook.*git checkout"):
        execute.execute("tiny", "quick")
    with pytest.raises(InputError, match=f"{file} is no notebook.*git checkout"):
        plates.committed_figures(file)


def test_a_damaged_page_is_left_to_its_seal_where_stale_pages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_PAGES", str(tmp_path))
    (tmp_path / "training.ipynb").write_text("<<<<<<< HEAD\n{}")
    assert stale.stale_line() == ""


def test_a_page_of_the_book_is_not_replaced_by_one_of_a_smaller_scale(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_PAGES", str(project / "pages"))
    _notebook(project, "print(profile)")
    for profile in ("laptop", "paper"):
        (project / "params" / profile).mkdir()
        (project / "params" / profile / "tiny.yaml").write_text(f"profile: {profile}\n")
    book = project / "pages" / "tiny.ipynb"
    assert execute.execute("tiny", "laptop") == book
    assert execute.execute("tiny", "paper") == book
    before = book.read_bytes()
    small = execute.execute("tiny", "laptop")
    assert small == project / "results" / "laptop" / "tiny" / "tiny.ipynb"
    assert book.read_bytes() == before
    assert all(execute.is_current("tiny", profile) for profile in ("laptop", "paper"))
    assert seal.published_faults() == []


def test_an_unknown_parameter_in_a_file_is_refused(project: Path) -> None:
    _notebook(project, "print(profile)")
    (project / "params" / "quick" / "tiny.yaml").write_text("profil: quick\n")
    with pytest.raises(InputError, match="profil"):
        notebooks.parameters("tiny", "quick")


def test_nbval_fails_when_a_checked_number_is_changed(tmp_path: Path) -> None:
    notebook = nbformat.read(notebooks.source("relu_vs_tanh"), as_version=4)
    tagged = [
        i
        for i, cell in enumerate(notebook.cells)
        if "nbval-check-output" in cell.metadata.get("tags", [])
    ]
    # up to the count of the net's parameters, before anything is trained
    notebook.cells = notebook.cells[: tagged[0] + 1]
    output = notebook.cells[-1].outputs[0]
    assert "89,578" in output.text

    def nbval(name: str) -> int:
        nbformat.write(notebook, tmp_path / name)
        quiet = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            *quiet,
            "--nbval-lax",
            "--nbval-current-env",
            name,
        ]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, timeout=120, check=False
        ).returncode

    assert nbval("same.ipynb") == 0
    output.text = output.text.replace("89,578", "89,579")
    assert nbval("changed.ipynb") == 1
