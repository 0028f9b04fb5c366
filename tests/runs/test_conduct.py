"""A task is trained, evaluated and stored, or refused in one line."""

from pathlib import Path

import pytest

from replication.base.errors import InputError
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs import conduct, store


def test_the_evaluation_of_a_diverged_run_without_weights_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    recipe = Recipe(
        data=Data(name="synthetic"), net=CifarNetSpec(), update=Update(rate=9.0), epochs=1
    )
    task = store.Task("quick", "wild", "run", recipe, (("test", 1),))
    result = store.Run(task, None, {"ended": "diverged"}, {}, {}, {})
    with pytest.raises(InputError, match="the run diverged and left no weights.*update.rate"):
        conduct._evaluate(task, result)


def test_an_evaluation_that_another_process_added_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    recipe = Recipe(
        data=Data(name="synthetic"), net=CifarNetSpec(), update=Update(rate=0.1), epochs=1
    )
    task = store.Task("quick", "x", "run", recipe)
    store.write_run(task, [], [], {"epochs": 1}, {})
    ours, theirs = store.load(task), store.load(task)
    store.write_evaluation(theirs, {"test/10": {"top1": 0.4}}, {"test/10": {"images": 5}})
    store.write_evaluation(ours, {"test/1": {"top1": 0.5}}, {"test/1": {"images": 5}})
    found = store.load(task)
    assert found.evaluation == {"test/1": {"top1": 0.5}, "test/10": {"top1": 0.4}}
    assert set(found.per_image) == set(found.evaluation)
