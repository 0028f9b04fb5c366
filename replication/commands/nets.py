"""``replication net``: the counts of a net, layer by layer."""

import json
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def net(name: Annotated[str, typer.Argument(help="alexnet, alexnet-2012, alexnet-one-gpu, 19pct, ...")], as_json: Json = False) -> None:
    """Count a net, layer by layer: shapes, parameters, neurons, multiply-adds, bytes between the towers."""
    from replication.nets.summary import named, summary

    counted = summary(named(name))
    print(json.dumps({"name": name} | counted.dump(), indent=1) if as_json else counted.table())
