"""Options that several commands share, and how one JSON document is printed."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from replication.base import paths
from replication.base.errors import InputError
from replication.base.types import PROFILES


def complete_profile(start: str) -> list[str]:
    """Return the profiles that begin with ``start``, for the shell."""
    return [name for name in PROFILES if name.startswith(start)]


def named_path(text: str) -> Path:
    """Return the path of an option or argument, for typer: not "", and with "~" expanded."""
    try:
        return paths.named(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Profile = Annotated[
    str,
    typer.Option(help="Scale: quick, laptop, gpu or paper.", autocompletion=complete_profile),
]
Views = Annotated[
    int,
    typer.Option(
        help="1: the central crop; 9: a grid of crops; 10: corners, centre and their reflections."
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; default: cuda if there is one.")]


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, in ASCII: it parses regardless of the names."""
    print(json.dumps(value, indent=1))


def warn_of_seals() -> None:
    """Print one line on standard error if published results differ from their seals."""
    from replication.runs import seal

    if differences := seal.published_faults():
        print(f"replication: not as sealed: {seal.one_line(differences)}", file=sys.stderr)
