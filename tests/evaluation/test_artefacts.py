"""Stored probabilities and kernels come back as they were, and are kept for the tables' runs."""

from pathlib import Path

import numpy as np
import pytest

from replication.evaluation.artefacts import (
    PROBABILITIES,
    probabilities_file,
    read_kernels,
    read_probabilities,
    write_kernels,
)
from replication.evaluation.metrics import errors
from replication.evaluation.predictions import Predictions
from replication.evaluation.probabilities import probabilities
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.runs.conduct import run
from replication.runs.store import Task


def test_probabilities_keep_their_images_and_errors(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    p = draws.dirichlet(np.full(7, 0.3), 50).astype(np.float32)
    ids = draws.permutation(50)
    answer = Predictions(ids, draws.integers(0, 7, 50), p, tuple("abcdefg"), "test", "images")
    (tmp_path / "p.npz").write_bytes(probabilities_file({"test/10": answer}))
    stored = read_probabilities(tmp_path / "p.npz")["test/10"]
    order = np.argsort(ids)
    np.testing.assert_array_equal(stored.ids, ids[order])
    np.testing.assert_array_equal(stored.labels, answer.labels[order])
    np.testing.assert_allclose(stored.p, p[order], atol=5e-4)
    assert (stored.classes, stored.split, stored.fingerprint) == (
        tuple("abcdefg"),
        "test",
        "images",
    )
    assert errors(stored) == errors(answer)


def test_kernels_keep_every_bit(tmp_path: Path) -> None:
    towers = [np.random.default_rng(n).normal(size=(4, 3, 5, 5)).astype(np.float32) for n in (0, 1)]
    write_kernels(tmp_path / "conv1.npz", towers)
    for stored, kernels in zip(read_kernels(tmp_path / "conv1.npz"), towers, strict=True):
        np.testing.assert_array_equal(stored, kernels)


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_of_the_tables_is_stored_with_its_held_out_probabilities(
    runs: Path, kept: bool
) -> None:
    recipe = Recipe(
        data=Data(name="synthetic", count=40, size=32, crop=24),
        net=AlexNetSpec(side=24, width=1 / 16),
        update=Update(rate=0.01),
        batch=20,
        epochs=1,
    )
    asked = (("train", 1), ("test", 1))
    task = Task("quick", "tables", "net", recipe, asked, keep_probabilities=kept)
    run(task)
    path = task.folder / PROBABILITIES
    assert path.is_file() == kept
    if kept:
        stored = read_probabilities(path)
        assert set(stored) == {"test/1"}
        answer = probabilities(recipe, "test", 1)
        np.testing.assert_allclose(stored["test/1"].p, answer.p[np.argsort(answer.ids)], atol=5e-4)
