"""Facts that need trained nets: computed once, and not lost when a later step fails."""

import os
from pathlib import Path

import pandas as pd
import pytest

from replication.base.errors import CheckError, InputError
from replication.base.files import read_json, write_json
from replication.book import restore
from replication.book.restore import restored_on_failure
from replication.recipes import named
from replication.runs import facts, seal
from replication.runs.facts import AVERAGES, is_known, kept, known
from replication.runs.store import Run, Task


class Costly:
    """Builds a fact, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, float]:
        self.times += 1
        return {"error": 0.25}


def test_a_fact_is_computed_once(tmp_path: Path) -> None:
    make, path = Costly(), tmp_path / AVERAGES
    assert kept(path, "a", make) == kept(path, "a", make) == {"error": 0.25}
    assert kept(path, "b", make) == {"error": 0.25} and make.times == 2
    assert kept(path, "a", make) == {"error": 0.25} and make.times == 2


def test_a_file_that_a_failure_would_lose_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="FILES"):
        kept(tmp_path / "others.json", "a", Costly())


@pytest.mark.parametrize("killed", [False, True])
def test_a_failed_execution_publishes_no_fact_and_the_next_computes_none_again(
    tmp_path: Path, killed: bool
) -> None:
    make, path = Costly(), tmp_path / AVERAGES
    write_json(path, {"published": {"error": 0.5}})
    before = path.read_bytes()
    if killed:  # nothing of its own is put back, the next execution does that
        (tmp_path / seal.BEFORE).mkdir()
        (tmp_path / seal.BEFORE / AVERAGES).write_bytes(before)
        kept(path, "new", make)
    else:
        with pytest.raises(ZeroDivisionError), restored_on_failure(tmp_path):
            kept(path, "new", make)
            raise ZeroDivisionError
        assert path.read_bytes() == before and "new" in known(path)
    with restored_on_failure(tmp_path):
        assert path.read_bytes() == before
        assert kept(path, "new", make) == {"error": 0.25}
    assert make.times == 1 and set(read_json(path)) == {"new", "published"}
    assert [file.name for file in tmp_path.iterdir()] == [AVERAGES]


@pytest.mark.parametrize("moment", ["replace", "rename", "rmtree"])
def test_tables_that_are_put_back_are_whole_after_a_kill_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A kill runs no handler: here the call that it comes in raises, and nothing is caught."""
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"{name} as published")
    with pytest.raises(ZeroDivisionError), restored_on_failure(tmp_path):
        (tmp_path / "a.csv").write_text("half")
        with monkeypatch.context() as patch:
            calls: list[object] = []

            def killed(*words: object, **named: object) -> None:
                calls.append(words)
                if len(calls) == 2 or moment != "replace":
                    raise ZeroDivisionError
                real(*words, **named)

            place = {"replace": os, "rename": Path, "rmtree": restore.shutil}[moment]
            real = getattr(place, moment)
            patch.setattr(place, moment, killed)
            restore.put_back(tmp_path)
    with restored_on_failure(tmp_path):
        for name in ("a.csv", "b.csv"):
            assert (tmp_path / name).read_text() == f"{name} as published"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_a_fact_that_the_next_execution_does_not_need_is_not_published(tmp_path: Path) -> None:
    path = tmp_path / AVERAGES
    with pytest.raises(KeyboardInterrupt), restored_on_failure(tmp_path):
        kept(path, "other", Costly())
        raise KeyboardInterrupt
    with restored_on_failure(tmp_path):
        kept(path, "new", Costly())
    assert set(read_json(path)) == {"new"} and "other" not in known(path)


def _run(loss: float) -> Run:
    return Run(
        Task("quick", "one", "net", named("19pct", "quick")),
        pd.DataFrame({"loss": [loss]}),
        {},
        {},
        {},
    )


def test_a_run_that_is_trained_again_does_not_keep_its_facts(tmp_path: Path) -> None:
    make, path = Costly(), tmp_path / AVERAGES
    first, again = _run(1.0), _run(2.0)
    kept(path, "a", make, [first])
    kept(path, "a", make, [first])
    assert make.times == 1 and is_known(path, "a", [first])
    assert not is_known(path, "a", [again])
    kept(path, "a", make, [again])
    assert make.times == 2 and is_known(path, "a", [again]) and not is_known(path, "a", [first])


def test_a_fact_without_a_recorded_training_is_kept(tmp_path: Path) -> None:
    path = tmp_path / AVERAGES
    write_json(path, {"a": {"error": 0.5}})
    assert kept(path, "a", Costly(), [_run(1.0)]) == {"error": 0.5}


@pytest.mark.parametrize("hidden", [{}, {"a": {"error": 0.75, "training": "other"}}])
def test_a_fact_of_a_net_that_was_trained_again_is_returned_and_not_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: dict
) -> None:
    monkeypatch.setattr(facts, "trained_again", lambda run: True)
    path = tmp_path / AVERAGES
    write_json(path.with_name(f".{AVERAGES}"), hidden)
    assert kept(path, "a", Costly(), [_run(0.5)]) == {"error": 0.25}
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "words"), [("{", "not JSON"), ("[]", "object"), ('{"a": 1}', "object")]
)
def test_a_damaged_file_of_facts_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / AVERAGES).write_text(content)
    with pytest.raises(InputError, match=words):
        kept(tmp_path / AVERAGES, "a", Costly())
