"""The errors that a command reports in one line.

Everything else is a defect and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Bad input from the user.

    The message is one line: what, where, what to do. Exit status 2.
    """


class TrainingError(Exception):
    """Training that cannot continue, for instance because the loss is not finite.

    The last good checkpoint is kept. Exit status 3.
    """


class NotebookError(Exception):
    """A notebook whose cell failed.

    The message is one line; the notebook with its traceback is kept. Exit status 1.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that does not exist, with the nearest one that does."""
    choices = list(known)
    return f"unknown {kind} {name!r}: {suggestion(name, choices)}choose one of {', '.join(choices)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "did you mean ...? " with the nearest of the known names, or "" if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}? " if near else ""


class CheckError(Exception):
    """A published table or page contradicts what it was computed from."""


def check(condition: bool, message: str) -> None:
    """Raise CheckError unless ``condition`` is true, also if Python drops assert statements."""
    if not condition:
        raise CheckError(message)
