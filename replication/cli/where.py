"""``replication where``: find the code behind a sentence of the paper."""

from typing import Annotated

import typer

from replication.cli.output import Json, print_json


def where(
    words: Annotated[
        list[str],
        typer.Argument(help="Words of the paper, such as PCA, or a section, such as 4.1."),
    ],
    as_json: Json = False,
) -> None:
    """Find a sentence of the paper, and print its code, tests and claims."""
    from replication.paper import index

    sentences = index.find(" ".join(words))
    if as_json:
        return print_json(
            [
                one.model_dump() | {"places": [str(index.place(name)) for name in one.symbols]}
                for one in sentences
            ]
        )
    for one in sentences:
        print(f'{one.section}  "{one.words}"')
        for symbol in one.symbols:
            print(f"  code   {index.place(symbol)}  {symbol.rpartition('.')[2]}")
        for test in one.tests:
            print(f"  test   {test}")
        for claim in one.claims:
            print(f"  claim  {claim}")
