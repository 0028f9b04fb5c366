"""Waiting for work that other processes do, although one of them may be killed."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import TypeVar

Result = TypeVar("Result")

# Between two looks at whether the processes are alive. The pool looks too, but its thread ends
# with an error if it finds a dead process while futures are cancelled or submitted, and then no
# future is ever done (Python 3.11).
SECONDS = 5.0


def watched(future: "Future[Result]", look: Callable[[], None], seconds: float) -> Result:
    """Return the result of ``future``, and call ``look`` every ``seconds`` until it is done.

    An error of the work itself is raised, also a TimeoutError; one of ``look`` ends the wait."""
    while True:
        try:
            return future.result(timeout=seconds)
        except TimeoutError:
            if future.done():  # the work itself raised it, as a slow disk does, or has just ended
                return future.result()
            look()


def wait_for(future: "Future[Result]", pool: Executor) -> Result:
    """Return the result of work that ``pool`` does.

    Raises BrokenProcessPool if one of its processes has ended."""
    known = set(processes(pool))  # also once the pool, ended by another thread, names none

    def look() -> None:
        alive = all(process.is_alive() for process in known)
        if not alive and not future.done():  # a process may end once its work is done
            raise BrokenProcessPool("a process of the pool has ended")
        known.update(processes(pool))

    return watched(future, look, SECONDS)


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
