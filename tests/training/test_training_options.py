"""Options of a run: a minibatch in parts, initial weights, a drop by hand, a stuck loss."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from training_programs import CIFAR, CLASSES, TOWERS, train_alone

from replication.base.errors import InputError, TrainingError
from replication.base.files import digest
from replication.base.locks import locked
from replication.cli.train import train
from replication.data.loader import Batch
from replication.nets.build import build
from replication.recipe import Plateau, Update
from replication.training import checkpoint, guard, trainer
from replication.training.checkpoint import save as save_checkpoint
from replication.training.distributed.group import SingleProcess
from replication.training.drop_request import REQUEST, request_drop
from replication.training.initial_weights import adopt, start_from
from replication.training.parameter_groups import optimiser_for
from replication.training.run import Options
from replication.training.state import Progress
from replication.training.step import Learner, StepResult, mistakes, train_step
from replication.training.weights import FILE, load_weights, save_weights


def test_a_minibatch_in_parts_is_the_minibatch_as_a_whole(root: Path, tmp_path: Path) -> None:
    whole = train_alone(TOWERS, root, tmp_path / "whole")
    parts = train_alone(TOWERS.model_copy(update={"parts": 4}), root, tmp_path / "parts")
    for a, b in zip(whole.net.parameters(), parts.net.parameters(), strict=True):
        # float32, summed in another order, nine updates
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6)
    assert [row["running_error"] for row in whole.progress.history] == [
        row["running_error"] for row in parts.progress.history
    ]


@pytest.mark.parametrize("left", [7, 3])  # of eight images; of the last parts none
def test_parts_without_unreadable_images_are_the_minibatch_as_a_whole(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    def without_some(learner: Learner, batch: Batch, step: int) -> StepResult:
        return train_step(learner, Batch(*(part[:left] for part in batch)), step)

    monkeypatch.setattr(trainer, "train_step", without_some)
    recipe = TOWERS.model_copy(update={"batch": 8})
    whole = train_alone(recipe, root, tmp_path / "whole")
    parts = train_alone(recipe.model_copy(update={"parts": 4}), root, tmp_path / "parts")
    for a, b in zip(whole.net.parameters(), parts.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6)  # summed in another order
    ours, theirs = whole.progress.history, parts.progress.history
    assert [row["loss"] for row in ours] == pytest.approx([row["loss"] for row in theirs])
    assert [row["running_error"] for row in ours] == [row["running_error"] for row in theirs]


def test_errors_of_an_epoch_are_shares_of_the_images_that_could_be_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of images that were left out the net has no answer, also in a resumed epoch."""
    left, shown, seen = {0: 1, 5: 2, 9: 1}, [], []  # of three images

    def without_some(learner: Learner, batch: Batch, step: int) -> StepResult:
        batch = Batch(*(part[: left.get(step, 3)] for part in batch))
        result = train_step(learner, batch, step)
        shown.append((result.mistakes, len(batch.labels)))
        return result

    def share(of: list[tuple[int, int]]) -> float:
        return sum(wrong for wrong, _ in of) / sum(images for _, images in of)

    monkeypatch.setattr(trainer, "train_step", without_some)
    monkeypatch.setattr(trainer, "WATCH_SECONDS", 0.0)
    recipe = CIFAR.model_copy(update={"batch": 3, "epochs": 1})
    options = Options(checkpoint_seconds=0.0, watch=seen.append)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", _save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train_alone(recipe, root, tmp_path, options=options)
    [row] = train_alone(recipe, root, tmp_path, options=options).progress.history
    assert len(shown) == 10 and 0 < share(shown) < 1
    assert row["running_error"] == seen[-1].running_error == share(shown)
    assert row["first_fifth_error"] == share(shown[:2])
    assert row["last_fifth_error"] == share(shown[-2:])


def _save_and_stop(*arguments: object) -> None:
    save_checkpoint(*arguments)
    raise KeyboardInterrupt


def test_images_left_out_are_those_of_all_copies() -> None:
    """Two copies of two towers each: here one of four images is missing, in the other copy none."""

    class Four(SingleProcess):
        size, copies = 4, 2

        def all_sum(self, *values: float, in_loop: bool = False) -> list[float]:
            return [2 * (mine + other) for mine, other in zip(values, (1.0, 2, 4), strict=True)]

    net = build(CIFAR, CLASSES)
    learner = Learner(CIFAR, net, optimiser_for(CIFAR, net), Four())
    batch = Batch(torch.randn(3, 3, 32, 32), torch.tensor([0, 1, 2]), torch.arange(3))
    mine = int(mistakes(net(batch.images), batch.labels))
    result = train_step(learner, batch, 0)
    assert (result.mistakes, result.left_out) == (mine + 2, 1)


def test_a_layer_with_rate_zero_stays_as_it_was(root: Path, tmp_path: Path) -> None:
    recipe = TOWERS.model_copy(update={"update": Update(rate=0.002, layer_rates={"conv2": 0.0})})
    trained, fresh = (
        train_alone(recipe, root, tmp_path).net.state_dict(),
        build(recipe, CLASSES).state_dict(),
    )
    assert {name for name in fresh if torch.equal(trained[name], fresh[name])} == {
        f"towers.{tower}.conv2.{kind}" for tower in (0, 1) for kind in ("weight", "bias")
    }
    with pytest.raises(InputError, match="update names the layer conv9"):
        train_alone(
            TOWERS.model_copy(update={"update": Update(rate=0.002, layer_rates={"conv9": 0.0})}),
            root,
            tmp_path / "other",
        )


