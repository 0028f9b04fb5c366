"""Made-up stored results, for the tests of pages that read what a campaign has stored so far.

Nothing is trained: errors, curves and the images that are wrong are invented.
"""

import math

import numpy as np

from replication.evaluation import per_image
from replication.evaluation.metrics import errors
from replication.evaluation.predictions import Predictions
from replication.recipe import Recipe
from replication.runs.store import Run, Task, load, write_evaluation, write_run
from replication.training.weights import weights_path

CLASSES, IMAGES, EPOCHS = 10, 200, 4


def store(task: Task, error: float, train_error: float = 0.1, parameters: int = 1000) -> Run:
    """Store a result of ``task`` whose test error is ``error`` (a fraction), and return it."""
    start = math.log(CLASSES)
    history = [
        {
            "epoch": epoch,
            "loss": start * (1 - epoch / (EPOCHS + 2)),
            "running_error": error,
            "validation_error": error + 0.1 * (EPOCHS - epoch),
        }
        for epoch in range(1, EPOCHS + 1)
    ]
    summary = {
        "ended": "plateau",
        "epochs": EPOCHS,
        "iterations": EPOCHS * 10,
        "iterations_per_epoch": 10,
        "parameters": parameters,
        "running_error": error,
        "exact_error": train_error,
        "validation_error": error,
    }
    recipe = task.recipe
    count = (recipe.data.count or 400) - recipe.data.validation
    data = {
        "name": recipe.data.name,
        "form": "made up",
        "note": "",
        "images": count,
        "classes": CLASSES,
    }
    provenance = {
        "commit": "0" * 40,
        "dirty": False,
        "data": data | {"fingerprint": "0" * 16, "split": "train"},
        "device": "cpu",
        "threads": 1,
        "libraries": {"torch": "0"},
        "seconds": 1.0,
        "finished": "2026-01-01T00:00:00+00:00",
    }
    timings = [{"epoch": 1, "images": count, "seconds": 1.0, "waited": 0.0}]
    write_run(task, history, timings, summary, provenance)
    answers = {
        f"{split}/{views}": answer(train_error if split == "train" else error, recipe.seed)
        for split, views in task.evaluate
    }
    stored = load(task)
    assert stored is not None
    bits = {key: per_image.packed(answer) for key, answer in answers.items()}
    write_evaluation(stored, {key: errors(answer) for key, answer in answers.items()}, bits)
    again = load(task)
    assert again is not None
    return again


def leave_weights(recipe: Recipe) -> None:
    """Leave a file where the weights of a run would be; it cannot be loaded."""
    path = weights_path(recipe.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def answer(error: float, seed: int) -> Predictions:
    """Return predictions of which ``error`` are wrong, at images that the seed draws."""
    wrong = np.random.default_rng(seed).permutation(IMAGES)[: round(error * IMAGES)]
    labels = np.arange(IMAGES) % CLASSES
    p = np.full((IMAGES, CLASSES), 0.01, np.float32)
    p[np.arange(IMAGES), labels] = 0.91
    p[wrong, labels[wrong]] = 0.0
    names = tuple("abcdefghij")
    return Predictions(np.arange(IMAGES), labels, p, names, "test", "0" * 16)
