"""Averages of nets: aligned by image, weights searched on validation images alone."""

import dataclasses

import numpy as np
import pytest

from replication.base.errors import InputError
from replication.evaluation.ensemble import _leads, align, average, tune
from replication.evaluation.ensemble import _wrong as tuning_mistakes
from replication.evaluation.metrics import mistakes
from replication.evaluation.predictions import Predictions

CLASSES = tuple(f"n{number}" for number in range(8))


def _net(skill: float, seed: int, images: int = 300, split: str = "validation") -> Predictions:
    """A net whose probabilities lean to the label by ``skill``; all have the same images and
    labels.
    """
    labels = np.random.default_rng(0).integers(0, len(CLASSES), images)
    logits = np.random.default_rng(seed).normal(size=(images, len(CLASSES)))
    logits[np.arange(images), labels] += skill
    p = np.exp(logits)
    return Predictions(
        np.arange(images) * 3,
        labels,
        (p / p.sum(1, keepdims=True)).astype(np.float32),
        CLASSES,
        split,
        "data",
    )


def _permuted(one: Predictions, seed: int) -> Predictions:
    rows = np.random.default_rng(seed).permutation(len(one.ids))
    return dataclasses.replace(one, ids=one.ids[rows], labels=one.labels[rows], p=one.p[rows])


def _wrong(one: Predictions, k: int) -> int:
    return int(mistakes(one.p, one.labels, k).sum())


def test_an_average_is_the_mean_of_probabilities_in_any_order_of_the_rows() -> None:
    a, b = _net(1, 1), _net(1, 2)
    joint = average([a, _permuted(b, 5)])
    # float32 rounding
    assert (joint.ids == a.ids).all() and joint.p == pytest.approx(
        (a.p.astype(float) + b.p) / 2, abs=1e-7
    )
    assert average([_permuted(a, 3), b]).p.sum(1) == pytest.approx(np.ones(300), abs=1e-6)


def test_an_average_of_one_net_with_itself_is_that_net() -> None:
    a = _net(1, 1)
    assert (average([a, a, a], [1, 2, 5]).p == a.p).all()


def test_independent_nets_err_less_together() -> None:
    nets = [_net(1.0, seed) for seed in range(5)]
    assert _wrong(average(nets), 1) < min(_wrong(one, 1) for one in nets)


def test_weights_are_relative() -> None:
    a, b = _net(1, 1), _net(1, 2)
    assert (average([a, b], [2, 6]).p == average([a, b], [0.25, 0.75]).p).all()
    assert (average([a, b], [0, 3]).p == b.p).all()


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")]])
def test_weights_that_make_no_average_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weights of at least 0"):
        average([_net(1, 1), _net(1, 2)], weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": CLASSES[::-1]}, "order of them"),
        ({"fingerprint": "other"}, "different images"),
        ({"split": "test"}, "different images"),
        ({"ids": np.arange(300)}, "different images"),
        ({"labels": np.zeros(300, int)}, "different labels"),
    ],
)
def test_nets_evaluated_on_different_images_or_classes_are_not_averaged(
    change: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        align([_net(1, 1), dataclasses.replace(_net(1, 2), **change)])


@pytest.mark.parametrize("split", ["test", "train", ""])
def test_weights_are_not_tuned_on_any_other_split(split: str) -> None:
    with pytest.raises(InputError, match="cannot be tuned"):
        tune([_net(1, 1), _net(1, 2, split=split)])


def test_tuned_weights_never_do_worse_on_the_images_they_were_tuned_on() -> None:
    nets = [_net(1.5, 1), _net(0.2, 2), _net(0.8, 3)]
    weights = tune(nets)
    assert weights.sum() == pytest.approx(1) and weights.min() >= 0
    assert _wrong(average(nets, weights), 5) <= _wrong(average(nets), 5)


@pytest.mark.parametrize("k", [1, 5])
def test_the_search_counts_mistakes_as_the_error_table_does(k: int) -> None:
    nets = [_net(1.0, 1), _net(0.5, 2)]
    p = nets[0].p.copy()
    p[:3] = np.nan  # mistakes under any weights
    p[3:9] = nets[1].p[3:9] = 1 / 8  # ties
    nets[0] = dataclasses.replace(nets[0], p=p)
    leads, images = _leads(nets)
    for weights in ([0.5, 0.5], [0.1, 0.9], [1.0, 0.0]):
        assert tuning_mistakes(np.array(weights) @ leads, images, k) + 3 == _wrong(
            average(nets, weights), k
        )


def test_a_misleading_net_loses_its_weight() -> None:
    good, bad = _net(2.5, 1), _net(-6.0, 2)  # the second avoids the label
    weights = tune([good, bad], k=1)
    assert weights[1] < 0.2 < weights[0]


def test_tuning_changes_nothing_if_no_weight_can_improve() -> None:
    few = [
        dataclasses.replace(one, p=one.p[:, :4], labels=one.labels % 4, classes=CLASSES[:4])
        for one in (_net(1, 1), _net(1, 2))
    ]
    assert tune(few).tolist() == [0.5, 0.5]  # top-5 of four classes has no mistakes
