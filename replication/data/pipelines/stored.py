"""From stored uint8 squares to what the net is given: crop, flip, mean, colour shift, scale
(sections 2 and 4.1).

The arithmetic of the CPU paths: the raw store's and the reference pipeline's. One pass over each
image: the crop is read where it lies and the difference written where the batch wants it, so a loop
over images costs less than indexing every pixel would."""

import sys
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from replication.data.augment.draws import Draws
from replication.data.pipelines.pipeline import Job, Made, view_places
from replication.data.prepared.statistics import Statistics, image_divisor, shifts
from replication.recipe import Recipe


class Transform:
    """What a recipe does to stored squares. ``size`` S and ``side`` in pixels; the mean image lies
    under the crop, or stays central.

    The paper only says that the mean is subtracted: aligned with the crop is the plain reading. The
    source subtracts the central part of the mean image wherever the crop lies
    (convdata_jpeg.py:209-211)."""

    def __init__(self, recipe: Recipe, found: Statistics | None) -> None:
        self.data = data = recipe.data
        self.size, self.side, self.scale, self.colour = (
            data.size,
            data.side,
            np.float32(data.scale),
            data.colour,
        )
        self.fidelity = "source2012" if recipe.takes_source("colour-scale") else "paper"
        self.found = found
        self.mean = found.mean if found is not None and data.mean == "image" else None
        self.aligned = not recipe.takes_source("mean-place")
        self.middle = (self.size - self.side) // 2

    def batch(
        self, images: np.ndarray, rows: np.ndarray, job: Job, out: np.ndarray | None = None
    ) -> np.ndarray:
        """What ``job`` asks for, of ``images[rows]``; into ``out`` (N V, side, side, 3), where one
        is given.
        """
        if job.draws is not None:
            return self.training(images, rows, job.draws, job.colour, out)
        made = self.testing(images, rows, *view_places(self.data, job.views), out)
        return made[:, 0] if job.views == 1 else made

    def training(
        self,
        images: np.ndarray,
        rows: np.ndarray,
        draws: Draws,
        colour: bool = True,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Crops of ``images[rows]`` by ``draws``: uint8 (_, S, S, 3) -> float32 (N, side, side, 3),
        0-255 scale, mean subtracted.
        """
        if not (colour and self.colour):
            return self.crops(images, rows, draws, out=out)
        return self.crops(images, rows, draws, self.shifts(draws.normals), self.divisor, out)

    def testing(
        self,
        images: np.ndarray,
        rows: np.ndarray,
        places: np.ndarray,
        flips: np.ndarray,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """V views of each of ``images[rows]``, at ``places`` (V, 2) and ``flips`` (V,): float32 (N,
        V, side, side, 3). No colour shift.
        """
        views = len(places)
        top, left = np.tile(places, (len(rows), 1)).T
        draws = Draws(top, left, np.tile(flips, len(rows)), np.empty((0, 3)))
        made = self.crops(images, np.repeat(rows, views), draws, out=out)
        return made.reshape(len(rows), views, *made.shape[1:])

    def shifts(self, normals: np.ndarray) -> np.ndarray:
        """Grey levels added to each channel of N training images, float32 (N, 3)."""
        return shifts(self.found, normals, self.colour, self.fidelity)

    @property
    def divisor(self) -> float:
        """What training images are divided by after the colour shift."""
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
        """Crops with the mean subtracted, ``shift`` (N, 3) added, then divided and scaled. All of
        it image by image, in the cache.
        """
        n, side = len(rows), self.side
        out = np.empty((n, side, side, 3), np.float32) if out is None else out
        turned = np.empty((side, side, 3), np.float32)
        # (N, 3 side): a row of pixels, for one long addition
        shifted = None if shift is None else np.tile(shift, side)
        each = zip(
            rows.tolist(), draws.top.tolist(), draws.left.tolist(), draws.flip.tolist(), strict=True
        )
        for i, (row, top, left, flip) in enumerate(each):
            crop = images[row, top : top + side, left : left + side]
            y, x = (top, left) if self.aligned else (self.middle, self.middle)
            mean = None if self.mean is None else self.mean[y : y + side, x : x + side]
            made = turned if flip and self.aligned else out[i]
            # the source flips first and subtracts the same central mean from both
            made[...] = _turned(crop) if flip and not self.aligned else crop
            if mean is not None:
                # converting first is a third faster than subtracting integers from floats, and the
                # same bits
                made -= mean
            if flip and self.aligned:
                _pixels(out[i])[...] = _pixels(turned)[:, ::-1]
            lines = out[i].reshape(side, 3 * side)
            if shifted is not None:
                lines += shifted[i]
            if divisor != 1:
                lines /= np.float32(divisor)
            if self.scale != 1:
                lines *= self.scale
        return out


class RawPipeline:
    """Batches from stored squares, made as they are asked for."""

    backend = "raw"

    def __init__(self, images: np.ndarray, transform: Transform) -> None:
        self.images, self.transform = images, transform

    def stream(self, jobs: Iterable[Job]) -> Iterator[Made]:
        """Every job's batch, in order."""
        buffers = Buffers(self.transform.side)
        for job in jobs:
            out = buffers.take(len(job.rows) * job.views)
            yield Made(
                torch.from_numpy(self.transform.batch(self.images, job.rows, job, out)),
                np.arange(len(job.rows)),
            )

    def close(self) -> None:
        """Nothing is held."""


class Buffers:
    """Memory for batches, used again once nothing refers to the batch before: new memory costs more
    time than filling it.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self.held: list[np.ndarray] = []

    def take(self, n: int) -> np.ndarray:
        """An array (n, side, side, 3) of float32 that nobody else sees."""
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
    """A contiguous (H, W, 3) image as (H, W) of whole pixels: turned around in one copy instead of
    three values at a time.
    """
    return image.view(f"V{3 * image.itemsize}")[..., 0]


def _turned(crop: np.ndarray) -> np.ndarray:
    turned = np.empty(crop.shape, crop.dtype)
    _pixels(turned)[...] = _pixels(np.ascontiguousarray(crop))[:, ::-1]
    return turned