def test_a_drop_by_hand_is_granted_once_and_written_down(root: Path, tmp_path: Path) -> None:
    (tmp_path / REQUEST).write_text("word\n")
    rows = train_alone(TOWERS, root, tmp_path).progress.history
    assert rows[0]["decision"] == "drop by hand" and rows[1]["rate"] == pytest.approx(
        rows[0]["rate"] / 10
    )
    assert (
        "drop by hand" not in [row["decision"] for row in rows[1:]]
        and not (tmp_path / REQUEST).exists()
    )


def test_a_drop_by_hand_in_the_epoch_of_the_rules_own_lowers_the_rate_once(tmp_path: Path) -> None:
    plateau = Plateau(kind="plateau", patience=1, drops=1)
    run = SimpleNamespace(
        recipe=TOWERS.model_copy(update={"schedule": plateau}),
        progress=Progress(),
        group=SingleProcess(),
        folder=tmp_path,
    )
    decisions = []
    for word in ("", "first", "second"):
        (tmp_path / REQUEST).write_text(word)
        row = {"validation_error": 0.5}
        trainer.decide(run, row)
        decisions.append((row["decision"], run.progress.schedule.drops))
    # the rule asks for its one drop at the second epoch, and for the end at the third
    assert decisions == [("", 0), ("drop by hand", 1), ("drop by hand", 2)]
    assert not run.progress.schedule.done


def test_a_drop_can_be_requested_only_of_a_run_in_progress(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run is under way"):
        request_drop(tmp_path)
    with locked(tmp_path, "a run"):
        request_drop(tmp_path)
    assert (tmp_path / REQUEST).read_text().strip()


def test_fine_tuning_takes_every_layer_but_an_output_for_other_classes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path))
    for recipe, output in ((TOWERS, "towers.0.fc8"), (CIFAR, "fc10")):
        old, classes = build(recipe, 5), ("v", "w", "x", "y", "z")
        save_weights(tmp_path / "old.safetensors", old.state_dict(), recipe, classes, "images", 1)
        name = adopt(str(tmp_path / "old.safetensors"))
        fresh = build(recipe.model_copy(update={"seed": 1}), CLASSES).state_dict()
        tuned = build(recipe.model_copy(update={"seed": 1}), CLASSES)
        assert "with a new" in start_from(name, tuned, ("a", "b", "c"))
        for key, value in tuned.state_dict().items():
            assert torch.equal(
                value, (fresh if key.startswith(output) else old.state_dict())[key]
            ), key
        same = build(recipe.model_copy(update={"seed": 1}), 5)
        start_from(name, same, classes)
        assert all(
            torch.equal(value, old.state_dict()[key]) for key, value in same.state_dict().items()
        )
        with pytest.raises(InputError, match="does not fit this net|this net has not"):
            start_from(
                name,
                build(
                    TOWERS.model_copy(
                        update={"net": TOWERS.net.model_copy(update={"width": 0.25})}
                    ),
                    5,
                ),
                classes,
            )
    frozen = TOWERS.model_copy(
        update={
            "init_from": adopt(_run(root, tmp_path)),
            "update": Update(rate=1e-30, weight_decay=0.0),
        }
    )
    state = train_alone(frozen, root, tmp_path / frozen.id).net.state_dict()
    for key, value in load_weights(tmp_path / TOWERS.id / FILE).state.items():
        # a bias of 0 moves by the tiny rate
        torch.testing.assert_close(state[key], value, rtol=0, atol=1e-20)


def _run(root: Path, runs: Path) -> str:
    train_alone(TOWERS, root, runs / TOWERS.id)
    return TOWERS.id


def test_weights_named_by_a_folder_are_named_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path in a recipe could lead to other weights tomorrow, under the same id."""
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    place = tmp_path / "runs" / TOWERS.id / FILE
    net = build(TOWERS, 3)
    save_weights(place, net.state_dict(), TOWERS, ("a", "b", "c"), "images", 1)
    assert adopt(TOWERS.id) == TOWERS.id
    assert adopt(str(place.parent)) == adopt(str(place)) == f"file:{digest(place)}"
    assert "weights start from" in start_from(adopt(str(place.parent)), net, ("a", "b", "c"))


def test_weights_that_are_not_there_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path))
    for source in ("0123456789", ""):  # the other one is of a shell's variable that is not set
        with pytest.raises(InputError, match="neither a run with weights|an empty path"):
            train(name="alexnet", profile="quick", init_from=source, dry_run=True)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(InputError, match=r"folder\.safetensors: cannot be read"):
        load_weights(tmp_path / "folder.safetensors")


def test_a_loss_that_stays_at_guessing_stops_the_run_or_is_noted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "STUCK_STEPS", 4)
    still = CIFAR.model_copy(update={"update": Update(rate=1e-30, weight_decay=0.0)})
    with pytest.raises(TrainingError, match="stuck at .* up to epoch 2, step 1.*same_variance"):
        train_alone(still, root, tmp_path / "stop", options=Options(divergence="stop"))
    rows = train_alone(still, root, tmp_path / "record").progress.history
    assert "stuck" not in rows[0] and rows[1]["stuck"] is True
    assert not guard.is_stuck(0.98 * math.log(10), 10)
