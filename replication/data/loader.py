"""Batches for the net: order, mean subtraction, scale and layout. Trainer and tests see only this."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from replication import recipe
from replication.data import catalog
from replication.data.index import Index
from replication.data.order import order
from replication.data.statistics import mean_image
from replication.data.store import Store, prepare


class Batch(NamedTuple):
    images: Tensor  # float32 (N, 3, H, W), channels last in memory, mean subtracted, times the recipe's scale
    labels: Tensor  # int64 (N,)
    ids: Tensor  # int64 (N,)


class Loader:
    """One split's images, prepared as a recipe says."""

    def __init__(self, store: Store, mean: np.ndarray | None, scale: float, seed: int, batch: int) -> None:
        self.store, self.mean, self.scale, self.seed, self.batch = store, mean, np.float32(scale), seed, batch

    def __len__(self) -> int:
        return len(self.store.index)

    @property
    def steps(self) -> int:
        """Minibatches of a training epoch: the last, partial one is dropped."""
        return len(self) // self.batch

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Training minibatches ``start``, ``start`` + 1, ... of epoch ``epoch`` (counted from 0)."""
        rows = order(self.seed, epoch, len(self))
        for step in range(start, self.steps):
            yield self._batch(rows[step * self.batch : (step + 1) * self.batch])

    def once(self, batch: int = 500) -> Iterator[Batch]:
        """Every image exactly once, in the index's order."""
        for start in range(0, len(self), batch):
            yield self._batch(np.arange(start, min(start + batch, len(self))))

    def _batch(self, rows: np.ndarray) -> Batch:
        images = self.store.images[rows].astype(np.float32)  # (N, H, W, 3)
        if self.mean is not None:
            images -= self.mean
        if self.scale != 1:
            images *= self.scale
        index = self.store.index
        return Batch(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(index.labels[rows]), torch.from_numpy(index.ids[rows]))


@functools.cache
def training_index(data: recipe.Data) -> Index:
    """The training images that a recipe names. Raises InputError where the data set is not at hand."""
    index = catalog.open_index(data.name, "train")
    return index if data.count is None else index.subset(count=data.count)


def training_loader(wanted: recipe.Recipe) -> Loader:
    """The loader of a recipe's training images. Raises InputError where the data set is not at hand."""
    data = wanted.data
    store = prepare(training_index(data), data.size)
    mean = mean_image(store.images) if data.mean == "image" else None
    return Loader(store, mean, data.scale, wanted.seed, wanted.batch)
