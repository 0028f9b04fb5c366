"""``replication export``: write a trained net to a folder that others can use."""

from pathlib import Path
from typing import Annotated

import typer

from replication.cli.output import Profile, named_path
from replication.cli.train import complete_recipe


def export(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's id, its folder under results/, or a named recipe.",
            autocompletion=complete_recipe,
        ),
    ],
    folder: Annotated[
        Path,
        typer.Argument(
            parser=named_path,
            metavar="folder",
            help="A folder that is empty or does not exist yet.",
        ),
    ],
    profile: Profile = "quick",
) -> None:
    """Export a trained net to a folder: weights, recipe, model card, licence, hubconf.py."""
    from replication.evaluation.export import export as write

    print(write(run, folder.absolute(), profile))
