"""``replication book``: build the book from the committed notebooks."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from replication.cli.output import named_path


def book(
    profile: Annotated[
        str | None, typer.Option(help="quick: add the pages of your own quick run.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Build it even if it is up to date.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=named_path,
            metavar="PATH",
            help="Build in this folder's _build; default: _build of the clone.",
        ),
    ] = None,
) -> None:
    """Build the book and print the path of its first page."""
    from replication.book.build import build_book
    from replication.book.stale import stale_line
    from replication.cli.output import warn_of_seals

    warn_of_seals()
    if line := stale_line():
        print(f"replication: {line}", file=sys.stderr)
    print(f"open {build_book(profile, force, output)}")
