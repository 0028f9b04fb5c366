"""Event files beside a run's JSON lines: each epoch once, also after an interruption."""

import json
import sys
from pathlib import Path

import pytest

from replication.base.errors import InputError
from replication.training.process import tensorboard
from replication.training.process.tensorboard import FOLDER, TensorBoard


class Writer:
    def __init__(self) -> None:
        self.added: list[tuple[str, float, int]] = []

    def add_scalar(self, *values) -> None:
        self.added.append(values)

    def flush(self) -> None:
        pass


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    made = Writer()

    def open_writer(folder: Path) -> Writer:
        folder.mkdir(exist_ok=True)
        return made

    monkeypatch.setattr(tensorboard, "_writer", open_writer)
    return made


def rows(folder: Path, epochs: int) -> None:
    lines = [
        json.dumps({"epoch": epoch, "loss": 1 / epoch, "exact_error": None, "rate": 0.01})
        for epoch in range(1, epochs + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))


def test_each_epoch_is_added_once_and_resuming_repeats_none(tmp_path, writer):
    board = TensorBoard(tmp_path)
    board.update()
    assert writer.added == []
    rows(tmp_path, 2)
    board.update()
    board.update()
    expected = [("loss", 1.0, 1), ("rate", 0.01, 1), ("loss", 0.5, 2), ("rate", 0.01, 2)]
    assert writer.added == expected
    resumed = TensorBoard(tmp_path)
    rows(tmp_path, 3)
    resumed.update()
    assert writer.added == [*expected, ("loss", 1 / 3, 3), ("rate", 0.01, 3)]


def test_epochs_that_a_resumed_run_repeats_are_not_added_again(tmp_path, writer):
    rows(tmp_path, 3)
    TensorBoard(tmp_path).update()
    resumed = TensorBoard(tmp_path)
    for epochs in (2, 3, 4):  # it resumes from a checkpoint of the first epoch
        rows(tmp_path, epochs)
        resumed.update()
    assert [epoch for name, _, epoch in writer.added if name == "loss"] == [1, 2, 3, 4]


def test_rows_from_before_the_option_was_given_are_added_too(tmp_path, writer):
    rows(tmp_path, 2)
    TensorBoard(tmp_path).update()
    assert [epoch for name, _, epoch in writer.added if name == "loss"] == [1, 2]


def test_the_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"pip install '.\[tensorboard\]'"):
        TensorBoard(tmp_path)
    assert not (tmp_path / FOLDER).exists()
