"""A drop of the rate asked for by hand while a run is under way, as the authors did (section 5): a
request file in the run's folder.

The trainer takes it at the end of the epoch and writes the decision down. A request has a word of
its own, so that it is granted once, whatever is killed in between."""

import uuid
from pathlib import Path

from replication.base.errors import InputError
from replication.base.files import write_text
from replication.base.locks import is_locked

REQUEST = "drop.request"


def ask_for_drop(folder: Path) -> None:
    """Ask the run in ``folder`` to lower its rate at the end of the epoch. Raises InputError if
    none is under way there.
    """
    if not is_locked(folder):
        raise InputError(
            f"{folder}: no run is under way there; start it first, then ask for the drop"
        )
    write_text(folder / REQUEST, uuid.uuid4().hex + "\n")
