"""Spreading an experiment's independent runs over processes or a Dask cluster.

They run in this process, in processes of this machine, or on a cluster. A run is identified by its
recipe, resumable, and held by one process at a time (``conduct.run``). So it does not matter which
worker takes it, or that a worker dies in the middle: the next one resumes from the last checkpoint.
Workers of a cluster share the folders of results and runs, and the data, under the paths that they
have here.
"""

import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from multiprocessing import connection, get_context, parent_process
from types import FrameType
from typing import Any, TypeVar

import torch

from replication.base import paths, pools
from replication.base.code import code_digest
from replication.base.errors import InputError, TrainingError
from replication.base.machine import cpus
from replication.runs.cluster import SCHEDULER, Cluster
from replication.runs.conduct import run
from replication.runs.store import Run, Task

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Trains tasks on the cluster that REPLICATION_SCHEDULER names, or in local processes.

    ``jobs`` local processes share the CPUs evenly; one job is trained in this process. Use it in a
    ``with`` block."""

    def __init__(self, jobs: int = 1) -> None:
        if jobs < 1:
            raise InputError(f"jobs is {jobs}; it must be at least 1")
        self._stack = ExitStack()
        self._pool: Executor | None = None
        self._cluster: Cluster | None = None
        self._interrupted = False
        if address := os.environ.get(SCHEDULER):
            self._cluster = self._stack.enter_context(Cluster(address))
            self._pool = self._cluster.pool
        elif jobs > 1:
            threads = max(1, cpus() // jobs)
            spawn = get_context("spawn")
            turn = spawn.Value("i", 0)
            self._pool = ProcessPoolExecutor(
                jobs, mp_context=spawn, initializer=_start_worker, initargs=(threads, turn, gpus())
            )
            self._stack.callback(self._pool.shutdown, wait=True, cancel_futures=True)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._interrupt_workers()
        self._stack.close()  # waits for the local processes

    def run(self, task: Task) -> Run:
        """Return the result of one task, waited for."""
        if not self._pool or task.is_stored():
            return run(task)
        try:
            future = self._pool.submit(train_in_worker, task, _folders(task), code_digest())
            if self._cluster:
                self._cluster.wait(future, task)
            else:
                pools.wait_for(future, self._pool)
        except Interrupted:
            raise KeyboardInterrupt from None
        except BrokenProcessPool as error:
            if self._interrupted:  # a worker that was still starting; the others write checkpoints
                raise KeyboardInterrupt from None
            if isinstance(self._pool, ProcessPoolExecutor):
                pools.kill(self._pool)
            raise TrainingError(
                f"{task.name}: a training process died; run the same command again, it resumes"
            ) from error
        return run(task)  # only read

    def chains(self, chain: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return ``chain(item)`` for every item, each a sequence of dependent runs.

        The chains run side by side if there are several jobs. The first one that fails is reported
        at once and raised after the others have ended. An interrupt of this process starts no
        further run, and waits until those under way have written a checkpoint and ended; on a
        cluster, until they have ended."""
        if not self._pool or not items:
            return [chain(item) for item in items]
        is_reported = threading.Lock()

        def reported(item: Item) -> Result:
            try:
                return chain(item)
            except (InputError, TrainingError) as error:
                if len(items) > 1 and is_reported.acquire(blocking=False):
                    line = f"{error} (reported now; the other runs are finished first)"
                    print(line, file=sys.stderr, flush=True)
                raise

        with ThreadPoolExecutor(len(items)) as threads:  # they only wait; the work is elsewhere
            futures = [threads.submit(reported, item) for item in items]
            try:
                return [future.result() for future in futures]
            except KeyboardInterrupt:
                self._stop()
                raise

    def all(self, tasks: Sequence[Task]) -> list[Run]:
        """Return the results of independent tasks, in their order."""
        return self.chains(self.run, tasks)

    def _stop(self) -> None:
        """Start no further run, and interrupt those under way in local processes."""
        self._interrupt_workers()
        if isinstance(self._pool, ProcessPoolExecutor):
            self._pool.shutdown(wait=False, cancel_futures=True)
        elif self._pool:
            self._pool.shutdown(wait=False)  # Dask's cancels what it has not begun

    def _interrupt_workers(self) -> None:
        """Pass an interrupt on to the local processes: `kill -INT` reaches this one alone.

        A terminal reaches them too; a second signal at once changes nothing."""
        if self._pool and not self._interrupted:
            self._interrupted = True
            for process in pools.processes(self._pool):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)


class Interrupted(Exception):
    """A run in a worker was interrupted, and has written its checkpoint."""


def train_in_worker(task: Task, folders: dict[str, str], code: str) -> None:
    """Train ``task`` in a process that another one started, perhaps on another machine.

    ``code``: the digest of the code that the run is meant for. Raises InputError if this process
    has other code."""
    if code_digest() != code:
        raise InputError(
            f"a worker on {platform.node()} has other code than this command: give it the same"
            " commit, and start it again"
        )
    if _stopping.is_set():  # the pool had handed it out before it knew
        raise Interrupted(task.name)
    with _one_run:  # torch's settings belong to the process
        os.environ.update(folders)
        _training.set()
        try:
            run(task)
        except KeyboardInterrupt:
            _stopping.set()
            raise Interrupted(task.name) from None  # the pool's own protocol stays in order
        finally:
            _training.clear()


_one_run = threading.Lock()
_training = threading.Event()  # in this worker, now
_stopping = threading.Event()  # no further run in this worker


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt a run once; the parent process ends a worker that has no run."""
    first = not _stopping.is_set()
    _stopping.set()
    if first and _training.is_set():
        raise KeyboardInterrupt


def _folders(task: Task) -> dict[str, str]:
    """Return the folders that a worker started elsewhere must use.

    The data stay where each worker's machine says, unless this process names them."""
    return {
        "REPLICATION_RESULTS": str(paths.results()),
        "REPLICATION_RUNS": str(paths.runs()),
        paths.PLACE: paths.place(task.profile),
    } | ({"REPLICATION_DATA": str(paths.data())} if "REPLICATION_DATA" in os.environ else {})


def gpus() -> tuple[str, ...]:
    """Return the CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",")) if named else tuple(map(str, range(torch.cuda.device_count())))


def _start_worker(threads: int, turn: Any, devices: tuple[str, ...]) -> None:
    signal.signal(signal.SIGINT, _interrupt)
    _take_gpu(turn, devices)
    torch.set_num_threads(threads)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _take_gpu(turn: Any, devices: tuple[str, ...]) -> None:
    """Leave this process one of ``devices``, by the shared counter ``turn``.

    Call it before CUDA is used."""
    if devices:
        with turn.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = devices[turn.value % len(devices)]
            turn.value += 1


def _leave_with_parent() -> None:
    """End this process when the one that started it has ended, regardless of the reason.

    Its run resumes from the last checkpoint."""
    connection.wait([parent_process().sentinel])
    os._exit(1)
