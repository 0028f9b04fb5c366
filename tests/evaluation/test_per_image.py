"""What a net got right, image by image: stored with the errors, and the same images as they
count.
"""

from pathlib import Path

import numpy as np
import pytest
from stored_runs import TINY

from replication.base.errors import InputError
from replication.evaluation.per_image import packed, right
from replication.evaluation.predictions import Predictions
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs import conduct, store


def test_the_bits_come_back_in_the_order_of_the_ids() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    answer = Predictions(np.array([7, 3, 5]), np.array([0, 0, 0]), probabilities, ("a", "b"))
    assert right(packed(answer), 1).tolist() == [False, True, True]  # images 3, 5, 7
    assert right(packed(answer), 5).all()


@pytest.mark.parametrize("change", [{"right1": "%"}, {"right1": ""}, {"images": None}])
def test_a_damaged_entry_is_one_clear_line(change: dict) -> None:
    entry = {"images": 3, "right1": "4A==", "right5": "4A=="}
    with pytest.raises(InputError, match="damaged"):
        right(entry | change, 1)


def test_an_evaluated_run_keeps_them_beside_its_errors(runs: Path) -> None:
    run = conduct.run(store.Task("quick", "bits", "run", TINY, (("train", 1), ("test", 1))))
    assert set(run.evaluation) == {"train/1", "test/1"}
    for key, errors in run.evaluation.items():
        for k in (1, 5):
            assert (~right(run.per_image[key], k)).sum() == errors[f"mistakes{k}"]


def test_weights_kept_during_training_are_evaluated_too(runs: Path) -> None:
    data = Data(name="synthetic", count=40, size=32, crop=24, augment=True)
    net, update = CifarNetSpec(), Update(rate=0.01)
    longer = Recipe(data=data, net=net, update=update, batch=20, epochs=2, keep_after=(1,))
    shorter = longer.model_copy(update={"epochs": 1, "keep_after": ()})
    asked = (("test", 9), ("unused", 1))
    kept, ended = (
        conduct.run(store.Task("quick", "kept", str(recipe.epochs), recipe, asked))
        for recipe in (longer, shorter)
    )
    assert set(kept.evaluation) == {"test/9", "unused/1", "test/9@1", "unused/1@1"}
    for key in ("test/9", "unused/1"):
        assert kept.per_image[f"{key}@1"] == ended.per_image[key]
    assert kept.per_image["test/9"] != ended.per_image["test/9"]
    trained_on = kept.provenance["data"]["images"]
    assert kept.evaluation["unused/1"]["images"] == 1600 - trained_on == 1560
