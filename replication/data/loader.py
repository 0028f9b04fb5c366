"""Batches for the net, from any pipeline. Trainer, evaluation and tests see only this.

``open_loaders`` gives a recipe's training images and its validation slice, ``evaluation_loader``
any split of it. Order and draws are functions of (seed, epoch), so a loader has no state: it can
start at any minibatch, and what it yields does not depend on threads, workers, ranks or
interruption. Batches are prepared in a thread of their own, while the net is busy with the one
before."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from replication.base.errors import InputError
from replication.base.types import Split
from replication.data.augment.draws import draws_for
from replication.data.augment.order import order
from replication.data.files.index import Index
from replication.data.pipelines import on_device
from replication.data.pipelines.choice import Backend, pipeline
from replication.data.pipelines.pipeline import BatchRequest, view_places
from replication.data.pipelines.stored import Transform
from replication.data.prepared.statistics import Statistics, statistics, streamed_statistics
from replication.data.prepared.store import Store
from replication.data.splits import (
    index_of,
    report_skipped,
    selected,
    source,
    stored_split,
    training_source,
)
from replication.recipe import Data, Recipe

AHEAD = 2  # batches prepared before they are needed
CROPS = 500  # of a batch of ``once``: 300 MB at 224 x 224


class Batch(NamedTuple):
    """N images, or N times V views of them."""

    # float32 (N, 3, H, W), channels last in memory, mean subtracted, times the recipe's scale;
    # views: (N, V, 3, H, W)
    images: Tensor
    labels: Tensor  # int64 (N,)
    ids: Tensor  # int64 (N,)


class Loader:
    """One split's images, prepared as a recipe says."""

    def __init__(
        self,
        recipe: Recipe,
        source: Store | Index,  # stored squares, or files for a pipeline that decodes
        rows: np.ndarray,  # of the source: this split's
        transform: Transform,
        device: torch.device | str = "cpu",  # where the batches are wanted
        # the part of every training minibatch that this copy of the net takes
        share: slice | None = None,
        backend: Backend = "auto",
        workers: int = 0,  # processes of the reference pipeline
    ) -> None:
        self.recipe, self.rows, self.transform = recipe, rows, transform
        self.device = torch.device(device)
        self.share = share or slice(None)
        self.shard = 0, 1  # which, of how many, parts of the split ``once`` goes through
        whole = index_of(source)
        self.index = whole.take(rows) if len(rows) != len(whole) else whole
        self.batch = recipe.batch
        self.pipeline = pipeline(source, transform, self.device, backend, workers)
        self.skipped = 0  # images left out because their file could not be read
        self.waited = 0.0  # seconds of waiting for a batch that was not ready
        self._stop = threading.Event()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def backend(self) -> str:
        """Return the name and version of what prepares the batches."""
        return self.pipeline.backend

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class keys, in the order of the labels."""
        return self.index.classes

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the images."""
        return self.index.fingerprint

    @property
    def steps(self) -> int:
        """Return the minibatches of a training epoch; the last, partial one is dropped."""
        return len(self) // self.batch

    def epoch(self, epoch: int, start: int = 0, colour: bool = True) -> Iterator[Batch]:
        """Yield the training minibatches of epoch ``epoch`` (from 0), beginning with ``start``.

        ``colour``: with colour noise, if the recipe has any."""
        places = (
            self._stored_order()
            if self.recipe.order == "stored"
            else order(self.recipe.seed, epoch, len(self))
        )
        steps = [
            np.arange(step * self.batch, (step + 1) * self.batch)[self.share]
            for step in range(start, self.steps)
        ]

        def request(where: np.ndarray) -> BatchRequest:
            chosen = places[where]
            return BatchRequest(
                self.rows[chosen],
                draws_for(self.recipe, epoch, self.index.ids[chosen], where),
                colour=colour,
            )

        return self._ahead([places[where] for where in steps], map(request, steps))

    def once(self, views_each: int = 1, batch: int | None = None) -> Iterator[Batch]:
        """Yield every image of this shard exactly once, in the index's order.

        The central crop of each, or the paper's ten views."""
        view_places(self.recipe.data, views_each)  # refuses other numbers
        mine = np.arange(len(self))[self.shard[0] :: self.shard[1]]
        size = batch or max(1, CROPS // views_each)
        parts = [mine[at : at + size] for at in range(0, len(mine), size)]
        return self._ahead(
            parts, (BatchRequest(self.rows[part], None, views_each) for part in parts)
        )

    def _stored_order(self) -> np.ndarray:
        labels = self.index.labels
        if len(labels) > 1 and (np.diff(labels) >= 0).all():
            raise InputError(
                f"{self.index.name} is stored class by class: only a data set whose own order is"
                " mixed can be trained in it"
            )
        return np.arange(len(self))

    def close(self) -> None:
        """End all preparation."""
        self._stop.set()
        self.pipeline.close()

    def _ahead(self, chosen: list[np.ndarray], requests: Iterable[BatchRequest]) -> Iterator[Batch]:
        """Return the requests' batches, prepared in a thread of this generator.

        ``chosen``: their images' numbers."""
        ready: queue.Queue[Batch | BaseException | None] = queue.Queue(AHEAD)
        leave = threading.Event()

        def put(item: Batch | BaseException | None) -> bool:
            while not (leave.is_set() or self._stop.is_set()):
                try:
                    ready.put(item, timeout=0.1)
                except queue.Full:
                    continue
                return True
            return False

        def work() -> None:
            if self.device.index is not None and self.device.type == "cuda":
                torch.cuda.set_device(self.device)  # each thread has its own; pinning uses it
            try:
                with contextlib.closing(self.pipeline.stream(requests)) as stream:
                    for numbers, prepared in zip(chosen, stream, strict=True):
                        if not put(self._batch(prepared.images, numbers[prepared.kept])):
                            return
                put(None)
            except BaseException as error:  # handed over to the caller's thread
                put(error)

        thread = threading.Thread(target=work, daemon=True, name="loader")
        thread.start()
        try:
            for numbers in chosen:
                begun = time.perf_counter()
                item = self._next(ready)
                self.waited += time.perf_counter() - begun
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    return
                self.skipped += len(numbers) - len(item.ids)
                if not len(item.ids):
                    raise InputError(
                        f"not one of {len(numbers)} images of {self.index.name} that follow each"
                        " other could be read"
                    )
                yield item
        finally:
            leave.set()
            while thread.is_alive():
                with contextlib.suppress(queue.Empty):
                    ready.get(timeout=0.01)  # so that the thread notices at once

    def _next(self, ready: queue.Queue) -> Batch | BaseException | None:
        while True:
            try:
                return ready.get(timeout=0.1)
            except queue.Empty:
                if self._stop.is_set():
                    raise ValueError("the loader is closed") from None

    def _batch(self, images: Tensor, numbers: np.ndarray) -> Batch:
        images = images.movedim(-1, -3)
        # one copy to a GPU for both
        both = torch.from_numpy(np.stack([self.index.labels[numbers], self.index.ids[numbers]]))
        if self.device.type == "cuda":
            images, both = (
                part if part.is_cuda else on_device.queued(part, self.device)
                for part in (images, both)
            )
        return Batch(images, *both)


class Loaders(NamedTuple):
    """What a training run reads."""

    training: Loader
    # the images held out for decisions; None: the recipe holds out none
    validation: Loader | None
    # of the training images; None: the recipe subtracts and draws nothing
    statistics: Statistics | None

    def close(self) -> None:
        """End all preparation."""
        for loader in (self.training, self.validation):
            if loader is not None:
                loader.close()


def open_loaders(
    recipe: Recipe,
    device: torch.device | str = "cpu",
    backend: Backend = "auto",
    workers: int = 0,
    share: slice | None = None,
) -> Loaders:
    """Return the loaders of a recipe's training images and of its validation slice.

    Raises InputError if the data set is not available.

    ``backend`` and ``workers`` as for ``pipelines.choice.pipeline``. ``share``: the part of every
    minibatch that one of several data-parallel copies takes."""
    selected.cache_clear()  # files may have changed since an earlier run of this process
    report_skipped(recipe.data)
    images, training, validation = training_source(recipe.data)
    transform = Transform(recipe, found := _statistics(recipe.data, images, training))
    loader = Loader(
        recipe, images, training, transform, device, share, backend=backend, workers=workers
    )
    aside = (
        Loader(recipe, images, validation, transform, device, backend=backend, workers=workers)
        if len(validation)
        else None
    )
    return Loaders(loader, aside, found)


def evaluation_loader(
    recipe: Recipe,
    split: Split,
    device: torch.device | str = "cpu",
    backend: Backend = "auto",
    ids: np.ndarray | None = None,
) -> Loader:
    """Return the loader of one split, with the statistics of the recipe's training images.

    "test" is what the data set holds out.

    "val" is the validation set of a data set that has a test set besides; InputError for others.
    "unused" are the training images that ``data.count`` leaves out, further held-out images.
    ``ids``: of these images alone."""
    selected.cache_clear()  # files may have changed since an earlier run of this process
    stored = stored_split(recipe.data, split)
    images, training, validation = training_source(recipe.data)
    transform = Transform(recipe, _statistics(recipe.data, images, training))
    rows = validation if split == "validation" else training
    if stored != "train":
        images = source(recipe.data, stored)
        rows = np.arange(len(index_of(images)))
    if split == "unused":
        whole = recipe.data.model_copy(update={"count": None})
        used = index_of(images).ids
        images = source(whole, "train")
        rows = np.flatnonzero(~np.isin(index_of(images).ids, used))
        if not len(rows):
            raise InputError(
                f"the recipe {recipe.id} leaves no training image of {recipe.data.name} out"
            )
    if ids is not None:
        rows = rows[np.isin(index_of(images).ids[rows], ids)]
    return Loader(recipe, images, rows, transform, device, backend=backend)


def _statistics(data: Data, source: Store | Index, training: np.ndarray) -> Statistics | None:
    if data.mean == "none" and not data.colour:
        return None
    if isinstance(source, Store):
        return statistics(source, None if len(training) == len(source.index) else training)
    return streamed_statistics(
        source if len(training) == len(source) else source.take(training), data.size
    )
