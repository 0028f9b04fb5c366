"""Averages of several nets' predictions (section 6: Table 2, "5 CNNs" and "7 CNNs").

The paper averages. The released ``avg-valid.py`` (lines 49 to 71) also searches the weights of the
average by coordinate descent on the validation images' top-5 error. Both are here. Weights are
never searched on images whose error is then reported.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from replication.base.errors import InputError
from replication.evaluation.predictions import Predictions

START, STEP = 0.5, 0.05  # avg-valid.py: where each weight starts, and the grid it is searched on
ROUNDS = 20  # of coordinate descent at most; each round but the last lowers the error


def align(predictions: Sequence[Predictions]) -> list[Predictions]:
    """Return the predictions with their rows in the first one's order of ids.

    Raises InputError unless they are of the same images and classes.
    """
    first, *others = predictions
    aligned = [first]
    order = np.argsort(first.ids)
    for other in others:
        if other.classes != first.classes:
            raise InputError(
                f"the nets have different classes or another order of them ({_few(first)};"
                f" {_few(other)}): do not mix them"
            )
        rows = np.empty(len(first.ids), np.int64)
        theirs = np.argsort(other.ids)
        same = other.split == first.split and other.fingerprint == first.fingerprint
        if not same or not np.array_equal(first.ids[order], other.ids[theirs]):
            raise InputError(
                f"the nets were evaluated on different images ({len(first.ids)} of {first.split}"
                f" {first.fingerprint}; {len(other.ids)} of {other.split} {other.fingerprint}):"
                " evaluate all of them on one split of one data set"
            )
        rows[order] = theirs
        if not np.array_equal(first.labels, other.labels[rows]):
            raise InputError(
                f"the nets were evaluated on the same {first.split} images with different labels:"
                " evaluate them again"
            )
        aligned.append(replace(first, p=other.p[rows]))
    return aligned


def average(
    predictions: Sequence[Predictions], weights: Sequence[float] | np.ndarray | None = None
) -> Predictions:
    """Return the weighted mean of the nets' probabilities.

    ``weights`` (R,) are divided by their sum; None means equal weights.
    """
    aligned = align(predictions)
    first = aligned[0]
    factors = _factors(len(aligned), weights)
    total = np.zeros(first.p.shape)
    for factor, one in zip(factors, aligned, strict=True):
        total += factor * one.p
    return replace(first, p=total.astype(np.float32))


def tune(validation: Sequence[Predictions], k: int = 5) -> np.ndarray:
    """Return the weights that lower the joint top-``k`` error on validation images.

    They are float64 (R,) with sum 1. Coordinate descent on a grid: each weight starts at ``START``
    and is set in its turn to the value of the grid 0, 0.05 ... 1 with the lowest error. It keeps
    its value unless another is better. The search ends when a whole round changes nothing. Raises
    InputError for predictions of any other split."""
    for one in validation:
        if one.split != "validation":
            raise InputError(
                f"weights cannot be tuned on the {one.split or 'unnamed'} split: only on validation"
                " images, whose error is not reported"
            )
    aligned = align(validation)
    leads, images = _leads(aligned)
    grid = np.linspace(0, 1, round(1 / STEP) + 1)
    weights = np.full(len(aligned), START)
    best = _wrong(weights @ leads, images, k)
    for _ in range(ROUNDS):
        before = best
        for place in range(len(aligned)):
            others = np.delete(weights, place)
            fixed = others @ np.delete(leads, place, 0)
            for value in grid:
                if (
                    value + others.sum() > 0
                    and (wrong := _wrong(fixed + value * leads[place], images, k)) < best
                ):
                    best, weights[place] = wrong, value
        if best == before:
            break
    return weights / weights.sum()


def _leads(aligned: list[Predictions]) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much other classes exceed the label, and the image of each.

    Float64 (R nets, P) and int64 (P,). Classes that no net puts level with the label or above it
    are left out: no average does either. In a trained net few remain. A row with a NaN is a mistake
    under any weights; it never leads here, so the search does not see it."""
    labels = aligned[0].labels[:, None]
    near = np.logical_or.reduce([one.p >= np.take_along_axis(one.p, labels, 1) for one in aligned])
    np.put_along_axis(near, labels, False, 1)
    images, classes = np.nonzero(near)
    of_label = aligned[0].labels[images]
    return (
        np.stack(
            [one.p[images, classes].astype(np.float64) - one.p[images, of_label] for one in aligned]
        ),
        images,
    )


def _wrong(leads: np.ndarray, images: np.ndarray, k: int) -> int:
    """Count the images with ``k`` or more classes level with the label or ahead of it.

    This is the pessimistic rule of ``metrics.mistakes``.
    """
    return int((np.bincount(images[leads >= 0]) >= k).sum())


def _factors(count: int, weights: Sequence[float] | np.ndarray | None) -> np.ndarray:
    factors = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    if (
        factors.shape != (count,)
        or not np.isfinite(factors).all()
        or factors.min() < 0
        or factors.sum() == 0
    ):
        raise InputError(
            f"{count} nets need {count} weights of at least 0, not all of them 0:"
            f" {factors.tolist()}"
        )
    return factors / factors.sum()


def _few(predictions: Predictions) -> str:
    return f"{len(predictions.classes)} from {predictions.classes[0]}"
