"""``replication export``: a trained net as a folder that can be given away."""

from pathlib import Path
from typing import Annotated

import typer

from replication.cli.output import Profile
from replication.cli.train import complete_recipe


def export(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's id, its folder under results/, or a named recipe.",
            autocompletion=complete_recipe,
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="A folder that is empty or does not exist yet.")],
    profile: Profile = "quick",
) -> None:
    """Write weights, configuration, model card, licence and hubconf.py, and print the folder."""
    from replication.evaluation.export import export as write

    print(write(run, folder.expanduser().absolute(), profile))
