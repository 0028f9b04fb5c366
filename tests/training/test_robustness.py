"""Kills, full disks, broken files and numbers that are none: nothing that was saved is lost, and
the line says what is wrong.
"""

import errno
import os
import random
import signal
from pathlib import Path

import pytest
import torch
from training_programs import CIFAR, TOWERS, in_processes, make_images, open_images, train_alone

from replication.base.errors import InputError, TrainingError
from replication.base.locks import locked
from replication.nets.build import build
from replication.recipe import Data, Update
from replication.training import checkpoint, step
from replication.training.run import Options
from replication.training.trainer import train
from replication.training.weights import FILE, load_weights

KILLS = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("images")
    make_images(place)
    return place


def _quiet(line: str) -> None:
    pass


def test_twenty_kills_in_training_and_in_saving_change_nothing(root: Path, tmp_path: Path) -> None:
    recipe = TOWERS.model_copy(update={"epochs": 8})
    draws = random.Random(0)
    # a step and its checkpoint are about eight events, so that every kind of place is met and most
    # sessions get on a little
    sessions = [
        ("whole", 0),
        *(("killed", draws.randint(1, 16)) for _ in range(KILLS)),
        ("killed", 0),
    ]
    arguments = [
        ("be_killed", recipe.model_dump_json(), str(root), str(tmp_path / folder), events)
        for folder, events in sessions
    ]
    codes = in_processes([[session] for session in arguments])
    assert codes == [[0], *[[-signal.SIGKILL]] * KILLS, [0]]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert (killed / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    assert (killed / FILE).read_bytes() == (whole / FILE).read_bytes()
    assert sorted(path.name[:4] for path in killed.glob("*.pt")) == ["best", "step", "step"]
    assert not [
        *killed.glob(".step-*"),
        *killed.glob(".best-*"),
    ], "a kill left a torn file behind for good"


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = []

    def full(path: Path, write: object) -> None:
        writes.append(path)
        if len(writes) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        before(path, write)

    before = checkpoint.write_atomic
    monkeypatch.setattr(checkpoint, "write_atomic", full)
    with pytest.raises(TrainingError, match="No space left on device.*free space"):
        train_alone(CIFAR, root, tmp_path / "full", options=Options(checkpoint_seconds=0.0))
    assert len(list((tmp_path / "full").glob("step-*.pt"))) == 2
    monkeypatch.undo()
    resumed, whole = (
        train_alone(CIFAR, root, tmp_path / "full"),
        train_alone(CIFAR, root, tmp_path / "whole"),
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(resumed.net.parameters(), whole.net.parameters(), strict=True)
    )


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(
    root: Path, tmp_path: Path
) -> None:
    loaders = open_images(CIFAR, root)
    batches = loaders.training.epoch

    def poisoned(epoch: int, start: int = 0, colour: bool = True):
        for number, batch in enumerate(batches(epoch, start, colour)):
            yield (
                batch._replace(images=batch.images * float("nan"))
                if (epoch, number) == (1, 1)
                else batch
            )

    loaders.training.epoch = poisoned
    with pytest.raises(
        TrainingError, match="the loss is not finite at epoch 2, step 1.*lower update.rate"
    ):
        train(CIFAR, build(CIFAR, 3), loaders, tmp_path, _quiet, Options(0.0, "stop"))
    state = checkpoint.load(tmp_path, _quiet)
    assert all(value.isfinite().all() for value in state["net"].values())
    assert not (tmp_path / FILE).exists()


def test_weights_that_broke_in_the_last_update_are_no_result(root: Path, tmp_path: Path) -> None:
    # times a gradient above 1: not a float32
    data, update = Data(name="synthetic", size=32), Update(rate=3e38, weight_decay=0.0)
    # one update in all
    recipe = CIFAR.model_copy(update={"data": data, "update": update, "batch": 24, "epochs": 1})
    with pytest.raises(TrainingError, match="not finite"):
        train_alone(recipe, root, tmp_path / "stop", options=Options(divergence="stop"))
    assert train_alone(recipe, root, tmp_path / "record").progress.ended == "diverged"


def test_an_answer_that_is_not_a_number_counts_as_a_mistake() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [float("nan"), 9.0, 0.0]])
    assert step.mistakes(logits, torch.tensor([2, 1])) == 1
    # three classes: the first five are all of them
    assert step.mistakes(logits, torch.tensor([0, 1]), k=5) == 1


def test_a_file_that_vanishes_ends_the_run_with_a_checkpoint(root: Path, tmp_path: Path) -> None:
    loaders = open_images(CIFAR, root)
    batches = loaders.training.epoch

    def vanishing(epoch: int, start: int = 0, colour: bool = True):
        for number, batch in enumerate(batches(epoch, start, colour)):
            if (epoch, number) == (1, 2):
                raise InputError("cannot read a/3.png: No such file; get the data set again")
            yield batch

    loaders.training.epoch = vanishing
    with pytest.raises(InputError, match="a/3.png"):
        train(CIFAR, build(CIFAR, 3), loaders, tmp_path / "run", _quiet)
    said: list[str] = []
    resumed = train_alone(CIFAR, root, tmp_path / "run", report=said.append)
    assert said[0] == "resumed after epoch 1, step 2"
    whole = train_alone(CIFAR, root, tmp_path / "whole")
    assert all(
        torch.equal(a, b)
        for a, b in zip(resumed.net.parameters(), whole.net.parameters(), strict=True)
    )


def test_the_second_run_on_one_folder_is_refused(tmp_path: Path) -> None:
    refused = pytest.raises(InputError, match="another process is training a run")
    with locked(tmp_path, "a run"), refused, locked(tmp_path, "a run", wait=0.0):
        pass
    with locked(tmp_path, "a run", wait=0.0):
        pass


def test_the_weights_that_are_left_say_what_they_are(root: Path, tmp_path: Path) -> None:
    outcome = train_alone(CIFAR, root, tmp_path)
    weights = load_weights(tmp_path / FILE)
    assert (
        weights.recipe == CIFAR
        and weights.classes == ("a", "b", "c")
        and weights.epochs == CIFAR.epochs
    )
    assert all(
        torch.equal(weights.state[name], value) for name, value in outcome.net.state_dict().items()
    )
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-7])
    with pytest.raises(InputError, match="damaged"):
        load_weights(tmp_path / FILE)
