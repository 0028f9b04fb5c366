"""Training on a Dask cluster; every failure there becomes one line here."""

import sys
import time
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack

from replication.base import pools
from replication.base.errors import InputError, TrainingError
from replication.runs.store import Task

# address of a Dask scheduler; where a run is trained is no parameter of an experiment
SCHEDULER = "REPLICATION_SCHEDULER"
SECONDS = 30.0  # between two looks at whether the cluster has workers


def check(address: str) -> None:
    """Raise InputError if Dask is not installed or no scheduler answers at ``address``."""
    with Cluster(address):
        pass


class Cluster:
    """The connection to a scheduler. Use it in a ``with`` block.

    Raises InputError if Dask is not installed or no scheduler answers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._stack = ExitStack()
        self._told = 0.0
        try:
            from distributed import Client
        except ImportError:
            raise InputError(
                f"training on the scheduler {address} needs Dask, which is not installed: pip"
                " install -e '.[cluster]' in the clone"
            ) from None
        try:
            self._client = self._stack.enter_context(
                Client(address, timeout=30, set_as_default=False)
            )
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address} ({_one_line(error)}); check the address"
            ) from None
        # a run is not a pure function for Dask: its result is a folder, which Dask cannot see. One
        # that fails is not tried again; if its worker dies, the scheduler gives it to another.
        self.pool = self._client.get_executor(pure=False)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait(self, future: "Future[None]", task: Task) -> None:
        """Wait until a run has ended; report every so often if no worker can train it.

        Raises TrainingError if its workers or the scheduler are lost."""
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        try:
            pools.watched(future, self._look, SECONDS)
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"a worker at {self.address} cannot load the code ({_one_line(error)}): install"
                " this commit and its packages there, and start it again"
            ) from error
        except KilledWorker as error:
            raise TrainingError(
                f"{task.name}: {error.allowed_failures + 1} workers at {self.address} died while"
                " they trained it; look at their logs, then run the same command again, it resumes"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise TrainingError(
                f"{task.name}: the scheduler at {self.address} was lost"
                f" ({type(error).__name__}); start it, then run the same command again, it"
                " resumes"
            ) from error

    def _look(self) -> None:
        if time.monotonic() - self._told < SECONDS / 2 or self._workers():
            return
        self._told = time.monotonic()
        line = f"no workers yet at {self.address}: start one with `dask worker {self.address}`"
        print(line, file=sys.stderr, flush=True)

    def _workers(self) -> int:
        if self._client.status != "running":
            raise TrainingError(
                f"the scheduler at {self.address} was lost; start it, then run the same command"
                " again, it resumes"
            )
        return len(self._client.scheduler_info().get("workers", {}))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
