"""One loader for the two ranks of a pair: tower 0 prepares each batch and sends it to tower 1.

Both towers read every image of their copy's share (Figure 2). Without this each of them would
decode every photograph."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from replication.base.errors import InputError, TrainingError
from replication.data.loader import Batch, Loader
from replication.training.distributed.exchange import Link
from replication.training.distributed.ranks import Ranks

DIMENSIONS = 5  # of images at most: (N, V, H, W, 3)
ENDED, FAILED = 0, -1  # instead of a number of dimensions: no batch follows


class SharedLoader:
    """A pair's loader. Everything but the batches comes from this rank's own ``loader``."""

    def __init__(self, loader: Loader, ranks: Ranks) -> None:
        self.loader, self.ranks = loader, ranks
        # a batch may take longer to make than a rank may be silent in the loop
        self.link = Link(ranks, patient=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int, start: int = 0, colour: bool = True) -> Iterator[Batch]:
        """As ``Loader.epoch``."""
        return self._shared(lambda: self.loader.epoch(epoch, start, colour))

    def once(self, views_each: int = 1, batch: int | None = None) -> Iterator[Batch]:
        """As ``Loader.once``."""
        return self._shared(lambda: self.loader.once(views_each, batch))

    def _shared(self, batches: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        return self._received() if self.ranks.tower else self._sent(batches())

    def _sent(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        try:
            for batch in batches:
                images = batch.images.movedim(-3, -1)  # as they are in memory
                self._send_header(images.ndim, *images.shape)
                for tensor in (images, batch.labels, batch.ids):
                    self.link.send(tensor)
                yield batch
            self._send_header(ENDED)
        except InputError:  # of the loader: a file that cannot be read
            self._send_header(FAILED)
            raise

    def _received(self) -> Iterator[Batch]:
        while True:
            kind, *sizes = self.link.receive(1 + DIMENSIONS, dtype=torch.int64).tolist()
            if kind == ENDED:
                return
            if kind == FAILED:
                raise TrainingError(
                    f"rank {self.ranks.rank}: the loader of rank {self.ranks.peer} failed; its"
                    " message says why"
                )
            images = self.link.receive(*sizes[:kind], dtype=torch.float32)
            labels, ids = (self.link.receive(sizes[0], dtype=torch.int64) for _ in range(2))
            yield Batch(images.movedim(-1, -3), labels, ids)

    def _send_header(self, *numbers: int) -> None:
        header: Tensor = torch.zeros(1 + DIMENSIONS, dtype=torch.int64)
        header[: len(numbers)] = torch.tensor(numbers)
        self.link.send(header)
