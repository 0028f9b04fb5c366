"""From stored uint8 squares to what the net is given: crop, flip, mean, colour shift, scale (sections 2 and 4.1).

The arithmetic of the CPU paths: the raw store's and the reference pipeline's. One pass over each image: the crop is read where it
lies and the difference written where the batch wants it, so a loop over images costs less than indexing every pixel would.
"""

import numpy as np

from replication.data.draws import Draws
from replication.data.statistics import Statistics, image_divisor, shifts
from replication.recipe import Recipe


class Transform:
    """What a recipe does to stored squares. ``size`` S and ``side`` in pixels; the mean image lies under the crop, or stays central.

    The paper only says that the mean is subtracted: aligned with the crop is the plain reading. The source subtracts the central part
    of the mean image wherever the crop lies (convdata_jpeg.py:209-211).
    """

    def __init__(self, recipe: Recipe, found: Statistics | None) -> None:
        data = recipe.data
        self.size, self.side, self.scale, self.colour = data.size, data.side, np.float32(data.scale), data.colour
        self.fidelity, self.found = recipe.fidelity, found
        self.mean = found.mean if found is not None and data.mean == "image" else None
        self.aligned = recipe.fidelity == "paper"
        self.middle = (self.size - self.side) // 2

    def training(self, images: np.ndarray, rows: np.ndarray, draws: Draws, colour: bool = True) -> np.ndarray:
        """Crops of ``images[rows]`` by ``draws``: uint8 (_, S, S, 3) -> float32 (N, side, side, 3), 0-255 scale, mean subtracted."""
        out = self.crops(images, rows, draws)
        if colour and self.colour:
            out += shifts(self.found, draws.normals, self.colour, self.fidelity)[:, None, None, :]
            if (divisor := image_divisor(self.colour, self.fidelity)) != 1:
                out /= np.float32(divisor)
        return self.scaled(out)

    def testing(self, images: np.ndarray, rows: np.ndarray, places: np.ndarray, flips: np.ndarray) -> np.ndarray:
        """V views of each of ``images[rows]``, at ``places`` (V, 2) and ``flips`` (V,): float32 (N, V, side, side, 3). No colour shift."""
        views = len(places)
        top, left = np.tile(places, (len(rows), 1)).T
        draws = Draws(top, left, np.tile(flips, len(rows)), np.empty((0, 3)))
        out = self.scaled(self.crops(images, np.repeat(rows, views), draws))
        return out.reshape(len(rows), views, *out.shape[1:])

    def crops(self, images: np.ndarray, rows: np.ndarray, draws: Draws) -> np.ndarray:
        """Crops with the mean subtracted."""
        n, side = len(rows), self.side
        out = np.empty((n, side, side, 3), np.float32)
        turned = np.empty((side, side, 3), np.float32)
        zero = np.zeros((1, 1, 3), np.float32)
        each = zip(rows.tolist(), draws.top.tolist(), draws.left.tolist(), draws.flip.tolist(), strict=True)
        for i, (row, top, left, flip) in enumerate(each):
            crop = images[row, top : top + side, left : left + side]
            y, x = (top, left) if self.aligned else (self.middle, self.middle)
            mean = zero if self.mean is None else self.mean[y : y + side, x : x + side]
            if not flip:
                np.subtract(crop, mean, out=out[i])
            elif self.aligned:
                np.subtract(crop, mean, out=turned)
                _pixels(out[i])[...] = _pixels(turned)[:, ::-1]
            else:  # the source flips first and subtracts the same central mean from both
                np.subtract(_turned(crop), mean, out=out[i])
        return out

    def scaled(self, out: np.ndarray) -> np.ndarray:
        if self.scale != 1:
            out *= self.scale
        return out


def _pixels(image: np.ndarray) -> np.ndarray:
    """A contiguous (H, W, 3) image as (H, W) of whole pixels: turned around in one copy instead of three values at a time."""
    return image.view(f"V{3 * image.itemsize}")[..., 0]


def _turned(crop: np.ndarray) -> np.ndarray:
    turned = np.empty(crop.shape, crop.dtype)
    _pixels(turned)[...] = _pixels(np.ascontiguousarray(crop))[:, ::-1]
    return turned
