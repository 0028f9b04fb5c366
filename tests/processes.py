"""Whether processes that a test started have ended."""

import time
from collections.abc import Collection
from multiprocessing.process import BaseProcess


def ended(processes: Collection[BaseProcess]) -> bool:
    """Return whether all have ended; the pool's own thread may be the one that notes it, later."""
    deadline = time.monotonic() + 300
    while any(process.is_alive() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(process.is_alive() for process in processes)
