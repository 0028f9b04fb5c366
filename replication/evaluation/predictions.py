"""The probabilities of one net, or of an average, for each image of one split.

All error measures of section 6 are computed from them.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities of N images over K classes.

    Row k of every array belongs to one image; a row of NaN counts as a mistake.
    """

    ids: np.ndarray  # int64 (N,), each once
    labels: np.ndarray  # int64 (N,), in 0 to K-1
    p: np.ndarray  # float32 (N, K)
    classes: tuple[str, ...]  # keys; column k is classes[k]
    split: str = ""  # "train", "validation" or "test"
    fingerprint: str = ""  # of the index of the images

    def __post_init__(self) -> None:
        n, k = len(self.ids), len(self.classes)
        if n == 0 or self.labels.shape != (n,) or self.p.shape != (n, k):
            raise ValueError(
                f"predictions of {n} ids and {k} classes have labels {self.labels.shape} and"
                f" probabilities {self.p.shape}"
            )
        if len(np.unique(self.ids)) != n:
            raise ValueError(
                f"predictions name {n - len(np.unique(self.ids))} images more than once"
            )
        if self.labels.min() < 0 or self.labels.max() >= k:
            raise ValueError(
                f"predictions have labels from {self.labels.min()} to {self.labels.max()} for {k}"
                " classes"
            )
