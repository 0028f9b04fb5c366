"""One recipe in one process, on its two devices, on two ranks and on four: the same run."""

import json
from pathlib import Path

import pytest
import torch
from training_programs import CLASSES, TOWERS, in_processes, open_images, train_alone

from replication.nets.build import build
from replication.nets.towers import on_devices
from replication.training.trainer import train
from replication.training.weights import FILE, load_weights

# float32, nine updates: sums over maps and over the minibatch are taken in another order, and the
# errors grow with every update
TOLERANCE = {"rtol": 1e-4, "atol": 2e-6}


@pytest.fixture(scope="module")
def alone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    train_alone(TOWERS, root, folder)
    return folder


def _launch(world: int, root: Path, folder: Path, interrupted: str = "") -> list[int | None]:
    folder.mkdir(exist_ok=True)
    meet = str(folder / f"meet-{world}-{interrupted}")
    [codes] = in_processes(
        [
            [
                (
                    "be_rank",
                    rank,
                    world,
                    meet,
                    TOWERS.model_dump_json(),
                    str(root),
                    str(folder),
                    interrupted,
                )
                for rank in range(world)
            ]
        ]
    )
    return codes


def _assert_same_run(folder: Path, alone: Path) -> None:
    ours, wanted = load_weights(folder / FILE).state, load_weights(alone / FILE).state
    assert ours.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(
            ours[name], value, **TOLERANCE, msg=lambda m, name=name: f"{name}: {m}"
        )
    for mine, theirs in zip(_rows(folder), _rows(alone), strict=True):
        assert mine.keys() == theirs.keys() and mine["decision"] == theirs["decision"]
        assert (
            mine["running_error"] == theirs["running_error"]
            and mine["validation_error"] == theirs["validation_error"]
        )
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)


def _rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_end_in_the_weights_of_one_process(
    world: int, root: Path, alone: Path, tmp_path: Path
) -> None:
    assert _launch(world, root, tmp_path) == [0] * world
    _assert_same_run(tmp_path, alone)


@pytest.mark.parametrize(("interrupted", "step"), [("training", 1), ("evaluation", 3)])
def test_one_process_resumes_from_the_checkpoint_of_interrupted_ranks(
    interrupted: str, step: int, root: Path, alone: Path, tmp_path: Path
) -> None:
    # the signal came to one of them, and all stop after one checkpoint
    assert _launch(2, root, tmp_path, interrupted) == [130, 130]
    lines: list[str] = []
    train_alone(TOWERS, root, tmp_path, report=lines.append)
    assert lines[0] == f"resumed after epoch 1, step {step}"
    _assert_same_run(tmp_path, alone)


def test_two_devices_of_one_process_end_in_the_same_bits(
    root: Path, alone: Path, tmp_path: Path
) -> None:
    net = on_devices(build(TOWERS, CLASSES), ("cpu", "cpu"))
    train(TOWERS, net, open_images(TOWERS, root), tmp_path, lambda line: None)
    assert (tmp_path / FILE).read_bytes() == (alone / FILE).read_bytes()
