"""Spreading an experiment's independent runs: over this process, over processes of this machine, or
over a Dask cluster.

A run is identified by its recipe, resumable, and held by one process at a time (``conduct.run``);
so it does not matter which worker takes it, or that a worker dies in the middle: the next one goes
on from the last checkpoint. Workers of a cluster share the folders of results and runs, and the
data, under the paths that they have here."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar

import torch

from replication.base import paths
from replication.base.errors import InputError, TrainingError
from replication.base.machine import cpus
from replication.runs.conduct import run
from replication.runs.store import Run, Task

# address of a Dask scheduler; where a run is trained is no parameter of an experiment
SCHEDULER = "REPLICATION_SCHEDULER"
DEATHS = 3  # how many workers may die under a run before it is given up
Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Runs tasks: on the cluster that REPLICATION_SCHEDULER names, else ``jobs`` at a time in
    processes that share the cores evenly.

    One job is trained in this process. Use it in a ``with`` block.
    """

    def __init__(self, jobs: int = 1) -> None:
        if jobs < 1:
            raise InputError(f"jobs is {jobs}; it must be at least 1")
        self._stack = ExitStack()
        self._pool: Executor | None = None
        if address := os.environ.get(SCHEDULER):
            self._pool = _cluster(address, self._stack)
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

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, task: Task) -> Run:
        """The result of one task, waited for."""
        if not self._pool or task.is_stored():
            return run(task)
        try:
            self._pool.submit(_run_in, task, _folders(task)).result()
        except BrokenProcessPool as error:
            raise TrainingError(
                f"{task.name}: a training process died; run the same command again, it goes on from"
                " there"
            ) from error
        return run(task)  # only read

    def chains(self, chain: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """``chain(item)`` for every item, each a sequence of dependent runs; the chains run side by
        side when there are several jobs.
        """
        if not self._pool or not items:
            return [chain(item) for item in items]
        with ThreadPoolExecutor(len(items)) as threads:  # they only wait; the work is elsewhere
            return list(threads.map(chain, items))

    def all(self, tasks: Sequence[Task]) -> list[Run]:
        """The results of independent tasks, in their order."""
        return self.chains(self.run, tasks)


def _run_in(task: Task, folders: dict[str, str]) -> None:
    os.environ.update(folders)
    run(task)


def _folders(task: Task) -> dict[str, str]:
    """Return the folders that a worker started elsewhere must use.

    The data stay where each worker's machine says, unless this process names them."""
    return {
        "REPLICATION_RESULTS": str(paths.results()),
        "REPLICATION_RUNS": str(paths.runs()),
        paths.PLACE: paths.place(task.profile),
    } | ({"REPLICATION_DATA": str(paths.data())} if "REPLICATION_DATA" in os.environ else {})


def _cluster(address: str, stack: ExitStack) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            f"{SCHEDULER} is set, and Dask is not installed: pip install -e '.[cluster]' in the"
            " clone"
        ) from None
    try:
        client = stack.enter_context(Client(address, timeout=30, set_as_default=False))
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} ({' '.join(str(error).split())}); check the"
            " address"
        ) from None
    # a run is not a pure function for Dask: its result is a folder, which Dask cannot see
    return client.get_executor(pure=False, retries=DEATHS)


def gpus() -> tuple[str, ...]:
    """The CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",")) if named else tuple(map(str, range(torch.cuda.device_count())))


def _start_worker(threads: int, turn: Any, devices: tuple[str, ...]) -> None:
    _take_gpu(turn, devices)
    torch.set_num_threads(threads)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _take_gpu(turn: Any, devices: tuple[str, ...]) -> None:
    """Leave this process one of ``devices``, dealt in turn by the shared counter ``turn``; before
    CUDA is touched.
    """
    if devices:
        with turn.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = devices[turn.value % len(devices)]
            turn.value += 1


def _leave_with_parent() -> None:
    """End this process when the one that started it is gone, however that ended; its run goes on
    from the last checkpoint.
    """
    connection.wait([parent_process().sentinel])
    os._exit(1)
