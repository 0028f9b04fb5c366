"""Batches for the net, whichever pipeline makes them. Trainer, evaluation and tests see only this.

``open_loaders`` gives a recipe's training images and its validation slice, ``evaluation_loader`` any split of it. Order and draws are
functions of (seed, epoch), so a loader has no state: it can start at any minibatch, and what it yields does not depend on threads,
ranks or interruption. Batches are prepared in a thread of their own, while the net is busy with the one before.
"""

import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from replication.data import catalog, views
from replication.data.draws import draws_for
from replication.data.index import Index
from replication.data.order import order
from replication.data.raw import Transform
from replication.data.statistics import Statistics, statistics
from replication.data.store import Store, prepare
from replication.errors import InputError
from replication.recipe import Data, Recipe

AHEAD = 2  # batches prepared before they are asked for
VALIDATION_SEED = 0  # which images are put aside is the same in every run, so that runs are compared on the same ones
Split = Literal["train", "validation", "test"]


class Batch(NamedTuple):
    """N images, or N times V views of them."""

    images: Tensor  # float32 (N, 3, H, W), channels last in memory, mean subtracted, times the recipe's scale; views: (N, V, 3, H, W)
    labels: Tensor  # int64 (N,)
    ids: Tensor  # int64 (N,)


class Loader:
    """One split's images, prepared as a recipe says."""

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        rows: np.ndarray,  # of the store: this split's
        transform: Transform,
        device: torch.device | str = "cpu",  # where the batches are wanted
        share: slice | None = None,  # the part of every training minibatch that this copy of the net takes
        shard: tuple[int, int] = (0, 1),  # which, of how many, parts of the split ``once`` goes through
    ) -> None:
        self.recipe, self.store, self.rows, self.transform, self.device = recipe, store, rows, transform, torch.device(device)
        self.share, self.shard = share or slice(None), shard
        self.index = store.index.take(rows) if len(rows) != len(store.index) else store.index
        self.batch = recipe.batch
        self.backend = "raw"
        self.skipped = 0  # images left out because their file could not be read
        self.waited = 0.0  # seconds in which a batch was asked for and not ready
        self._stop = threading.Event()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class keys, in the order of the labels."""
        return self.index.classes

    @property
    def fingerprint(self) -> str:
        """Of the images."""
        return self.index.fingerprint

    @property
    def steps(self) -> int:
        """Minibatches of a training epoch: the last, partial one is dropped."""
        return len(self) // self.batch

    def epoch(self, epoch: int, start: int = 0, colour: bool = True) -> Iterator[Batch]:
        """Training minibatches ``start``, ``start`` + 1, ... of epoch ``epoch`` (from 0); without colour noise if not ``colour``."""
        places = order(self.recipe.seed, epoch, len(self))

        def make(step: int) -> Batch:
            where = np.arange(step * self.batch, (step + 1) * self.batch)[self.share]
            chosen = places[where]
            draws = draws_for(self.recipe, epoch, self.index.ids[chosen], where)
            return self._batch(self.transform.training(self.store.images, self.rows[chosen], draws, colour), chosen)

        return self._ahead(make, range(start, self.steps))

    def once(self, views_each: int = 1, batch: int | None = None) -> Iterator[Batch]:
        """Every image of this shard exactly once, in the index's order: the central crop, or the paper's ten views of each."""
        places, flips = view_places(self.recipe.data, views_each)
        mine = np.arange(len(self))[self.shard[0] :: self.shard[1]]
        size = batch or max(1, 500 // views_each)

        def make(start: int) -> Batch:
            chosen = mine[start : start + size]
            images = self.transform.testing(self.store.images, self.rows[chosen], places, flips)
            return self._batch(images[:, 0] if views_each == 1 else images, chosen)

        return self._ahead(make, range(0, len(mine), size))

    def close(self) -> None:
        """End whatever is being prepared."""
        self._stop.set()

    def _batch(self, images: np.ndarray, chosen: np.ndarray) -> Batch:
        tensor = torch.from_numpy(images).movedim(-1, -3)
        batch = Batch(tensor, torch.from_numpy(self.index.labels[chosen]), torch.from_numpy(self.index.ids[chosen]))
        if self.device.type == "cpu":
            return batch
        return Batch(*(part.pin_memory().to(self.device, non_blocking=True) for part in batch))

    def _ahead(self, make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
        """``make(step)`` for every step, prepared in a thread of its own that ends when the caller stops listening."""
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
            try:
                for step in steps:
                    if not put(make(step)):
                        return
                put(None)
            except BaseException as error:  # handed over to the thread that asked
                put(error)

        thread = threading.Thread(target=work, daemon=True, name="loader")
        thread.start()
        try:
            while True:
                asked = time.perf_counter()
                item = ready.get()
                self.waited += time.perf_counter() - asked
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            leave.set()
            thread.join()


class Loaders(NamedTuple):
    """What a training run reads."""

    training: Loader
    validation: Loader | None  # the images put aside for decisions; None: the recipe puts none aside
    statistics: Statistics | None  # of the training images; None: the recipe subtracts and draws nothing

    def close(self) -> None:
        """End whatever is being prepared."""
        for loader in (self.training, self.validation):
            if loader is not None:
                loader.close()


def open_loaders(recipe: Recipe, device: torch.device | str = "cpu", share: slice | None = None) -> Loaders:
    """A recipe's training images and its validation slice. Raises InputError where the data set is not at hand."""
    store = prepare(selected(recipe.data, "train"), recipe.data.size)
    training, validation = split_rows(store.index, recipe.data.validation)
    transform = Transform(recipe, found := _statistics(recipe, store, training))
    loader = Loader(recipe, store, training, transform, device, share)
    return Loaders(loader, Loader(recipe, store, validation, transform, device) if len(validation) else None, found)


