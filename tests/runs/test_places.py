"""Results of other images or of changed parameters go to a place of their own, by themselves."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from replication.base import paths
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs import conduct, store
from replication.runs.places import place_of, writing_to

RECIPE = Recipe(
    data=Data(name="cifar10", size=32),
    net=CifarNetSpec(),
    update=Update(rate=0.001),
    batch=8,
    epochs=1,
)
TASK = store.Task("laptop", "toy", "run", RECIPE)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published run, made from images with the fingerprint "published"."""
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    data = {"fingerprint": "published", "form": "cifar-jpeg"}
    with writing_to(""):
        store.write_run(TASK, [], [], {"ended": "epochs"}, {"data": data})
    return TASK.folder


def _images(monkeypatch: pytest.MonkeyPatch, fingerprint: str) -> None:
    index = SimpleNamespace(fingerprint=fingerprint, form="cifar-python")
    monkeypatch.setattr(conduct, "training_index", lambda data: index)


def test_the_published_images_are_published(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _images(monkeypatch, "published")
    assert place_of([TASK], []) == ""


def test_other_images_get_a_place_that_names_them(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _images(monkeypatch, "0123456789abcdef")
    place = place_of([TASK], [])
    assert place == "own/images/cifar10-01234567"
    with writing_to(place):
        assert store.load(TASK) is None  # a run on other images is no result of these
        assert TASK.place.is_relative_to(paths.results() / place)
    assert place_of([TASK], ["seeds=[0]"]).startswith(f"{place}-seeds-0-")


def test_runs_of_the_same_changes_on_other_images_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    copy, changes = {"fingerprint": "copy", "form": "cifar-jpeg"}, ["count=100"]
    _images(monkeypatch, "copy")
    first = place_of([TASK], changes)
    with writing_to(first):
        store.write_run(TASK, [], [], {"ended": "epochs"}, {"data": copy})
    assert place_of([TASK], changes) == first
    _images(monkeypatch, "0123456789abcdef")  # the original arrives
    place = place_of([TASK], changes)
    assert place.startswith("own/images/cifar10-01234567-count-100-")


def test_other_images_are_noticed_although_the_plan_has_changed_since(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # none of the plan's runs is stored, and yet its tables would replace the published ones
    planned = store.Task("laptop", "toy", "longer", RECIPE.model_copy(update={"epochs": 2}))
    _images(monkeypatch, "0123456789abcdef")
    assert place_of([planned], []) == "own/images/cifar10-01234567"
    _images(monkeypatch, "published")
    assert place_of([planned], []) == ""


def test_without_images_published_results_are_read(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing_to("own/parameters/x"):
        stored = store.load(TASK)
        assert stored is not None and stored.task.folder == published
        assert stored.task.place != published


def test_evaluating_a_published_run_elsewhere_leaves_it_as_it_is(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted((path.name, path.read_bytes()) for path in published.iterdir())
    with writing_to("own/parameters/x"):
        store.write_evaluation(store.load(TASK), {"test/1": {"top1": 0.5}}, {"test/1": {}})
        assert store.load(TASK).evaluation == {"test/1": {"top1": 0.5}}
    assert sorted((path.name, path.read_bytes()) for path in published.iterdir()) == before


def test_a_run_of_other_images_in_the_same_place_is_refused(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _images(monkeypatch, "0123456789abcdef")
    with writing_to(""), pytest.raises(conduct.InputError, match="other images of cifar10"):
        conduct.run(TASK)


def test_a_damaged_recipe_among_the_published_runs_is_one_line(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _images(monkeypatch, "published")
    (published / "recipe.json").write_text("<<<<<<< HEAD\n{}")
    planned = store.Task("laptop", "toy", "longer", RECIPE.model_copy(update={"epochs": 2}))
    with pytest.raises(conduct.InputError, match=r"recipe\.json is damaged"):
        place_of([planned], [])
