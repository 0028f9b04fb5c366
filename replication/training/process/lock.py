"""One process at a time in a run's folder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from replication.base.errors import InputError
from replication.base.locks import held, is_held

FILE = "lock"
WAIT_SECONDS = 10.0  # for another process that is just letting go of the folder


@contextmanager
def locked(folder: Path, name: str, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold ``folder``, which is made if need be, alone. Raises InputError if another process holds
    it for ``wait`` seconds.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder / FILE, wait))
        except TimeoutError:
            raise InputError(
                f"{folder}: another process is training {name}; wait for it or stop it"
            ) from None
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds ``folder`` now."""
    return is_held(folder / FILE)
