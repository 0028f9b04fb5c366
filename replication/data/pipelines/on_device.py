"""Stored squares on the GPU as uint8, if a set is small enough: batches are cut there.

The arithmetic is that of ``stored``, value by value in the same order, from the same draws. Only
row numbers, offsets and colour shifts travel, so a batch costs some microseconds."""

from collections.abc import Iterable, Iterator
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from replication.data.augment.draws import Draws
from replication.data.pipelines.pipeline import BatchRequest, PreparedBatch, view_draws
from replication.data.pipelines.stored import Transform
from replication.data.prepared.store import Store

# Images that a loader uses, by fingerprint, size and device; training and validation share a copy.
_held: WeakValueDictionary[tuple[str, int, str], Tensor] = WeakValueDictionary()
MOST_BYTES = 4 * 2**30  # of images; a GPU that trains has as much to spare
CHUNK = 4096  # images copied at once: the store may be a file that is read page by page


class DevicePipeline:
    """Batches cut from squares that are on ``device``."""

    def __init__(self, store: Store, transform: Transform, device: torch.device) -> None:
        self.backend = f"squares on {device.type}"
        self.transform, self.device = transform, device
        self.images = _resident(store, device)
        self.line = torch.arange(transform.side, device=device)  # places along a crop's side
        # Tensors, because a GPU divides by a number through its reciprocal.
        self.divisor = torch.tensor(transform.divisor, dtype=torch.float32, device=device)
        self.scale = torch.tensor(transform.scale, dtype=torch.float32, device=device)
        self.mean = None if transform.mean is None else torch.from_numpy(transform.mean).to(device)

    def stream(self, requests: Iterable[BatchRequest]) -> Iterator[PreparedBatch]:
        """Return the batch of every request, in order."""
        for request in requests:
            yield PreparedBatch(self.batch(request), np.arange(len(request.rows)))

    def close(self) -> None:
        """Nothing but memory is held."""

    def batch(self, request: BatchRequest) -> Tensor:
        """Return float32 (N, side, side, 3), or (N, 10, side, side, 3) for ten views."""
        transform = self.transform
        if request.draws is not None:
            shift = (
                transform.shifts(request.draws.normals)
                if request.colour and transform.colour
                else None
            )
            return self._crops(request.rows, request.draws, shift)
        rows = np.repeat(request.rows, request.views)
        draws = view_draws(transform.data, request.views, len(request.rows))
        crops = self._crops(rows, draws, None)
        return (
            crops if request.views == 1 else crops.unflatten(0, (len(request.rows), request.views))
        )

    def _crops(self, rows: np.ndarray, draws: Draws, shift: np.ndarray | None) -> Tensor:
        transform, side = self.transform, self.transform.side
        # a flipped line is read backwards from its last pixel
        first, along = draws.left + (side - 1) * draws.flip, 1 - 2 * draws.flip
        # one copy: for a small net, each of them costs the loader's thread more than the cut itself
        numbers = self._there(np.stack([rows, draws.top, first, along]).astype(np.int64))
        row, top, first, along = numbers[:, :, None, None]  # each (N, 1, 1)
        y, x = top + self.line[:, None], first + along * self.line
        crops = self.images[row, y, x].float()  # (N, side, side, 3)
        if self.mean is not None:
            middle = slice(transform.middle, transform.middle + side)
            # the source flips first and subtracts the same central mean from both
            crops -= self.mean[y, x] if transform.aligned else self.mean[middle, middle]
        if shift is not None:
            crops += self._there(shift)[:, None, None, :]
            if transform.divisor != 1:
                crops /= self.divisor
        if transform.scale != 1:
            crops *= self.scale
        return crops

    def _there(self, values: np.ndarray) -> Tensor:
        return queued(torch.from_numpy(np.ascontiguousarray(values)), self.device)


def queued(values: Tensor, device: torch.device) -> Tensor:
    """Return ``values`` on ``device``; a copy to a GPU does not wait for the steps before it.

    From pinned memory alone: a copy from other memory ends when all that the GPU has to do is done,
    and the GPU is then idle until the next batch is cut."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


def fits(store: Store) -> bool:
    """Return whether the store's images are few enough to be kept on a GPU."""
    return store.images.nbytes <= MOST_BYTES


def _resident(store: Store, device: torch.device) -> Tensor:
    """Return the store's images on ``device``, those of another loader if there is one."""
    key = (store.index.fingerprint, store.size, str(device))
    if (images := _held.get(key)) is None:
        images = torch.empty(store.images.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(images), CHUNK):
            part = torch.from_numpy(np.array(store.images[start : start + CHUNK]))
            images[start : start + CHUNK].copy_(part)
        _held[key] = images
    return images
