"""A task is trained, evaluated and stored, or refused in one line."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from stored_runs import TINY

from replication.base import paths
from replication.base.epochs import METRICS
from replication.base.errors import InputError
from replication.evaluation.artefacts import PROBABILITIES
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs import conduct, store
from replication.training.weights import weights_path


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty folders of results and runs."""
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))


def test_the_evaluation_of_a_diverged_run_without_weights_is_refused_with_the_reason(
    folders: None,
) -> None:
    recipe = Recipe(
        data=Data(name="synthetic"), net=CifarNetSpec(), update=Update(rate=9.0), epochs=1
    )
    task = store.Task("quick", "wild", "run", recipe, (("test", 1),))
    result = store.Run(task, None, {"ended": "diverged"}, {}, {}, {})
    with pytest.raises(InputError, match="the run diverged and left no weights.*update.rate"):
        conduct._evaluate(task, result)


@pytest.fixture
def task(folders: None) -> store.Task:
    """The task of a run that is stored, without an evaluation."""
    recipe = Recipe(
        data=Data(name="synthetic"), net=CifarNetSpec(), update=Update(rate=0.1), epochs=1
    )
    task = store.Task("quick", "x", "run", recipe)
    store.write_run(task, [], [], {"epochs": 1}, {})
    return task


def test_an_evaluation_that_another_process_added_meanwhile_is_kept(task: store.Task) -> None:
    ours, theirs = store.load(task), store.load(task)
    store.write_evaluation(theirs, {"test/10": {"top1": 0.4}}, {"test/10": {"images": 5}})
    store.write_evaluation(ours, {"test/1": {"top1": 0.5}}, {"test/1": {"images": 5}})
    found = store.load(task)
    assert found.evaluation == {"test/1": {"top1": 0.5}, "test/10": {"top1": 0.4}}
    assert set(found.per_image) == set(found.evaluation)


def test_two_processes_that_evaluate_one_run_at_the_same_time_lose_nothing(
    task: store.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, read = store.load(task), store.read_if_present

    def slow(path: Path) -> dict:
        found = read(path)
        time.sleep(0.2)  # the other one reads meanwhile
        return found

    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as both:
        patch.setattr(store, "read_if_present", slow)
        list(both.map(lambda key: store.write_evaluation(run, {key: {}}, {key: {}}), "ab"))
    assert set(store.load(task).evaluation) == set(store.load(task).per_image) == {"a", "b"}


def test_a_copy_of_a_published_run_that_was_interrupted_is_no_result(
    task: store.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = store.load(task)
    monkeypatch.setenv(paths.PLACE, "own/x")
    place, copy = task.place, shutil.copyfile
    assert task.folder != place

    def killed(source: str, *arguments: object, **options: object) -> object:
        if Path(source).name == "summary.json":
            raise KeyboardInterrupt
        return copy(source, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copyfile", killed)
        store.write_evaluation(published, {"a": {}}, {"a": {}})
    assert not place.exists()
    store.write_evaluation(published, {"a": {}}, {"a": {}})
    assert set(store.load(task).evaluation) == {"a"} and store.load(task).task.folder == place


@pytest.fixture
def read_by_net(folders: None) -> store.Task:
    """The task of an experiment that reads the trained net."""
    return store.Task("quick", "x", "run", TINY, needs_weights=True)


def test_a_stored_run_is_trained_again_only_for_an_experiment_that_reads_the_net(
    read_by_net: store.Task, capsys: pytest.CaptureFixture
) -> None:
    task = read_by_net
    first = conduct.run(task)
    weights = weights_path(task.recipe.id)
    assert task.is_stored() and not store.trained_again(first)
    shutil.rmtree(weights.parent)
    assert replace(task, needs_weights=False).is_stored() and not task.is_stored()
    conduct.run(replace(task, needs_weights=False))
    assert not weights.exists()
    before = {path.name: path.read_bytes() for path in task.folder.iterdir()}
    conduct.run(task)
    assert weights.is_file() and task.is_stored()
    assert {path.name: path.read_bytes() for path in task.folder.iterdir()} == before
    assert "trained run again, because its weights were not here\n" in capsys.readouterr().out


def test_a_net_of_another_training_adds_nothing_to_a_stored_result(
    read_by_net: store.Task, capsys: pytest.CaptureFixture
) -> None:
    task = read_by_net
    conduct.run(task)
    metrics = task.folder / METRICS  # as if another machine had stored it
    metrics.write_text(metrics.read_text().replace('"loss": ', '"loss": 1'))
    shutil.rmtree(weights_path(task.recipe.id).parent)
    again = conduct.run(task)
    assert store.trained_again(again)
    assert "with other numbers than the stored result" in capsys.readouterr().out
    with pytest.raises(InputError, match="lacks test/1, and the weights .* of another training"):
        conduct.run(replace(task, evaluate=(("test", 1),)))
    conduct.run(replace(task, keep_probabilities=True))
    assert not (task.folder / PROBABILITIES).exists()


def test_a_diverged_run_has_no_weights_to_train_again_for(read_by_net: store.Task) -> None:
    diverged = store.Run(read_by_net, None, {"ended": "diverged"}, {}, {})
    assert not store.lacks_weights(diverged)
