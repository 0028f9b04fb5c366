"""Toy results in the form in which a real run stores them, for pages that show what is stored."""

from collections.abc import Mapping, Sequence
from typing import Any

from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs.store import Task, answer_key, load, write_evaluation, write_run

# of a run that is really trained, in a second
TINY = Recipe(
    data=Data(name="synthetic", count=40, size=32),
    net=CifarNetSpec(),
    update=Update(rate=0.001),
    batch=20,
    epochs=1,
)

ORIGINAL = {  # the data card of the original CIFAR-10
    "name": "cifar10",
    "note": "",
    "images": 50_000,
    "classes": 10,
    "fingerprint": "959a45022370f44a",
}


def write(
    task: Task, history: Sequence[Mapping[str, float]], summary: Mapping[str, Any] | None = None
) -> None:
    """Store a run with this history, one entry per epoch."""
    provenance = {
        "data": ORIGINAL,
        "commit": "0" * 40,
        "dirty": False,
        "device": "cpu",
        "threads": 1,
        "libraries": {"torch": "2"},
        "seconds": 1.0,
        "finished": "2026-11-26T00:00:00+00:00",
    }
    common = {"epochs": len(history), "iterations_per_epoch": 390, "parameters": 1}
    common |= {"iterations": 390 * len(history), "ended": "epochs"}
    rows = [{"epoch": place + 1} | dict(row) for place, row in enumerate(history)]
    write_run(task, rows, [], common | dict(summary or {}), provenance)


def evaluate(task: Task, errors: Mapping[tuple[str, int, int | None], float]) -> None:
    """Add errors (fractions) to a stored run, by split, views and epoch."""
    answers = {
        answer_key(*key): {"top1": error, "top5": error / 2, "images": 10_000}
        for key, error in errors.items()
    }
    run = load(task)
    assert run is not None
    write_evaluation(run, answers, {})
