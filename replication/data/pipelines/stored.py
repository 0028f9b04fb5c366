"""From stored uint8 squares to the net's input (sections 2 and 4.1).

The steps are crop, flip, mean, colour shift and scale. This is the arithmetic of the CPU paths: the
raw store's and the reference pipeline's. Each image is passed over once: the crop is read in its
place and the difference is written to its place in the batch. So a loop over images costs less than
indexing every pixel would.
"""

import sys
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from replication.data.augment.draws import Draws
from replication.data.pipelines.pipeline import BatchRequest, PreparedBatch, view_draws
from replication.data.prepared.statistics import Statistics, image_divisor, shifts
from replication.recipe import Recipe


class Transform:
    """What a recipe does to stored squares of ``size`` pixels, to cut crops of ``side``.

    The paper only says that the mean is subtracted; the mean under the crop is the plain reading.
    The source subtracts the central part of the mean image regardless of the crop's place
    (convdata_jpeg.py:209-211)."""

    def __init__(self, recipe: Recipe, statistics: Statistics | None) -> None:
        self.data = data = recipe.data
        self.size, self.side, self.colour = data.size, data.side, data.colour
        self.scale = np.float32(data.scale)
        self.fidelity = "source2012" if recipe.takes_source("colour-scale") else "paper"
        self.statistics = statistics
        self.mean = statistics.mean if statistics is not None and data.mean == "image" else None
        self.aligned = not recipe.takes_source("mean-place")
        self.middle = (self.size - self.side) // 2

    def batch(
        self,
        images: np.ndarray,
        rows: np.ndarray,
        request: BatchRequest,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the batch of ``request`` from ``images[rows]``; ``out`` (N V, side, side, 3)."""
        if request.draws is not None:
            return self.training(images, rows, request.draws, request.colour, out)
        views = self.testing(images, rows, request.views, out)
        return views[:, 0] if request.views == 1 else views

    def training(
        self,
        images: np.ndarray,
        rows: np.ndarray,
        draws: Draws,
        colour: bool = True,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return crops of ``images[rows]`` by ``draws``, 0-255 scale, mean subtracted.

        uint8 (_, S, S, 3) -> float32 (N, side, side, 3)."""
        if not (colour and self.colour):
            return self.crops(images, rows, draws, out=out)
        return self.crops(images, rows, draws, self.shifts(draws.normals), self.divisor, out)

    def testing(
        self,
        images: np.ndarray,
        rows: np.ndarray,
        views: int,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the ``views`` of each of ``images[rows]``.

        float32 (N, V, side, side, 3), without colour shift."""
        draws = view_draws(self.data, views, len(rows))
        crops = self.crops(images, np.repeat(rows, views), draws, out=out)
        return crops.reshape(len(rows), views, *crops.shape[1:])

    def shifts(self, normals: np.ndarray) -> np.ndarray:
        """Return the grey levels added to each channel of N training images, float32 (N, 3)."""
        return shifts(self.statistics, normals, self.colour, self.fidelity)

    @property
    def divisor(self) -> float:
        """The divisor of training images, applied after the colour shift."""
        return image_divisor(self.colour, self.fidelity)

    def crops(
        self,
        images: np.ndarray,
        rows: np.ndarray,
        draws: Draws,
        shift: np.ndarray | None = None,
        divisor: float = 1.0,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return crops with the mean subtracted, ``shift`` (N, 3) added, then divided and scaled.

        All of it image by image, in the cache."""
        n, side = len(rows), self.side
        out = np.empty((n, side, side, 3), np.float32) if out is None else out
        mirrored = np.empty((side, side, 3), np.float32)
        # (N, 3 side): a row of pixels, for one long addition
        shifted = None if shift is None else np.tile(shift, side)
        each = zip(
            rows.tolist(), draws.top.tolist(), draws.left.tolist(), draws.flip.tolist(), strict=True
        )
        for i, (row, top, left, flip) in enumerate(each):
            crop = images[row, top : top + side, left : left + side]
            y, x = (top, left) if self.aligned else (self.middle, self.middle)
            mean = None if self.mean is None else self.mean[y : y + side, x : x + side]
            difference = mirrored if flip and self.aligned else out[i]
            # the source flips first and subtracts the same central mean from both
            difference[...] = _mirrored(crop) if flip and not self.aligned else crop
            if mean is not None:
                # converting first is a third faster than subtracting integers from floats, and the
                # same bits
                difference -= mean
            if flip and self.aligned:
                _pixels(out[i])[...] = _pixels(mirrored)[:, ::-1]
            lines = out[i].reshape(side, 3 * side)
            if shifted is not None:
                lines += shifted[i]
            if divisor != 1:
                lines /= np.float32(divisor)
            if self.scale != 1:
                lines *= self.scale
        return out


class RawPipeline:
    """Batches from stored squares, prepared on demand."""

    backend = "raw"

    def __init__(self, images: np.ndarray, transform: Transform) -> None:
        # indexing the same memory as a plain array takes half the time that a memmap takes
        self.images, self.transform = np.asarray(images), transform

    def stream(self, requests: Iterable[BatchRequest]) -> Iterator[PreparedBatch]:
        """Return the batch of every request, in order."""
        buffers = Buffers(self.transform.side)
        for request in requests:
            out = buffers.take(len(request.rows) * request.views)
            yield PreparedBatch(
                torch.from_numpy(self.transform.batch(self.images, request.rows, request, out)),
                np.arange(len(request.rows)),
            )

    def close(self) -> None:
        """Nothing is held."""


class Buffers:
    """Memory for batches, reused once nothing refers to the earlier batch.

    New memory costs more time than filling it.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self.held: list[np.ndarray] = []

    def take(self, n: int) -> np.ndarray:
        """Return an unused float32 array (n, side, side, 3)."""
        for i in range(len(self.held)):
            if _references(self.held, i) == ALONE:
                if len(self.held[i]) >= n:
                    return self.held[i][:n]
                del self.held[i]
                break
        self.held.append(np.empty((n, self.side, self.side, 3), np.float32))
        return self.held[-1][:n]


def _references(held: list[np.ndarray], i: int) -> int:
    return sys.getrefcount(held[i])


ALONE = _references([np.empty(0)], 0)  # of an array that only a list knows


def _pixels(image: np.ndarray) -> np.ndarray:
    """Return a contiguous (H, W, 3) image as (H, W) of whole pixels.

    They are mirrored in one copy instead of three values at a time."""
    return image.view(f"V{3 * image.itemsize}")[..., 0]


def _mirrored(crop: np.ndarray) -> np.ndarray:
    mirrored = np.empty(crop.shape, crop.dtype)
    _pixels(mirrored)[...] = _pixels(np.ascontiguousarray(crop))[:, ::-1]
    return mirrored
