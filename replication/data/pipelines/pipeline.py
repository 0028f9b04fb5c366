"""The contract of the pipelines: requests in, batches of images out, in the same order.

``stored`` cuts stored squares in this process, ``on_device`` cuts them on the GPU, ``reference`` is
the paper's way (Python on the CPU), and ``dali`` decodes. All are given the same rows and draws, so
they produce the same images."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch

from replication.base.errors import InputError
from replication.data.augment import views
from replication.data.augment.draws import Draws
from replication.recipe import Data


class BatchRequest(NamedTuple):
    """The images, draws and views of one batch to prepare."""

    rows: np.ndarray  # int64 (N,): of the index
    draws: Draws | None  # of N training images; None: the central crop, or ten views
    views: int = 1  # of each image
    colour: bool = False  # with colour noise, if the recipe has any


class PreparedBatch(NamedTuple):
    """The images of one request."""

    images: torch.Tensor  # float32 (M, H, W, 3), or (M, V, H, W, 3)
    # int64 (M,): which places of the request these are; the others' files could not be read
    kept: np.ndarray


class Pipeline(Protocol):
    """Prepares batches."""

    backend: str  # name and version, for the record of where a result came from

    def stream(self, requests: Iterable[BatchRequest]) -> Iterator[PreparedBatch]:
        """Return the batch of every request, in order.

        Requests are taken ahead of the batches; closing the generator drops them."""

    def close(self) -> None:
        """Release threads, processes and memory."""


def check_views(views_each: int) -> None:
    """Raise InputError unless an image can be tested over so many views."""
    if views_each not in (1, views.GRID, views.VIEWS):
        raise InputError(
            f"{views_each} views: use 1 (the central crop), {views.VIEWS} (section 4.1) or"
            f" {views.GRID} (a grid of 3 x 3)"
        )


def view_places(data: Data, views_each: int) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets (V, 2) and flips (V,) of 1, 9 or 10 views. Raises InputError for others."""
    check_views(views_each)
    if views_each == views.GRID:
        return views.grid(data.size, data.side), np.zeros(views.GRID, bool)
    places = views.offsets(data.size, data.side)
    if views_each == 1:
        return places[views.CENTRE : views.CENTRE + 1], np.zeros(1, bool)
    if data.side == data.size:
        raise InputError(
            f"{views_each} views need images larger than the crop, and here both are {data.size}:"
            " the views would be two; use 1 view, or set data.size or data.crop"
        )
    return np.tile(places, (2, 1)), np.arange(views.VIEWS) >= views.VIEWS // 2


def view_draws(data: Data, views_each: int, images: int) -> Draws:
    """Return the draws that cut the views of ``images`` images, without colour, image by image."""
    places, flips = view_places(data, views_each)
    top, left = np.tile(places, (images, 1)).T
    return Draws(top, left, np.tile(flips, images), np.empty((0, 3)))
