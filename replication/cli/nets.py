"""``replication net``: the counts of a net, layer by layer."""

from typing import Annotated

import typer

from replication.cli.output import Json, print_json
from replication.cli.train import complete_recipe


def net(
    name: Annotated[
        str,
        typer.Argument(
            help="alexnet, alexnet-2012, alexnet-one-gpu, alexnet-6conv, 19pct, 80sec, ...",
            autocompletion=complete_recipe,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Print a net layer by layer: shapes, parameters, neurons, multiply-adds, bytes moved."""
    from replication.nets.summary import named, summary

    counted = summary(named(name))
    if as_json:
        return print_json({"name": name} | counted.dump())
    print(counted.table())
