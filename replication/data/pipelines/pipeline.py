"""What a loader asks of a pipeline, whichever makes the batches: jobs in, images out, in the same
order.

There are three: ``raw`` (stored squares, in this process), ``reference`` (the paper's way, Python
on the CPU) and ``dali``. All of them are given the same rows and draws, so they make the same
images."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch

from replication.base.errors import InputError
from replication.data.augment import views
from replication.data.augment.draws import Draws
from replication.recipe import Data


class Job(NamedTuple):
    """One batch to make."""

    rows: np.ndarray  # int64 (N,): of the index
    draws: Draws | None  # of N training images; None: the central crop, or ten views
    views: int = 1  # of each image
    colour: bool = False  # with colour noise, where the recipe has any


class Made(NamedTuple):
    """One batch, made."""

    images: torch.Tensor  # float32 (M, H, W, 3), or (M, V, H, W, 3)
    # int64 (M,): which places of the job these are; the others' files could not be read
    kept: np.ndarray


class Pipeline(Protocol):
    """Makes batches."""

    backend: str  # name and version, for the record of where a result came from

    def stream(self, jobs: Iterable[Job]) -> Iterator[Made]:
        """Every job's batch, in order. Jobs are taken ahead of what is asked for; closing the
        generator lets go of them.
        """

    def close(self) -> None:
        """Let go of threads, processes and memory."""


def view_places(data: Data, views_each: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (V, 2) and flips (V,) of 1, 9 or 10 views."""
    if views_each == views.GRID:
        return views.grid(data.size, data.side), np.zeros(views.GRID, bool)
    places = views.offsets(data.size, data.side)
    if views_each == 1:
        return places[views.CENTRE : views.CENTRE + 1], np.zeros(1, bool)
    if views_each != views.VIEWS:
        raise InputError(
            f"{views_each} views: use 1 (the central crop), {views.VIEWS} (section 4.1) or"
            f" {views.GRID} (a grid of 3 x 3)"
        )
    if data.side == data.size:
        raise InputError(
            f"{views_each} views need images larger than the crop, and here both are {data.size}:"
            " the views would be two; use 1 view, or set data.size or data.crop"
        )
    return np.tile(places, (2, 1)), np.arange(views.VIEWS) >= views.VIEWS // 2
