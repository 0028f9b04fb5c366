"""Kills, full disks, broken files and numbers that are not finite: what was saved is not lost."""

import errno
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from training_programs import CIFAR, TOWERS, in_processes, open_images, train_alone
from trees import random_images

from replication.base.errors import InputError, TrainingError
from replication.base.locks import locked
from replication.data.loader import Batch
from replication.evaluation import metrics
from replication.nets.build import build
from replication.recipe import Data, Update
from replication.training import checkpoint, guard, step, trainer
from replication.training.distributed.group import SingleProcess
from replication.training.error_rates import error_rates
from replication.training.process.interrupt import Interrupt
from replication.training.run import Options
from replication.training.session import session
from replication.training.trainer import train
from replication.training.weights import FILE, load_weights

KILLS = 20


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
    state = checkpoint.parse(checkpoint.read(tmp_path, _quiet))
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
    assert not [*(tmp_path / "record").glob("*.pt"), *(tmp_path / "record").glob(FILE)]


@pytest.mark.parametrize("broken", ["weight", "velocity"])
def test_a_number_that_broke_at_a_timed_save_reaches_no_checkpoint(
    broken: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_step = trainer.train_step

    def breaking(learner: step.Learner, batch: Batch, number: int) -> step.StepResult:
        result = train_step(learner, batch, number)
        if number == 4:
            weight = next(learner.net.parameters())
            target = weight if broken == "weight" else learner.optimiser.state[weight]["velocity"]
            target.data.fill_(float("nan"))
        return result

    monkeypatch.setattr(trainer, "train_step", breaking)
    options = Options(checkpoint_seconds=0.0, divergence="stop")
    with pytest.raises(TrainingError, match="a weight is not finite at epoch 2, step 2"):
        train_alone(CIFAR, root, tmp_path / "run", options=options)
    state = checkpoint.parse(checkpoint.read(tmp_path / "run", _quiet))
    tensors = [*state["net"].values(), *state["velocities"].values()]
    assert all(value.isfinite().all() for value in tensors)
    monkeypatch.undo()
    train_alone(CIFAR, root, tmp_path / "run")
    train_alone(CIFAR, root, tmp_path / "whole")
    assert (tmp_path / "run" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_the_images_behind_a_loss_that_is_not_finite_are_named(root: Path, tmp_path: Path) -> None:
    loaders = open_images(CIFAR, root)
    batches, ids = loaders.training.epoch, []

    def poisoned(epoch: int, start: int = 0, colour: bool = True):
        for batch in batches(epoch, start, colour):
            batch.images[3] = float("inf")
            ids.append(int(batch.ids[3]))
            yield batch

    loaders.training.epoch = poisoned
    options = Options(divergence="stop")
    with pytest.raises(TrainingError) as caught:
        train(CIFAR, build(CIFAR, 3), loaders, tmp_path, _quiet, options)
    assert f"at epoch 1, step 0 (images {ids[0]}):" in str(caught.value)
    assert guard.of_images(tuple(range(20))) == " (images 0, 1, 2, 3, 4, 5, 6, 7 and 12 more)"


def test_the_error_of_training_and_of_evaluation_count_ties_and_nans_alike() -> None:
    draws = np.random.default_rng(0)
    scores = draws.integers(0, 4, (200, 7)).astype(np.float32)  # many ties
    scores[:5, 2] = np.nan
    labels = draws.integers(0, 7, 200)
    for k in (1, 5):
        counted = step.mistakes(torch.from_numpy(scores), torch.from_numpy(labels), k)
        assert counted == metrics.mistakes(scores, labels, k).sum()
    # a net with equal outputs has not recognised anything
    assert step.mistakes(torch.zeros(6, 3), torch.zeros(6, dtype=torch.int64)) == 6


def test_an_image_that_is_left_out_counts_neither_as_right_nor_as_wrong() -> None:
    class Readable:
        """A loader of four images, of which one cannot be read."""

        def __len__(self) -> int:
            return 4

        def once(self) -> Iterator[Batch]:
            for numbers in ([0, 1], [3]):
                labels = torch.tensor(numbers)
                yield Batch(torch.eye(4)[[0, 0, 0, 3]][numbers], labels, labels)

    net = torch.nn.Identity()  # it takes the first image's class for that of the first three
    with Interrupt() as interrupt:
        errors = error_rates(net, Readable(), SingleProcess(), interrupt)
    assert errors == [1 / 3, 0.0]


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
    lines: list[str] = []
    resumed = train_alone(CIFAR, root, tmp_path / "run", report=lines.append)
    assert lines[0] == "resumed after epoch 1, step 2"
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


def test_images_of_one_class_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A net of one output is always right, and its error of 0 would be no result."""
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    pictures = random_images(tmp_path / "pictures", ("only",), 6, 3)
    data = Data(name=f"folder:{pictures}", size=32, scale=1 / 64)
    with pytest.raises(InputError, match="has one class, only"):
        session(CIFAR.model_copy(update={"data": data, "batch": 2}), _quiet)
