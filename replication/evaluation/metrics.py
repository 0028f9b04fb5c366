"""Top-1 and top-5 error (sections 1 and 6): the share of images whose label is not among the k most
probable classes.

Ties. An error must not depend on the order of the classes, so ties with the label are never
resolved by position. ``mistakes`` is pessimistic: every class as probable as the label counts as
ahead of it. All reported errors use it, because it counts whole images. ``credit`` is the released
code's rule (facts-2012, section 4): the places that are left among the k are shared by all that tie
for them. The two differ only on images with a tie at the k-th place. Fewer than k classes: no
finite row is a mistake. A row that is not finite throughout is a mistake under both rules."""

from typing import TYPE_CHECKING, Any

import numpy as np

from replication.evaluation.predictions import Predictions

if TYPE_CHECKING:  # scipy is not on a bare machine, which counts errors all the same
    from replication.base.statistics import Interval

TOPS = (1, 5)  # section 1


def mistakes(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Whether each label, int (N,), is not surely among the ``k`` largest of its row of ``scores``
    (N, K): bool (N,).
    """
    greater, equal, finite = _standing(scores, labels, k)
    return (greater + equal > k) | ~finite


def credit(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """How far each label is among the ``k`` largest of its row, float64 (N,) in [0, 1]: ties share
    the places that are left.
    """
    greater, equal, finite = _standing(scores, labels, k)
    return np.clip((k - greater) / equal, 0, 1) * finite


def errors(predictions: Predictions) -> dict[str, Any]:
    """``images``, ``top1`` and ``top5`` (fractions), ``mistakes1`` and ``mistakes5`` (whole
    images).
    """
    images = len(predictions.ids)
    counts = {k: int(mistakes(predictions.p, predictions.labels, k).sum()) for k in TOPS}
    return (
        {"images": images}
        | {f"top{k}": counts[k] / images for k in TOPS}
        | {f"mistakes{k}": counts[k] for k in TOPS}
    )


def error_interval(predictions: Predictions, k: int) -> "Interval":
    """The top-``k`` error and its Wilson interval."""
    from replication.base.statistics import wilson

    return wilson(int(mistakes(predictions.p, predictions.labels, k).sum()), len(predictions.ids))


def _standing(
    scores: np.ndarray, labels: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each row: how many classes are above the label, how many equal it (itself among them),
    whether all are finite.
    """
    if k < 1 or scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"top-{k} of scores {scores.shape} with labels {labels.shape}")
    label = np.take_along_axis(scores, labels[:, None], 1)
    finite = np.isfinite(scores).all(1)
    equal = np.maximum((scores == label).sum(1), 1)  # a NaN does not even equal itself
    return (scores > label).sum(1), equal, finite
