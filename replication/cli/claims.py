"""``replication claims``: the ledger of the paper's claims."""

import os
import sys
from typing import Annotated

import typer

from replication.base import paths
from replication.base.errors import InputError
from replication.cli.output import Json, complete_profile, warn_of_seals


def claims(
    profile: Annotated[
        str | None,
        typer.Option(
            help="Show results of this scale; default: each claim's largest published scale.",
            autocompletion=complete_profile,
        ),
    ] = None,
    as_json: Json = False,
    readme: Annotated[
        bool, typer.Option("--readme", help="Rewrite README.md's block of results.")
    ] = False,
) -> None:
    """Print the ledger: what the paper says, what was measured here, and the verdict."""
    if readme:
        from replication.book import headlines

        if profile is not None or as_json:
            raise InputError("--readme writes README.md's block: leave --profile and --json out")
        changed = headlines.update_readme()
        print(f"{headlines.README}: {'written' if changed else 'up to date'}")
        return
    from replication.ledger import tables as ledger_tables
    from replication.ledger import verdicts as ledger

    warn_of_seals()
    rows = ledger.ledger(profile)
    if not any(row.ours for row in rows):
        scale = f" at {profile}" if profile else ""
        named = " (REPLICATION_RESULTS names it)" if os.environ.get("REPLICATION_RESULTS") else ""
        folder = paths.results()
        file = ", which is not a folder" if folder.exists() and not folder.is_dir() else ""
        line = f"nothing was measured{scale} in {folder}{named}{file}"
        print(f"replication: {line}", file=sys.stderr)
    print(ledger.rows_json(rows) if as_json else ledger_tables.rows_table(rows).rstrip())
