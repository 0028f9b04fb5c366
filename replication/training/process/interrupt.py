"""SIGINT and SIGTERM as a question that the training loop asks between two steps, so that no step
is ever half done.
"""

import signal
import threading
import time
from types import FrameType, TracebackType

# a terminal and torchrun both pass one Ctrl-C on: what comes this soon after the first is the same
# request
SAME_SECONDS = 3.0


class Interrupt:
    """While it is open, the first SIGINT or SIGTERM is only noted; a later one acts as it would
    have before.

    Outside the main thread, where Python delivers no signals, it notes nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._first = 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested, self._first = True, time.monotonic()
        elif time.monotonic() - self._first > SAME_SECONDS:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
