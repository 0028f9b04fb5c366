"""Work on many files at once, in their order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from replication.base.machine import cpus
from replication.base.progress import progress_bar

Result = TypeVar("Result")


def each(
    work: Callable[[int], Result], rows: range, name: str, total: int | None = None
) -> Iterator[Result]:
    """Yield ``work(row)`` in the order of the rows, computed by threads.

    A terminal shows a bar. Decoding and hashing release the interpreter lock. Only enough is
    computed ahead to keep the cores busy, so memory is bounded and an error ends the work soon."""
    workers = cpus()
    total = len(rows) if total is None else total
    with (
        ThreadPoolExecutor(workers) as pool,
        progress_bar(total, total - len(rows), "image", name) as bar,
    ):
        ahead: deque[Future[Result]] = deque()
        try:
            for row in rows:
                ahead.append(pool.submit(work, row))
                if len(ahead) > 16 * workers:
                    yield ahead.popleft().result()
                    bar.update()
            while ahead:
                yield ahead.popleft().result()
                bar.update()
        finally:
            for future in ahead:
                future.cancel()
