"""``replication evaluate``: the errors of trained nets, one by one and averaged."""

from typing import Annotated

import typer

from replication.cli.output import Device, Json, Profile, Views, print_json
from replication.cli.train import complete_recipe


def evaluate(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Runs: an id, a folder under results/, or a named recipe.",
            autocompletion=complete_recipe,
        ),
    ],
    views: Views = 1,
    split: Annotated[
        str,
        typer.Option(
            help=("train, validation, test, val (beside a test set, as in ilsvrc2010) or all.")
        ),
    ] = "test",
    weights: Annotated[
        str,
        typer.Option(help="How to average several runs: equal, or tuned on the validation images."),
    ] = "equal",
    profile: Profile = "quick",
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Print the top-1 and top-5 errors of trained runs, with intervals.

    For several runs, also print the errors of their average and the difference of each pair.
    """
    from replication.evaluation import report

    recipes = report.named_runs(runs, profile)
    errors = report.evaluate(
        recipes, report.splits_of(split, list(recipes.values())), views, weights, device
    )
    if as_json:
        return print_json(errors.dump())
    print(errors.table())