def evaluation_loader(recipe: Recipe, split: Split, device: torch.device | str = "cpu", shard: tuple[int, int] = (0, 1)) -> Loader:
    """One split of a recipe's data, prepared with the statistics of its training images; "test" is what the data set holds out."""
    loaders = open_loaders(recipe)
    if split == "train":
        return Loader(recipe, loaders.training.store, loaders.training.rows, loaders.training.transform, device, shard=shard)
    if split == "validation":
        if loaders.validation is None:
            raise InputError(f"the recipe {recipe.id} puts no validation images aside; set data.validation, or evaluate train or test")
        return Loader(recipe, loaders.validation.store, loaders.validation.rows, loaders.training.transform, device, shard=shard)
    store = prepare(selected(recipe.data, held_out(recipe.data.name)), recipe.data.size)
    return Loader(recipe, store, np.arange(len(store.index)), loaders.training.transform, device, shard=shard)


def held_out(name: str) -> str:
    """The split of a data set that results are reported on: "test" where labels of one are public, else "val"."""
    if name.startswith(catalog.FOLDER):
        return "val"
    return "test" if "test" in catalog.find(name).splits else "val"


@functools.cache
def selected(data: Data, split: str) -> Index:
    """The images of a split that a recipe names: its classes, and of "train" its count. Raises InputError where they are not at hand."""
    index = catalog.open_index(data.name, split)
    if isinstance(data.classes, int):
        if not 2 <= data.classes <= len(index.classes):
            raise InputError(f"data.classes is {data.classes}, and {data.name} has {len(index.classes)}; choose 2 to {len(index.classes)}")
        index = index.subset(classes=[index.classes[i * len(index.classes) // data.classes] for i in range(data.classes)])
    elif data.classes is not None:
        index = index.subset(classes=data.classes)
    return index.subset(count=data.count) if split == "train" and data.count is not None else index


def split_rows(index: Index, validation: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows put aside, the same number of each class; both ascending."""
    everything = np.arange(len(index))
    if not validation:
        return everything, everything[:0]
    if validation >= len(index):
        raise InputError(f"data.validation is {validation}, and there are only {len(index)} training images; put fewer aside")
    aside = np.isin(index.ids, index.subset(count=validation, seed=VALIDATION_SEED + 1).ids)  # not the seed that chose data.count
    return everything[~aside], everything[aside]


def view_places(data: Data, views_each: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (V, 2) and flips (V,) of 1 or 10 views."""
    places = views.offsets(data.size, data.side)
    if views_each == 1:
        return places[views.CENTRE : views.CENTRE + 1], np.zeros(1, bool)
    if views_each != views.VIEWS:
        raise InputError(f"{views_each} views: use 1 (the central crop) or {views.VIEWS} (section 4.1)")
    return np.tile(places, (2, 1)), np.arange(views.VIEWS) >= views.VIEWS // 2


def training_index(data: Data) -> Index:
    """The images that a recipe trains on. Raises InputError where the data set is not at hand."""
    index = selected(data, "train")
    return index.take(split_rows(index, data.validation)[0]) if data.validation else index


def training_loader(recipe: Recipe) -> Loader:
    """The loader of a recipe's training images. Raises InputError where the data set is not at hand."""
    return open_loaders(recipe).training


def _statistics(recipe: Recipe, store: Store, training: np.ndarray) -> Statistics | None:
    if recipe.data.mean == "none" and not recipe.data.colour:
        return None
    return statistics(store, None if len(training) == len(store.index) else training)
