"""The paper's own pipeline: Python on the CPU decodes and cuts the next batch while the net works on this one (section 4.1).

"The transformed images are generated in Python code on the CPU while the GPU is training on the previous batch of images." Pillow decodes
and reduces each file as the raw store does, then the arithmetic is the raw pipeline's: so both give the same bits. It serves where DALI
is missing (macOS), and is what DALI is compared with.
"""

import threading
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from PIL import __version__ as pillow_version
from torch.utils.data import DataLoader, Dataset, Sampler

from replication.data.draws import Draws
from replication.data.index import Index
from replication.data.pipeline import Job, Made
from replication.data.raw import Transform
from replication.data.store import read_reduced
from replication.errors import InputError, TrainingError

PREFETCH = 2  # batches each worker process makes ahead

Result = tuple[torch.Tensor | None, np.ndarray, str]  # images, places kept, what went wrong


class ReferencePipeline:
    """Batches decoded from the data set's own files; ``workers`` processes, or none: in the thread that asks."""

    def __init__(self, index: Index, transform: Transform, workers: int = 0) -> None:
        self.backend = f"reference, pillow {pillow_version}"
        self.work = _Work(index, transform)
        self.workers = workers
        self._idle: list[DataLoader] = []  # with their processes running, kept for the next epoch
        self._lock = threading.Lock()

    def stream(self, jobs: Iterable[Job]) -> Iterator[Made]:
        """Every job's batch, in order. A file that cannot be read ends it, or is left out, as the recipe says."""
        if not self.workers:
            for job in jobs:
                yield _made(self.work[job])
            return
        loader = self._take()
        loader.sampler.jobs = jobs
        whole = True
        try:
            for result in _results(loader):
                yield _made(result)
        except TrainingError:
            whole = False  # a process is missing
            raise
        finally:
            if whole:  # what was left in the middle is finished and thrown away when the next epoch begins
                with self._lock:
                    self._idle.append(loader)

    def close(self) -> None:
        """End the worker processes."""
        with self._lock:
            self._idle.clear()

    def _take(self) -> DataLoader:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return DataLoader(
            self.work,
            batch_size=None,
            sampler=_Jobs(),
            num_workers=self.workers,
            collate_fn=_as_it_is,
            prefetch_factor=PREFETCH,
            persistent_workers=True,
            multiprocessing_context="spawn",  # a fork would copy the locks of running threads
        )


class _Work(Dataset):
    """Makes one batch; travels to the worker processes."""

    def __init__(self, index: Index, transform: Transform) -> None:
        self.index, self.transform = index, transform

    def __getitem__(self, job: Job) -> Result:
        size = self.transform.size
        squares, kept = np.empty((len(job.rows), size, size, 3), np.uint8), []
        for place, row in enumerate(job.rows.tolist()):
            try:
                squares[len(kept)] = read_reduced(self.index, row, size)
            except InputError as error:
                if self.transform.data.unreadable == "stop":
                    return None, np.array([place]), str(error)
            else:
                kept.append(place)
        places = np.array(kept, np.int64)
        if job.draws is not None:
            job = job._replace(draws=Draws(*(part[places] for part in job.draws)))
        return torch.from_numpy(self.transform.batch(squares, np.arange(len(kept)), job)), places, ""


class _Jobs(Sampler):
    """Hands the jobs of one epoch to the processes; each epoch has others."""

    jobs: Iterable[Job] = ()

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)


def _results(loader: DataLoader) -> Iterator[Result]:
    results = iter(loader)
    while True:
        try:
            result = next(results)
        except StopIteration:
            return
        except RuntimeError as error:
            if "exited unexpectedly" not in str(error):
                raise
            raise TrainingError(f"a worker process of the loader ended ({' '.join(str(error).split())}); run again to go on") from None
        yield result


def _made(result: Result) -> Made:
    images, places, wrong = result
    if images is None:
        raise InputError(wrong)
    return Made(images, places)


def _as_it_is(result: Result) -> Result:
    return result
