"""A drop of the rate by hand during a run, as the authors did (section 5).

The request is a file in the run's folder. The trainer takes it at the end of the epoch and records
the decision. Each request contains a unique word, so that it is granted only once even if the run
is killed in between."""

import uuid
from pathlib import Path

from replication.base.errors import InputError
from replication.base.files import write_text
from replication.base.locks import is_locked

REQUEST = "drop.request"


def request_drop(folder: Path) -> None:
    """Request that the run in ``folder`` lowers its rate at the end of the epoch.

    Raises InputError if no run is in progress there."""
    if not is_locked(folder):
        raise InputError(
            f"{folder}: no run is under way there; start it first, then ask for the drop"
        )
    write_text(folder / REQUEST, uuid.uuid4().hex + "\n")
