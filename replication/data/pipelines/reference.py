"""The paper's own pipeline: Python on the CPU prepares the next batch (section 4.1).

"The transformed images are generated in Python code on the CPU while the GPU is training on the
previous batch of images." Pillow decodes and reduces each file as the raw store does, then the
arithmetic is the raw pipeline's: so both give the same bits. It is used if DALI is missing (macOS),
and DALI is compared with it.
"""

import multiprocessing
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import torch
from PIL import __version__ as pillow_version

from replication.base import pools
from replication.base.errors import InputError, TrainingError
from replication.data.augment.draws import Draws
from replication.data.files.decode import Unreachable
from replication.data.files.index import Index
from replication.data.pipelines.pipeline import BatchRequest, PreparedBatch
from replication.data.pipelines.stored import Transform
from replication.data.prepared.store import read_reduced

PREFETCH = 2  # batches ahead for each worker process

Result = tuple[torch.Tensor | None, np.ndarray, str]  # images, places kept, what went wrong


class ReferencePipeline:
    """Batches decoded from the data set's own files by ``workers`` processes, or the caller."""

    def __init__(self, index: Index, transform: Transform, workers: int = 0) -> None:
        self.backend = f"reference, pillow {pillow_version}"
        self.index, self.transform, self.workers = index, transform, workers
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def stream(self, requests: Iterable[BatchRequest]) -> Iterator[PreparedBatch]:
        """Return the batch of every request, in order.

        A file that cannot be read ends it or is left out, as the recipe says."""
        if not self.workers:
            for request in requests:
                yield _unpacked(make(self.index, self.transform, request))
            return
        pool = self._started()
        # Requests that are ahead when the stream ends are made and dropped: a pool that breaks
        # later would stumble over cancelled ones.
        ahead: deque[Future[Result]] = deque()
        try:
            for request in requests:
                ahead.append(pool.submit(_make, request))
                if len(ahead) > PREFETCH * self.workers:
                    yield _unpacked(pools.wait_for(ahead.popleft(), pool))
            while ahead:
                yield _unpacked(pools.wait_for(ahead.popleft(), pool))
        except BrokenProcessPool:
            self._give_up()
            raise TrainingError(
                "a worker process of the loader was ended from outside; run it again to resume"
            ) from None

    def close(self) -> None:
        """End the worker processes, after the batches that they are preparing."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None

    def _give_up(self) -> None:
        """End the worker processes of a broken pool."""
        with self._lock:
            if self._pool is not None:
                pools.kill(self._pool)
                self._pool = None

    def _started(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # a fork would copy the locks of running threads
                spawn = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(
                    self.workers, spawn, _begin, (self.index, self.transform)
                )
            return self._pool


def make(index: Index, transform: Transform, request: BatchRequest) -> Result:
    """Prepare one batch: decode and reduce the files, then do as the raw pipeline does."""
    size = transform.size
    squares, kept = np.empty((len(request.rows), size, size, 3), np.uint8), []
    for place, row in enumerate(request.rows.tolist()):
        try:
            squares[len(kept)] = read_reduced(index, row, size)
        except InputError as error:
            # a fault of the machine is not one of the file: the run never continues without it
            if transform.data.unreadable == "stop" or isinstance(error, Unreachable):
                return None, np.empty(0, np.int64), str(error)
        else:
            kept.append(place)
    places = np.array(kept, np.int64)
    if request.draws is not None:
        request = request._replace(draws=Draws(*(part[places] for part in request.draws)))
    return torch.from_numpy(transform.batch(squares, np.arange(len(kept)), request)), places, ""


# In a worker process: what all its requests have in common, sent once.
_given: list[tuple[Index, Transform]] = []


def _begin(index: Index, transform: Transform) -> None:
    torch.set_num_threads(1)
    _given.append((index, transform))


def _make(request: BatchRequest) -> Result:
    # the images come back in shared memory, as torch sends tensors between processes
    return make(*_given[0], request)


def _unpacked(result: Result) -> PreparedBatch:
    images, places, wrong = result
    if images is None:
        raise InputError(wrong)
    return PreparedBatch(images, places)
