"""What ``replication run`` shows while a notebook is executed.

On a terminal one line per experiment is written over; elsewhere one line is printed per finished
run. All that the notebook and its kernel print goes to a log file."""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from jupyter_client.manager import AsyncKernelManager

from replication.base import paths
from replication.base.errors import InputError
from replication.base.progress import is_live
from replication.base.text import counted
from replication.runs.progress import FOLDER, Status, statuses

SECONDS = 0.5  # between two looks at the runs
FINISHED = ("done", "stored")


def log_path(name: str, profile: str) -> Path:
    """Return where the log of an experiment's last execution is."""
    return paths.runs() / "logs" / f"{profile}-{name}.log"


@contextmanager
def shown(
    name: str, profile: str, count: Callable[[], set[str]], out: TextIO | None = None
) -> Iterator[type[AsyncKernelManager]]:
    """Show the progress of an experiment while the block executes its notebook.

    ``count`` returns the ids of the runs that it may need. Yields the kernel manager whose kernels
    write to the log file."""
    log = log_path(name, profile)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("", encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="replication-") as folder, _logged(log):
        before = os.environ.get(FOLDER)
        os.environ[FOLDER] = folder
        view = View(f"{name} ({profile})", Path(folder), count, sys.stderr if out is None else out)
        view.start()
        try:
            yield _kernel_manager(log)
        finally:
            view.stop()
            if before is None:
                del os.environ[FOLDER]
            else:
                os.environ[FOLDER] = before


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send what papermill reports of the cells to a file, and nowhere else."""
    logger = logging.getLogger("papermill")
    level, propagate = logger.level, logger.propagate
    handler = logging.FileHandler(path, mode="a", encoding="utf-8")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(level)
        logger.propagate = propagate


def _kernel_manager(log: Path) -> type[AsyncKernelManager]:
    class LoggedKernelManager(AsyncKernelManager):
        """Starts kernels that leave the terminal alone.

        What cells print is logged by papermill; the kernel repeats it on its standard output.
        """

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            with log.open("a", encoding="utf-8") as file:
                options |= {"stdout": subprocess.DEVNULL, "stderr": file}
                await super()._async_launch_kernel(kernel_cmd, **options)

    return LoggedKernelManager


class View:
    """The progress of one experiment, read from the statuses of its runs in ``folder``."""

    def __init__(
        self, title: str, folder: Path, count: Callable[[], set[str]], out: TextIO
    ) -> None:
        self.title, self.folder, self.count, self.out = title, folder, count, out
        self.live = is_live(out)
        self.planned: set[str] | None = None
        self.printed: set[str] = set()
        self.started = time.time()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="progress")

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Show what is left to show, and end."""
        self._end.set()
        self._thread.join()
        self._show()
        if self.live:
            print("\r\x1b[K", end="", file=self.out, flush=True)

    def _watch(self) -> None:
        with contextlib.suppress(InputError):  # the notebook reports it
            self.planned = self.count()
        while not self._end.wait(SECONDS):
            self._show()

    def _show(self) -> None:
        known = statuses(self.folder)
        if self.live:
            width = shutil.get_terminal_size().columns
            print(f"\r\x1b[K{self.line(known)[: width - 1]}", end="", file=self.out, flush=True)
            return
        for status in known:
            if status.state == "done" and status.run not in self.printed:
                self.printed.add(status.run)
                number = self._number(known, len(self.printed))
                print(f"{self.title}: {number}: {status.result}", file=self.out, flush=True)

    def line(self, known: list[Status]) -> str:
        """Return the live line."""
        running = [status for status in known if status.state not in FINISHED]
        finished = len(known) - len(running)
        spent = duration(time.time() - self.started)
        if not running:
            runs = f"{counted(finished, 'run')} ready, " if known else ""
            return f"{self.title}  {runs}{spent}"
        last = running[-1]
        parts = [f"{self.title}  {self._number(known, finished + 1)}"]
        if last.state == "evaluating":
            parts.append("evaluating")
        elif last.epoch:
            parts.append(f"epoch {last.epoch}/{last.epochs}")
        if last.error is not None:
            parts.append(f"error {last.error:.1%}")
        if last.images_per_second is not None:
            parts.append(f"{last.images_per_second:,.0f} images/s")
        if last.seconds_left is not None:
            left = f"{duration(last.seconds_left)} left"
            whole = self._seconds_left(known)
            parts.append(left if whole is None else f"{left}, {duration(whole)} for all")
        return "  ".join([*parts, last.name])  # last, since a narrow terminal cuts it off

    def _number(self, known: list[Status], number: int) -> str:
        if not self.planned:
            return f"run {number}"
        # a search decides which runs it needs: the plan is then the most that it can need
        searched = any(status.run not in self.planned for status in known)
        of = "of at most" if searched else "of"
        return f"run {number} {of} {max(len(self.planned), number)}"

    def _seconds_left(self, known: list[Status]) -> float | None:
        """Return the seconds that the planned runs need at the pace so far, if one has ended."""
        done = [status for status in known if status.state == "done"]
        running = [status for status in known if status.state not in FINISHED]
        if not self.planned or not done:
            return None
        each = (done[-1].time - self.started) / len(done)
        waiting = max(0, len(self.planned) - len(known))
        return each * waiting + max((status.seconds_left or 0.0) for status in running)


def duration(seconds: float) -> str:
    """Return seconds as minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
