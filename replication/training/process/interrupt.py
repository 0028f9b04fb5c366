"""Signals that the training loop looks at between two steps, so that no step is half done."""

import signal
import threading
import time
from types import FrameType, TracebackType

# A terminal and torchrun both pass one Ctrl-C on: a signal this soon after the first is the same
# request.
SAME_SECONDS = 3.0


class Interrupt:
    """While it is open, sets ``requested`` at the first SIGINT, SIGTERM or SIGHUP.

    A later signal has its usual effect. An ignored signal stays ignored (``nohup``), except in a
    rank, to which torchrun passes on its own SIGHUP. Outside the main thread, where Python delivers
    no signals, ``requested`` stays False."""

    def __init__(self, is_rank: bool = False) -> None:
        self.requested = False
        self._is_rank = is_rank
        self._first = 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if self._is_rank or signal.getsignal(number) != signal.SIG_IGN:
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
