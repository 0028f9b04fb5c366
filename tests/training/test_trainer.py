"""Training that can be stopped anywhere: exact resumption, and recipes that are never mixed up."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_programs import CIFAR, open_images, statistics_of

from replication.base.errors import InputError
from replication.data.augment.order import order
from replication.data.loader import Loader, Loaders
from replication.data.pipelines.stored import Transform
from replication.data.prepared.store import Store, reduce
from replication.nets.build import build
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs import store
from replication.training import checkpoint, run, step, trainer
from replication.training.run import DEFAULTS, Options
from replication.training.schedule import ScheduleState
from replication.training.state import EpochSums, Progress
from replication.training.trainer import Outcome, train

RECIPE = CIFAR.model_copy(update={"exact_error": True})


@pytest.fixture(scope="module")
def loader(root: Path) -> Loader:
    return open_images(RECIPE, root).training


def _loader(recipe: Recipe, store: Store) -> Loader:
    transform = Transform(recipe, statistics_of(store.images))
    return Loader(recipe, store, np.arange(len(store.images)), transform)


def _train(
    loader: Loader, folder: Path, recipe: Recipe = RECIPE, options: Options = DEFAULTS
) -> Outcome:
    return train(
        recipe, build(recipe, 3), Loaders(loader, None, None), folder, lambda line: None, options
    )


def test_a_run_that_was_stopped_at_any_step_ends_in_the_same_bits(
    loader: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _train(loader, tmp_path / "whole")
    save = checkpoint.save

    def save_and_stop(*arguments: object) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_and_stop)
    for _ in range(5):  # each session makes one step and is stopped right after its checkpoint
        with pytest.raises(KeyboardInterrupt):
            _train(loader, tmp_path / "stopped", options=Options(checkpoint_seconds=0))
    monkeypatch.undo()
    resumed = _train(loader, tmp_path / "stopped")
    assert resumed.progress.history == whole.progress.history
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole.net.parameters(), resumed.net.parameters(), strict=True)
    )


@pytest.mark.parametrize(("writing", "least", "most"), [(0.0, 28, 32), (3.0, 5, 8)])
def test_checkpoints_come_less_often_where_they_take_long_to_write(
    loader: Loader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    writing: float,
    least: int,
    most: int,
) -> None:
    """120 steps of 5 s: a checkpoint every 20 s; every 100 s (3% of the time) if one takes 3 s."""
    clock, saved, train_step = [0.0], [], trainer.train_step

    def slow_save(folder: Path, step: int, state: object, best: bool) -> None:
        clock[0] += writing
        saved.append(step)

    def slow_step(*arguments: object) -> step.StepResult:
        clock[0] += 5.0
        return train_step(*arguments)

    for module in (run, trainer):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(trainer, "train_step", slow_step)
    monkeypatch.setattr(checkpoint, "save", slow_save)
    monkeypatch.setattr(trainer, "write_text", lambda path, text: None)
    _train(loader, tmp_path, RECIPE.model_copy(update={"epochs": 40, "exact_error": False}))
    assert least <= len(saved) <= most


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_is_used(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"w": torch.ones(3)})
    newest = checkpoint.save(tmp_path, 2, {"w": torch.zeros(3)})
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    lines: list[str] = []
    state = checkpoint.parse(checkpoint.read(tmp_path, lines.append))
    assert torch.equal(state["w"], torch.ones(3))
    assert len(lines) == 1 and newest.name in lines[0]


def test_a_checkpoint_of_another_recipe_is_refused(loader: Loader, tmp_path: Path) -> None:
    _train(loader, tmp_path)
    with pytest.raises(InputError, match="another recipe"):
        _train(loader, tmp_path, RECIPE.model_copy(update={"seed": 5}))


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(loader: Loader, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"update": Update(rate=1e30, weight_decay=0.0)})
    assert _train(loader, tmp_path, recipe).progress.ended == "diverged"


def test_the_first_and_last_fifth_of_an_epoch_have_errors_of_their_own(
    loader: Loader, tmp_path: Path
) -> None:
    still = Update(rate=1e-30)
    few = {"batch": 3, "epochs": 1, "update": still, "seed": 2}  # 10 minibatches
    recipe = RECIPE.model_copy(update=few)
    reader = _loader(recipe, Store(loader.index, loader.pipeline.images, 32))
    done = _train(reader, tmp_path, recipe)
    wrong = [int(step.mistakes(done.net(batch.images), batch.labels)) for batch in reader.epoch(0)]
    row = done.progress.history[0]
    assert row["first_fifth_error"] == sum(wrong[:2]) / 6
    assert row["last_fifth_error"] == sum(wrong[-2:]) / 6
    assert sum(wrong[:2]) != sum(wrong[-2:])  # so that neither is the other


def test_a_checkpoint_from_before_the_fifths_were_counted_has_no_number_for_them() -> None:
    earlier = {
        **{"epoch": 1, "step": 2, "mistakes": 3, "loss": 4.5, "window": 4.5, "stuck": False},
        **{"busy": 1.5, "waited": 0.5, "seconds": 9.0, "ended": "", "history": [{"epoch": 1}]},
        "memory": {"drops": 1, "best": 0.5, "since": 0, "done": False, "by_hand": ["word"]},
        "timings": [],
    }
    progress = Progress.read(json.dumps(earlier))
    assert progress.sums == EpochSums(4.5, 3, None, False, 1.5, 0.5, None)
    assert progress.schedule == ScheduleState(1, 0.5, 0, False, ["word"])
    assert progress.epoch == 1 and progress.step == 2 and progress.seconds == 9.0
    later = Progress.read(json.dumps(earlier | {"late": 2}))
    assert later.sums.late_mistakes == 2 and Progress.read(later.dump()) == later
    before = json.loads(later.dump())
    del before["sums"]["early_mistakes"]
    assert Progress.read(json.dumps(before)).sums.early_mistakes is None


def test_a_run_may_be_stopped_by_the_exact_error(loader: Loader, tmp_path: Path) -> None:
    whole = _train(
        loader, tmp_path / "whole", RECIPE.model_copy(update={"epochs": 6})
    ).progress.history
    mark = min(row["exact_error"] for row in whole)
    first = next(row["epoch"] for row in whole if row["exact_error"] <= mark)
    recipe = RECIPE.model_copy(update={"epochs": 6, "stop_error": mark, "stop_on": "exact"})
    stopped = _train(loader, tmp_path / "stopped", recipe).progress
    assert stopped.history == whole[:first] and stopped.ended == "stop_error"
    with pytest.raises(ValueError, match="set exact_error"):
        Recipe.model_validate(recipe.model_dump() | {"exact_error": False})


def test_images_may_be_visited_in_their_own_order_every_epoch_unless_that_goes_class_by_class(
    loader: Loader,
) -> None:
    recipe = RECIPE.model_copy(update={"order": "stored"})
    mixed = _loader(
        recipe,
        Store(
            loader.index.take(np.random.default_rng(0).permutation(30)), loader.pipeline.images, 32
        ),
    )
    for epoch in (0, 3):
        assert (
            torch.cat([batch.ids for batch in mixed.epoch(epoch)]).tolist()
            == mixed.index.ids[:24].tolist()
        )
    with pytest.raises(InputError, match="class by class"):
        next(_loader(recipe, Store(loader.index, loader.pipeline.images, 32)).epoch(0))


def test_an_epoch_visits_each_image_at_most_once_and_evaluation_each_exactly_once(
    loader: Loader,
) -> None:
    seen = torch.cat([batch.ids for batch in loader.epoch(0)]).tolist()
    assert len(seen) == len(set(seen)) == 24  # 30 images, the partial batch of 6 dropped
    assert sorted(torch.cat([batch.ids for batch in loader.once(batch=7)]).tolist()) == list(
        range(30)
    )
    assert not np.array_equal(order(0, 0, 100), order(0, 1, 100)) and not np.array_equal(
        order(0, 0, 100), order(1, 0, 100)
    )


def test_the_mean_image_comes_out_as_zeros(loader: Loader) -> None:
    images = np.full((4, 32, 32, 3), 77, np.uint8)
    same = _loader(RECIPE, Store(loader.index.take(range(4)), images, 32))
    assert not next(same.once()).images.any()


@pytest.mark.parametrize("shape", [(37, 64), (64, 37), (20, 33), (32, 32), (200, 31)])
def test_reducing_keeps_the_central_square(shape: tuple[int, int]) -> None:
    assert reduce(np.zeros((*shape, 3), np.uint8), 32).shape == (32, 32, 3)


def test_every_field_of_a_recipe_is_part_of_its_id() -> None:
    changed = [
        RECIPE.model_copy(update=update)
        for update in (
            {"seed": 1},
            {"batch": 9},
            {"epochs": 3},
            {"stop_error": 0.5},
            {"stop_on": "exact"},
            {"order": "stored"},
            {"exact_error": False},
            {"update": Update(rate=0.02, weight_decay=0.0)},
            {"data": Data(name="cifar10", size=32, scale=1 / 64)},
            {"net": CifarNetSpec(activation="tanh", init="fan_in")},
        )
    ]
    assert len({recipe.id for recipe in [RECIPE, *changed]}) == 1 + len(changed)
    assert Recipe.model_validate_json(RECIPE.model_dump_json()).id == RECIPE.id


def test_the_ids_of_the_published_runs_still_stand() -> None:
    folders = sorted(
        (Path(__file__).parents[2] / "results" / "laptop" / "relu_vs_tanh").glob("*/recipe.json")
    )
    assert folders
    for file in folders:
        assert file.parent.name.endswith(Recipe.model_validate_json(file.read_text()).id)


RUN = """
import sys
from replication.recipe import *
from replication.runs import conduct, store
from replication.training import session
from replication.training.run import Options
session.session.__defaults__ = (("cpu",), 0, Options(0.0))  # a checkpoint after every step
recipe = Recipe.model_validate_json(sys.argv[1])
print("ready", flush=True)
conduct.run(store.Task("quick", "kill", "run", recipe))
"""


def test_a_killed_run_resumes_to_the_result_of_an_uninterrupted_one_and_is_not_trained_again(
    tmp_path: Path,
) -> None:
    recipe = RECIPE.model_copy(
        update={"data": Data(name="synthetic", count=80, size=32, scale=1 / 64), "epochs": 3}
    )

    def start(name: str) -> subprocess.Popen:
        here = tmp_path / name
        environment = os.environ | {
            "REPLICATION_RESULTS": str(here / "results"),
            "REPLICATION_RUNS": str(here / "runs"),
        }
        if not here.exists():  # both runs read one copy of the embedded images
            (here / "runs").mkdir(parents=True)
            (here / "runs" / "data").symlink_to(shared, target_is_directory=True)
        command = [sys.executable, "-c", RUN, recipe.model_dump_json()]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    shared = tmp_path / "data"
    shared.mkdir()
    assert start("whole").wait(120) == 0
    for _ in range(3):
        process = start("killed")
        process.stdout.readline()
        started = time.monotonic()
        work = tmp_path / "killed" / "runs" / recipe.id
        while not list(work.glob("step-*.pt")) and time.monotonic() - started < 30:
            time.sleep(0.01)
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    last = start("killed")
    assert last.wait(120) == 0
    folder = Path("results") / "quick" / "kill" / f"run-{recipe.id}"
    for name in ("recipe.json", "metrics.jsonl", "summary.json"):
        assert (tmp_path / "killed" / folder / name).read_bytes() == (
            tmp_path / "whole" / folder / name
        ).read_bytes()
    again = start("killed")
    assert "trained" not in again.communicate(timeout=60)[0]
    provenance = tmp_path / "killed" / folder / "provenance.json"
    assert json.loads(provenance.read_text())["data"]["name"] == "synthetic"


def test_a_result_without_provenance_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    task = store.Task("quick", "x", "run", RECIPE)
    task.folder.mkdir(parents=True)
    for name in store.FILES[:3]:
        (task.folder / name).write_text("{}")
    with pytest.raises(InputError, match=r"provenance\.json is missing"):
        store.load(task)
