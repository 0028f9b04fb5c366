"""Top-1 and top-5 error (sections 1 and 6).

The top-k error is the share of images whose label is not among the k most probable classes. An
error must not depend on the order of the classes, so position never resolves a tie with the label.
``mistakes`` is pessimistic: every class that is as probable as the label counts as ahead of it. All
reported errors use it, because it counts whole images. ``credit`` is the released code's rule
(``src/layer_kernels.cu``, lines 104 to 118): classes that tie for the remaining places among the k
share them. The two differ only on images with a tie at the k-th place. With fewer than k classes,
no finite row is a mistake. A row with a value that is not finite is a mistake under both rules.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from replication.evaluation.predictions import Predictions

if TYPE_CHECKING:  # scipy is not on a bare machine, which counts errors all the same
    from replication.base.statistics import Interval

TOPS = (1, 5)  # section 1


def tops(classes: int) -> tuple[int, ...]:
    """Return the k whose top-k error can differ from 0: fewer than the classes."""
    return tuple(k for k in TOPS if k < classes)


def mistakes(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return for each row whether its label may be outside the ``k`` largest: bool (N,).

    ``scores`` (N, K), ``labels`` int (N,).
    """
    greater, equal, finite = _standing(scores, labels, k)
    return (greater + equal > k) | ~finite


def credit(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return each label's share among the ``k`` largest of its row, float64 (N,) in [0, 1].

    Ties share the remaining places.
    """
    greater, equal, finite = _standing(scores, labels, k)
    return np.clip((k - greater) / equal, 0, 1) * finite


def errors(predictions: Predictions) -> dict[str, Any]:
    """Return the errors ``top1`` and ``top5``, and their counts.

    The counts are ``images``, ``mistakes1`` and ``mistakes5``.
    """
    images = len(predictions.ids)
    counts = {k: int(mistakes(predictions.p, predictions.labels, k).sum()) for k in TOPS}
    return (
        {"images": images}
        | {f"top{k}": counts[k] / images for k in TOPS}
        | {f"mistakes{k}": counts[k] for k in TOPS}
    )


def error_interval(predictions: Predictions, k: int) -> "Interval":
    """Return the top-``k`` error and its Wilson interval."""
    from replication.base.statistics import wilson

    return wilson(int(mistakes(predictions.p, predictions.labels, k).sum()), len(predictions.ids))


def _standing(
    scores: np.ndarray, labels: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per row how many classes exceed the label and equal it, and if all are finite.

    The label itself is among those that equal it.
    """
    if k < 1 or scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"top-{k} of scores {scores.shape} with labels {labels.shape}")
    label = np.take_along_axis(scores, labels[:, None], 1)
    finite = np.isfinite(scores).all(1)
    equal = np.maximum((scores == label).sum(1), 1)  # a NaN does not even equal itself
    return (scores > label).sum(1), equal, finite
