"""What ``run --dry-run`` counts, and how hours follow from the pace of a probe."""

import json
from pathlib import Path

import pytest

from replication.base.errors import InputError
from replication.recipe import AlexNetSpec, CifarNetSpec, Data, Recipe, Update
from replication.runs import forecast as module
from replication.runs.forecast import check_disk, forecast, images_to_train
from replication.runs.places import writing_to
from replication.runs.store import Task, write_run
from replication.training.session import run_folder


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))


def recipe(seed: int = 0, **changes: object) -> Recipe:
    values = {
        "data": Data(name="synthetic", count=400, validation=100, size=32, crop=24),
        "net": AlexNetSpec(side=24, width=1 / 16),
        "update": Update(rate=0.01),
        "batch": 32,
        "epochs": 10,
        "seed": seed,
    }
    return Recipe(**values | changes)


def task(wanted: Recipe, experiment: str = "ablations") -> Task:
    return Task("quick", experiment, f"net-seed{wanted.seed}", wanted)


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A probe that finds a hundredth of a second per image; the nets that it was asked for."""
    asked: list[str] = []

    def seconds(one: Recipe, device: str, budget: float) -> float:
        asked.append(one.net.family)
        return 0.01

    monkeypatch.setattr(module, "_seconds_per_image", seconds)
    return asked


def test_hours_are_images_times_the_measured_pace(pace):
    found = forecast({"ablations": [task(recipe())]}, "quick").shares[0]
    # 300 images make nine whole minibatches; 100 are validated, a third as costly
    assert found.hours == pytest.approx(10 * (9 * 32 + 100 / 3) * 0.01 / 3600)
    assert (found.runs, found.stored, found.to_train) == (1, 0, 1)


def test_epochs_that_an_interrupted_run_has_done_are_not_counted(pace):
    whole = images_to_train(recipe())
    folder = run_folder(recipe())
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("{}\n" * 4)
    assert images_to_train(recipe()) == pytest.approx(0.6 * whole)


def test_a_run_of_two_experiments_is_counted_once(pace):
    both = {"ablations": [task(recipe())], "kernels": [task(recipe()), task(recipe(1))]}
    found = forecast(both, "quick")
    assert [(share.to_train, share.shared) for share in found.shares] == [(1, 0), (1, 1)]


def test_published_runs_do_not_count_for_other_images(pace):
    one = Task("laptop", "ablations", "net", recipe())
    with writing_to(""):
        write_run(one, [], [], {"ended": "epochs"}, {"data": {"fingerprint": "published"}})
    plans = {"ablations": [one]}
    apart = {"ablations": "own/images/other"}
    assert forecast(plans, "laptop").shares[0].to_train == 0
    assert forecast(plans, "laptop", places=apart).shares[0].to_train == 1


def test_nets_that_the_time_does_not_suffice_for_are_scaled_by_their_multiply_adds(pace):
    wide = recipe(net=AlexNetSpec(side=24, width=1 / 8))
    found = forecast({"ablations": [task(wide), task(recipe())]}, "quick", seconds=0)
    assert len(pace) == 1
    alone = forecast({"ablations": [task(wide)]}, "quick", seconds=0).hours
    assert alone < found.hours < 2 * alone


def test_data_without_a_known_size_leave_the_hours_open(pace, tmp_path):
    own = recipe(data=Data(name="tiny-imagenet-100", classes=20, size=64, crop=24))
    found = forecast({"ablations": [task(own)]}, "quick")
    if not found.sources[0].available:
        assert found.hours is None and "unknown" in found.table()
    assert json.loads(json.dumps(found.dump()))["experiments"][0]["experiment"] == "ablations"


def test_the_probe_takes_about_as_long_as_it_is_given():
    small = recipe(net=CifarNetSpec(), data=Data(name="synthetic", count=400, size=32))
    assert 0 < module._seconds_per_image(small, "cpu", 0.2) < 10


def test_a_machine_that_other_programs_use_is_named(monkeypatch):
    for busy in (True, False):
        monkeypatch.setattr(module, "is_busy", lambda busy=busy: busy)
        monkeypatch.setattr(module, "_seconds_per_image", lambda *_: 1e-3)
        found = module.forecast({"ablations": [task(recipe(0))]}, "quick")
        assert ("other programs use it now" in found.table()) == found.dump()["busy"] == busy


def test_a_plan_that_needs_more_disk_than_is_free_is_refused(monkeypatch):
    plan = [task(recipe(seed)) for seed in range(3)]
    check_disk(plan)
    monkeypatch.setattr(module, "free_bytes", lambda folder: 10_000)
    with pytest.raises(InputError, match="GB are free"):
        check_disk(plan)


def test_the_disk_has_room_for_the_best_checkpoint_and_for_weights_kept_on_the_way():
    plain = recipe(data=Data(name="synthetic", count=400, size=32, crop=24))
    kept = plain.model_copy(update={"keep_after": (2, 5, 99)})  # it ends after 10 epochs
    # three checkpoints of weights and velocities, while one is written, and the final weights
    assert [module._copies(one) for one in (plain, kept, recipe())] == [7, 9, 9]
