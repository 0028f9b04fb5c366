"""What ``replication run`` shows of an experiment's runs, on a terminal and elsewhere."""

import io
import logging
import os
import time
from pathlib import Path

import pytest

from replication.book import progress
from replication.runs.progress import FOLDER, note, statuses


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


def view(folder: Path, planned: set[str] | None, out: io.StringIO | None = None) -> progress.View:
    made = progress.View("race (quick)", folder, lambda: planned or set(), out or io.StringIO())
    made.planned = planned
    return made


def test_the_line_names_the_run_its_epoch_and_what_is_left(folder):
    note("a", "relu-seed0", "stored")
    note("b", "tanh-seed0", "training", epoch=4, epochs=20, error=0.4519, images_per_second=1204.4,
         seconds_left=95.0)  # fmt: skip
    line = view(folder, {"a", "b", "c"}).line(statuses(folder))
    assert (
        line == "race (quick)  run 2 of 3  epoch 4/20  error 45.2%  1,204 images/s  1:35 left "
        " tanh-seed0"
    )


def test_the_time_left_for_the_experiment_follows_from_the_runs_that_ended(folder):
    seen = view(folder, {"a", "b", "c", "d"})
    seen.started = time.time() - 60
    note("a", "relu-seed0", "done", result="3 epochs")
    note("b", "relu-seed1", "training", epoch=1, epochs=3, seconds_left=30.0)
    assert seen.line(statuses(folder)).endswith("0:30 left, 2:30 for all  relu-seed1")


def test_runs_that_a_search_decides_are_counted_as_at_most(folder):
    note("other", "select-relu", "training")
    assert "run 1 of at most 2" in view(folder, {"a", "b"}).line(statuses(folder))


def test_a_run_trained_by_this_command_stays_trained_when_it_is_read_again(folder):
    note("a", "relu-seed0", "done", result="3 epochs")
    note("a", "relu-seed0", "stored")
    note("b", "relu-seed1", "evaluating")
    note("b", "relu-seed1", "stored")
    assert {status.run: status.state for status in statuses(folder)} == {"a": "done", "b": "stored"}


def test_without_a_listening_command_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    note("a", "relu-seed0", "training")
    assert list(tmp_path.iterdir()) == []


def test_off_a_terminal_each_finished_run_is_one_line(folder):
    out = io.StringIO()
    seen = view(folder, {"a", "b"}, out)
    note("a", "relu-seed0", "training", epoch=1, epochs=3)
    seen._show()
    note("a", "relu-seed0", "done", result="relu-seed0: 3 epochs")
    seen._show()
    seen._show()
    assert out.getvalue() == "race (quick): run 1 of 2: relu-seed0: 3 epochs\n"


def test_a_terminal_has_one_line_that_is_removed_at_the_end(folder, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    seen = view(folder, {"a"}, out)
    note("a", "relu-seed0", "training", epoch=1, epochs=3)
    seen.start()
    seen.stop()
    assert "\n" not in out.getvalue()
    assert "relu-seed0" in out.getvalue() and out.getvalue().endswith("\r\x1b[K")


def test_what_the_notebook_prints_goes_to_the_log_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path))
    out = io.StringIO()
    with progress.shown("race", "quick", set, out):
        note("a", "relu-seed0", "done", result="3 epochs")
        logging.getLogger("papermill").info("Executing Cell 1")
        assert FOLDER in os.environ
    assert FOLDER not in os.environ
    assert "Executing" not in out.getvalue() + caplog.text
    assert progress.log_path("race", "quick").read_text() == "Executing Cell 1\n"
