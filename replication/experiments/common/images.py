"""Images of a run's splits as pixels and as features, for Figure 4 and the binary codes."""

from typing import Literal, NamedTuple

import numpy as np

from replication.base.errors import check
from replication.data.files.index import Index
from replication.data.prepared.store import prepare
from replication.data.splits import held_out, selected, split_rows
from replication.evaluation.features import features
from replication.recipe import Recipe


class Images(NamedTuple):
    """N images of one split, in the index's order."""

    index: Index
    # uint8 (N, side, side, 3): the central crop that the net sees, before the mean is subtracted
    pixels: np.ndarray

    @property
    def vectors(self) -> np.ndarray:
        """Return the pixels as uint8 (N, 3 * side**2).

        Distances between them are those of the net's inputs: all have the same mean subtracted.
        """
        return self.pixels.reshape(len(self.pixels), -1)


def some_images(recipe: Recipe, split: Literal["train", "test"], count: int = 0) -> Images:
    """Return ``count`` images of a split, evenly spaced in the index.

    All of them if ``count`` is 0 or too large. "test" is what the data set holds out.
    """
    data = recipe.data
    index = selected(data, "train" if split == "train" else held_out(data.name))
    rows = split_rows(index, data.validation)[0] if split == "train" else np.arange(len(index))
    if 0 < count < len(rows):
        rows = rows[np.arange(count) * len(rows) // count]
    chosen = index.take(rows)
    # raw images are stored in full already; of encoded ones only the chosen are decoded
    stored = (
        prepare(index, data.size).images[rows]
        if data.files == "raw"
        else prepare(chosen, data.size).images
    )
    margin = (data.size - data.side) // 2
    inner = slice(margin, margin + data.side)
    return Images(chosen, np.ascontiguousarray(stored[:, inner, inner]))


def feature_vectors(recipe: Recipe, split: Literal["train", "test"], images: Images) -> np.ndarray:
    """Return the last hidden layer's activations of ``images``, float32 (N, D).

    In the order of the images. That layer is fc7 (section 6.1).
    """
    vectors = features(recipe, split, ids=images.index.ids)
    return vectors.x[rows_of(vectors.ids, images.index.ids)]


def rows_of(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the positions of ``wanted`` in ``ids``, both int64, each id once."""
    order = np.argsort(ids)
    rows = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    check(np.array_equal(ids[rows], wanted), "some of these images have no result of this run")
    return rows
