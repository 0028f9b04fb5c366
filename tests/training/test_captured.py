"""The step that a CUDA graph holds, run without one on a CPU, gives the loop's own bits."""

import gc
import weakref
from pathlib import Path

import pytest
import torch
from training_programs import CIFAR, TOWERS, train_alone

from replication.base.errors import InputError
from replication.data.loader import Loader
from replication.training import captured
from replication.training.captured import RecordedStep, StaticStep
from replication.training.run import Options
from replication.training.sgd import PaperSGD
from replication.training.weights import FILE, load_weights


@pytest.fixture
def uncaptured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps are taken in bursts by the static step; the sizes of the bursts."""
    sizes: list[int] = []

    class Counted(StaticStep):
        def results(self, count):
            sizes.append(count)
            return super().results(count)

    def recorded(learner):
        learner.recorded = learner.recorded or Counted(learner)
        return learner.recorded

    monkeypatch.setattr(captured, "can_capture", lambda learner: True)
    monkeypatch.setattr(captured, "_recorded", recorded)
    monkeypatch.setattr(captured, "BURST_SECONDS", 1e9)
    monkeypatch.setattr(captured, "BURST", 2)
    return sizes


def files(folder: Path) -> tuple[bytes, str]:
    return (folder / FILE).read_bytes(), (folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    "recipe", [TOWERS, CIFAR, TOWERS.model_copy(update={"precision": "bf16"})], ids=str
)
def test_bursts_end_in_the_same_bits(
    recipe, root: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    train_alone(recipe, root, tmp_path / "alone")
    sizes = request.getfixturevalue("uncaptured")
    train_alone(recipe, root, tmp_path / "bursts")
    assert 2 in sizes and files(tmp_path / "bursts") == files(tmp_path / "alone")


def test_a_checkpoint_after_every_burst_resumes_to_the_same_bits(
    root: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_alone(TOWERS, root, tmp_path / "alone")
    request.getfixturevalue("uncaptured")
    take, taken = StaticStep.take, []

    def stopping(self, batch, step):
        if len(taken) == 5:
            raise RuntimeError("killed")
        taken.append(step)
        take(self, batch, step)

    monkeypatch.setattr(StaticStep, "take", stopping)
    options = Options(checkpoint_seconds=0.0)
    with pytest.raises(RuntimeError, match="killed"):
        train_alone(TOWERS, root, tmp_path / "bursts", options=options)
    monkeypatch.setattr(StaticStep, "take", take)
    train_alone(TOWERS, root, tmp_path / "bursts", options=options)
    assert files(tmp_path / "bursts") == files(tmp_path / "alone")


def broken_at(monkeypatch: pytest.MonkeyPatch, step: int, error: Exception | None = None) -> None:
    """Let minibatch ``step`` of every epoch hold a NaN, or end in an error."""
    epoch = Loader.epoch

    def with_a_nan(self, *arguments):
        for number, batch in enumerate(epoch(self, *arguments)):
            if number == step and error is not None:
                raise error
            if number == step:
                images = batch.images.clone()
                images[1, 0, 3, 3] = torch.nan
                batch = batch._replace(images=images)
            yield batch

    monkeypatch.setattr(Loader, "epoch", with_a_nan)


def test_a_nan_in_the_middle_of_a_burst_is_found_at_its_step(
    root: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_at(monkeypatch, 1)
    alone = train_alone(TOWERS, root, tmp_path / "alone")
    request.getfixturevalue("uncaptured")
    monkeypatch.setattr(captured, "BURST", 3)
    bursts = train_alone(TOWERS, root, tmp_path / "bursts")
    for outcome in (alone, bursts):
        assert outcome.progress.ended == "diverged" and outcome.progress.step == 1
    assert bursts.progress.sums.loss == alone.progress.sums.loss
    for name, value in alone.net.state_dict().items():
        assert torch.equal(bursts.net.state_dict()[name], value)


def test_a_file_that_breaks_in_the_middle_of_a_burst_loses_no_step(
    root: Path, tmp_path: Path, uncaptured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_alone(TOWERS, root, tmp_path / "alone")
    monkeypatch.setattr(captured, "BURST", 3)
    with monkeypatch.context() as patch:
        broken_at(patch, 2, InputError("a file broke"))
        with pytest.raises(InputError, match="a file broke"):
            train_alone(TOWERS, root, tmp_path / "bursts")
    lines: list[str] = []
    train_alone(TOWERS, root, tmp_path / "bursts", report=lines.append)
    assert any("step 2" in line for line in lines if line.startswith("resumed"))
    assert files(tmp_path / "bursts")[0] == files(tmp_path / "alone")[0]


def test_on_a_cpu_each_step_is_taken_by_itself(root: Path, tmp_path: Path) -> None:
    outcome = train_alone(CIFAR, root, tmp_path)
    assert outcome.progress.ended == "epochs"
    assert load_weights(tmp_path / FILE).epochs == CIFAR.epochs


def test_the_recorded_step_gives_dropout_the_key_of_its_step_and_takes_it_back() -> None:
    step = RecordedStep.__new__(RecordedStep)
    layer = type("Layer", (), {"words": None, "seed": 7})()
    step.dropouts, step.keys = {"drop6": layer}, torch.zeros(1, 2, dtype=torch.int64)
    seen = []
    body = StaticStep.body
    try:
        StaticStep.body = lambda self: seen.append(layer.words)
        step.body()
    finally:
        StaticStep.body = body
    assert seen[0].data_ptr() == step.keys.data_ptr() and layer.words is None


def test_a_recorded_step_and_its_memory_end_with_the_run(
    root: Path, tmp_path: Path, uncaptured, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, begin = [], StaticStep._allocate

    def noted(self, batch):
        recorded.append(weakref.ref(self))
        begin(self, batch)

    monkeypatch.setattr(StaticStep, "_allocate", noted)
    gc.disable()
    try:
        train_alone(TOWERS, root, tmp_path)
        assert [step() for step in recorded] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize(("precision", "kept"), [("bf16", 1), ("float32", 0)])
def test_only_a_bf16_step_keeps_copies_of_the_weights(
    precision: str, kept: int, root: Path, tmp_path: Path, uncaptured, monkeypatch
) -> None:
    keep, calls = PaperSGD.keep_half, []
    monkeypatch.setattr(PaperSGD, "keep_half", lambda self, net: calls.append(keep(self, net)))
    train_alone(TOWERS.model_copy(update={"precision": precision}), root, tmp_path)
    assert len(calls) == kept
