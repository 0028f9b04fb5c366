"""The processes that do a plan's steps, each with a limit; an interruption leaves a checkpoint."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from replication.base import paths
from replication.lease.plan import Training

GRACE_SECONDS = 30.0  # from the interruption to the kill: a checkpoint is written in it
INTERRUPTED = 130


class Process:
    """A Python process of a lease, in a session of its own."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], **streams: Any
    ) -> None:
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL} | streams
        self.process = subprocess.Popen(
            [sys.executable, *words],
            cwd=paths.ROOT,
            env=dict(environment),
            start_new_session=True,
            **options,
        )

    def is_alive(self) -> bool:
        """Return whether it can take work."""
        return self.process.poll() is None

    def wait(self, seconds: float) -> int:
        """Return the exit status; INTERRUPTED if it took longer and was interrupted."""
        try:
            return self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.interrupt()
            return INTERRUPTED
        except BaseException:  # this program is interrupted: nothing is left behind
            self.interrupt()
            raise

    def interrupt(self) -> None:
        """End it and what it started, with time for a checkpoint."""
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.process.wait()

    def _signal(self, number: int) -> None:
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class Trainer(Process):
    """A process that trains one run after another (``lease.train``)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(
            ("-m", "replication.lease.train"),
            environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def train(self, training: Training, log: Path, seconds: float) -> int:
        """Return the exit status of one run, INTERRUPTED if it took longer."""
        job = {"training": training.model_dump(mode="json"), "log": str(log)}
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self.process.wait()
        try:
            if not self._answers(seconds):
                self.interrupt()
                return INTERRUPTED
        except BaseException:
            self.interrupt()
            raise
        answer = self.process.stdout.readline()
        return int(answer) if answer else self.process.wait()

    def _answers(self, seconds: float) -> bool:
        """Return whether it answered or ended within the time."""
        return bool(select.select([self.process.stdout], [], [], max(0.0, seconds))[0])

    def close(self) -> None:
        """Let it end; it has no work."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.wait(GRACE_SECONDS)
        self.process.stdout.close()
