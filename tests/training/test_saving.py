"""When a run is saved: before and during evaluation passes, within 3% of the time, on signals."""

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from training_programs import CIFAR, CLASSES, TOWERS, open_images, train_alone

from replication.nets.build import build
from replication.recipe import Constant, Data, Steps
from replication.training import checkpoint, guard, run, trainer
from replication.training.process.interrupt import Interrupt
from replication.training.run import Options
from replication.training.trainer import train
from replication.training.weights import FILE, load_weights

# with a validation slice, three minibatches per epoch
VALIDATED = CIFAR.model_copy(
    update={"data": Data(name="synthetic", size=32, scale=1 / 64, validation=6)}
)


def _quiet(line: str) -> None:
    pass


def test_a_signal_in_an_evaluation_pass_ends_it_and_the_run_resumes_there(
    root: Path, tmp_path: Path
) -> None:
    whole = train_alone(VALIDATED, root, tmp_path / "whole")
    loaders = open_images(VALIDATED, root)
    once = loaders.validation.once

    def interrupted(*arguments: int):
        signal.raise_signal(signal.SIGTERM)
        yield from once(*arguments)
        raise AssertionError("the pass continued")

    loaders.validation.once = interrupted
    with pytest.raises(KeyboardInterrupt):
        train(VALIDATED, build(VALIDATED, CLASSES), loaders, tmp_path / "run", _quiet)
    lines: list[str] = []
    resumed = train_alone(VALIDATED, root, tmp_path / "run", report=lines.append)
    assert lines[0] == "resumed after epoch 0, step 3"
    assert resumed.progress.history == whole.progress.history
    assert (tmp_path / "run" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


class Clock:
    """A clock on which every step takes 5 seconds, and every write ``writing`` seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, writing: float) -> None:
        self.now, self.steps, self.bests = 0.0, [], []
        train_step = trainer.train_step

        def slow_step(*arguments: object) -> object:
            self.now += 5.0
            return train_step(*arguments)

        def save(folder: Path, step: int, state: object, best: bool) -> None:
            self.now += writing
            self.steps.append(step)
            if best:
                self.bests.append(step)

        def save_best(folder: Path, step: int, state: object) -> None:
            self.now += writing
            self.bests.append(step)

        for module in (run, trainer):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(trainer, "train_step", slow_step)
        monkeypatch.setattr(trainer, "write_text", lambda path, text: None)
        monkeypatch.setattr(checkpoint, "save", save)
        monkeypatch.setattr(checkpoint, "save_best", save_best)


def test_a_checkpoint_is_written_before_an_evaluation_pass_that_would_make_it_late(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An epoch takes 15 s, and the pass over a quarter of its images may take 3.75 s.
    for seconds, early in ((17.0, True), (20.0, False)):
        with monkeypatch.context() as patch:
            clock = Clock(patch, writing=0.0)
            train_alone(
                VALIDATED,
                root,
                tmp_path / str(seconds),
                options=Options(checkpoint_seconds=seconds),
            )
            assert (3 in clock.steps) == early


def test_a_best_epoch_after_another_does_not_cost_more_than_other_checkpoints(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, errors = Clock(monkeypatch, writing=3.0), iter(range(1000, 0, -1))
    monkeypatch.setattr(trainer, "error_rates", lambda *_: [next(errors) / 1000] * 2)
    recipe = VALIDATED.model_copy(update={"epochs": 40})
    train_alone(recipe, root, tmp_path)
    # 600 s in training: 18 s may go into files, and the first and the last checkpoint come anyway
    assert 3 <= len(clock.steps) <= 8 and len(clock.bests) <= len(clock.steps)
    assert 3.0 * (len(clock.steps) + len(clock.bests)) <= 18 + 12
    assert clock.bests[-1] == 40 * 3


def test_an_ignored_signal_stays_ignored_except_in_a_rank() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
    try:
        for is_rank in (False, True):
            with Interrupt(is_rank) as interrupt:
                signal.raise_signal(signal.SIGHUP)
            assert interrupt.requested == is_rank
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_longer_run_extends_a_shorter_one_to_the_bits_of_one_run(
    root: Path, tmp_path: Path
) -> None:
    longer = TOWERS.model_copy(update={"epochs": 5})
    train_alone(TOWERS, root, tmp_path / TOWERS.id)
    lines: list[str] = []
    options = Options(extend=True)
    train_alone(longer, root, tmp_path / longer.id, report=lines.append, options=options)
    assert lines[0].endswith(f"of run {TOWERS.id}")
    train_alone(longer, root, tmp_path / "whole")
    for name in (FILE, "metrics.jsonl"):
        extended, whole = (tmp_path / folder / name for folder in (longer.id, "whole"))
        assert extended.read_bytes() == whole.read_bytes()


def test_a_longer_run_has_all_the_weights_that_it_keeps_on_the_way(
    root: Path, tmp_path: Path
) -> None:
    shorter, longer = (
        CIFAR.model_copy(update={"epochs": epochs, "keep_after": (1,)}) for epochs in (2, 3)
    )
    for recipe in (shorter, longer):
        train_alone(recipe, root, tmp_path / recipe.id, options=Options(extend=True))
        assert load_weights(tmp_path / recipe.id / "weights-after-1.safetensors").epochs == 1


def test_a_finished_run_says_how_to_train_longer(root: Path, tmp_path: Path) -> None:
    train_alone(CIFAR, root, tmp_path)
    lines: list[str] = []
    train_alone(CIFAR, root, tmp_path, report=lines.append)
    assert "the run has ended (epochs); --set epochs=4 extends it" in lines


def test_a_net_that_only_guesses_is_distinguished_from_one_that_has_learned() -> None:
    def line(running: float, validation: float | None = None) -> str:
        row = {"epoch": 3, "iterations": 30, "running_error": running}
        return guard.nothing_learned(
            [row | {"validation_error": validation}], 10, CIFAR.model_copy(update={"batch": 100})
        )

    assert "has learned nothing yet: its training error is 91.0%, and" in line(0.91)
    assert "may have learned nothing yet: its training error is 89.0%, over 1,000" in line(0.89)
    assert line(0.8) == "" and guard.nothing_learned([], 10, CIFAR) == ""


def test_a_longer_run_is_told_how_to_drop_its_rate_later() -> None:
    steps = Steps(kind="steps", after=(14, 18), colour_off=15)
    shorter = CIFAR.model_copy(update={"schedule": steps, "epochs": 20})
    longer = shorter.model_copy(update={"epochs": 60})
    line = guard.early_drops(longer, 20)
    assert "after epoch 14 and 18" in line
    assert line.endswith("--set 'schedule.after=[42,54]' --set schedule.colour_off=45")
    assert guard.early_drops(shorter, 60) == ""  # a shorter one needs no drop that is later
    moved = longer.model_copy(update={"schedule": Steps(kind="steps", after=(42, 54))})
    assert guard.early_drops(moved, 20) == ""
    constant = CIFAR.model_copy(update={"schedule": Constant(kind="constant")})
    assert guard.early_drops(constant.model_copy(update={"epochs": 9}), 3) == ""
    assert guard.early_drops(longer, None) == ""  # its file names no number of epochs
    row = {"epoch": 3, "iterations": 30, "running_error": 0.9}
    advice = guard.nothing_learned([row], 10, shorter)
    assert "--set epochs=200 --set 'schedule.after=[140,180]'" in advice


def test_the_best_state_waits_where_it_is_until_it_is_saved() -> None:
    # on a GPU: sending it at each new best would cost more than the share of the time for saving
    assert run._copy(torch.empty(3, device="meta")).device.type == "meta"
    value = torch.ones(3)
    assert run._copy(value).data_ptr() != value.data_ptr()
