"""``replication book``: the book, built from the committed notebooks."""

from typing import Annotated

import typer


def book(
    profile: Annotated[
        str | None, typer.Option(help="quick: add the notebooks of your own quick run.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Build it even if it is up to date.")] = False,
) -> None:
    """Build the book and print the path of its first page."""
    from replication.book import publish

    print(f"open {publish.build_book(profile, force)}")
