"""Checkpoints: the last two and the best are kept, unsound ones are set aside, no code is run."""

import pickle
from pathlib import Path

import pytest
import torch

from replication.base.files import beside
from replication.training import checkpoint


def _save(folder: Path, step: int, best: bool = False) -> Path:
    return checkpoint.save(folder, step, {"w": torch.full((100,), float(step))}, best)


def _load(folder: Path) -> tuple[float | None, list[str]]:
    lines: list[str] = []
    content = checkpoint.read(folder, lines.append)
    return (None if content is None else checkpoint.parse(content)["w"][0].item()), lines


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _rename_foreign(path: Path) -> None:
    """A sound file under its own hash that is none of ours: a pickle that would run code."""
    path.unlink()
    content = pickle.dumps(Path("/"), protocol=2)
    path.with_name(f"step-{9:09d}.{checkpoint._digest(content)}.pt").write_bytes(content)


@pytest.mark.parametrize(
    "harm", [_truncate, _flip, _rename_foreign, lambda path: path.write_bytes(b"")]
)
def test_an_unsound_file_is_reported_in_one_line_and_the_one_before_it_is_used(
    harm, tmp_path: Path
) -> None:
    _save(tmp_path, 1)
    harm(_save(tmp_path, 2))
    value, lines = _load(tmp_path)
    assert value == 1.0
    assert len(lines) == 1 and "using the checkpoint before it" in lines[0] and "\n" not in lines[0]


def test_the_last_two_and_the_best_are_kept_and_the_best_serves_when_they_are_damaged(
    tmp_path: Path,
) -> None:
    for step in range(1, 6):
        _save(tmp_path, step, best=step in (1, 3))
    assert sorted(path.name.split(".")[0] for path in tmp_path.iterdir()) == [
        "best-000000003",
        "step-000000004",
        "step-000000005",
    ]
    for path in tmp_path.glob("step-*"):
        _flip(path)
    value, lines = _load(tmp_path)
    assert value == 3.0 and len(lines) == 2


def test_damaged_newer_files_are_set_aside_and_do_not_count_as_the_last_two(
    tmp_path: Path,
) -> None:
    _save(tmp_path, 1)
    for path in [_save(tmp_path, 8), _save(tmp_path, 9)]:
        _flip(path)
    assert _load(tmp_path)[0] is None  # step 1 was not one of the last two
    for step in (2, 3):
        _save(tmp_path, step)
        assert _load(tmp_path) == (float(step), [])
    assert len(list(tmp_path.glob("step-*.pt"))) == 2
    assert len(list(tmp_path.glob("step-*.damaged"))) == 2


def test_a_newer_file_that_cannot_be_set_aside_does_not_push_out_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in [_save(tmp_path, 8), _save(tmp_path, 9)]:
        _flip(path)
    for step in (2, 3, 4):
        _save(tmp_path, step)
    kept = sorted(path.name.split(".")[0] for path in tmp_path.iterdir())
    assert kept == [f"step-{step:09d}" for step in (3, 4, 8, 9)]


def test_a_file_system_without_hard_links_gets_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*names: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(checkpoint.os, "link", refused)
    _save(tmp_path, 1, best=True)
    names = sorted(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert names == ["best", "step"] and _load(tmp_path) == (1.0, [])


def test_what_a_killed_training_left_unfinished_is_removed_and_nothing_else(
    tmp_path: Path,
) -> None:
    unfinished = ("step-000000003.0123456789abcdef.pt", "weights.safetensors", "metrics.jsonl")
    for name in (*unfinished, "predictions-test-1.npz"):
        beside(tmp_path / name).write_bytes(b"half")
    kept = [_save(tmp_path, 2, best=True), tmp_path / "weights.safetensors"]
    kept[1].write_bytes(b"of an earlier end")
    checkpoint.clear(tmp_path)
    assert all(path.is_file() for path in kept)
    hidden = [path.name for path in tmp_path.glob(".*")]
    assert len(hidden) == 1 and hidden[0].startswith(".predictions")  # of another process


def test_a_second_checkpoint_of_a_step_takes_the_place_of_the_first(tmp_path: Path) -> None:
    _save(tmp_path, 1)
    _save(tmp_path, 2)
    checkpoint.save(tmp_path, 2, {"w": torch.full((100,), 2.5)})
    assert _load(tmp_path)[0] == 2.5
    assert len(list(tmp_path.iterdir())) == 2


def test_a_checkpoint_of_another_version_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(tmp_path, 1)
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    value, lines = _load(tmp_path)
    assert value is None and "another version" in lines[0]


def test_an_empty_or_missing_folder_has_none(tmp_path: Path) -> None:
    assert _load(tmp_path) == (None, []) == _load(tmp_path / "none")
