"""Waiting for the work of a pool of processes, of which one may be ended from outside."""

from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import TypeVar

Result = TypeVar("Result")

# Between two looks at whether the processes are alive. The pool looks too, but its thread ends
# with an error if it finds a dead process while futures are cancelled or submitted, and then no
# future is ever done (Python 3.11).
SECONDS = 5.0


def wait_for(future: "Future[Result]", pool: Executor) -> Result:
    """Return the result of work that ``pool`` does.

    Raises BrokenProcessPool if one of its processes has ended."""
    known: set[BaseProcess] = set()  # also once the pool, ended by another thread, names none
    while True:
        known.update(processes(pool))
        try:
            return future.result(timeout=SECONDS)
        except TimeoutError:
            alive = all(process.is_alive() for process in known)
            if future.done():  # the work itself raised it, or has just ended
                return future.result()
            if not alive:
                raise BrokenProcessPool("a process of the pool has ended") from None


def kill(pool: ProcessPoolExecutor) -> None:
    """End a broken pool and its processes without waiting for its thread."""
    ended = processes(pool)
    pool.shutdown(wait=False, cancel_futures=True)
    for process in ended:
        process.kill()
    for process in ended:
        process.join()


def processes(pool: Executor) -> list[BaseProcess]:
    """Return the processes of a local pool that has not been shut down; of another one, none."""
    started = pool._processes if isinstance(pool, ProcessPoolExecutor) else None
    return list((started or {}).values())
