"""``replication bench``: compare the speed of our code with that of other libraries."""

from typing import Annotated, Literal

import typer

from replication.base.types import Device
from replication.cli.output import Json


def bench(
    name: Annotated[
        Literal["lrn", "step", "loader", "trainer"], typer.Argument(help="The part to time.")
    ],
    device: Annotated[
        Device | None,
        typer.Option(help="cpu or cuda; default: cuda if there is one."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in a minibatch.")] = 64,
    width: Annotated[
        float,
        typer.Option(min=0.01, help="Width of the net; use less than 1 only to try the benchmark."),
    ] = 1.0,
    rounds: Annotated[
        int,
        typer.Option(
            min=1, help="Repetitions, for at most two minutes; ratios are given with their range."
        ),
    ] = 5,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; default: one per core.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Time one part beside other libraries, and print the ratios with their spread."""
    import torch

    from replication.base.benchmarks import benchmark
    from replication.base.devices import best_device, check_device

    timing, measure = benchmark("timing"), benchmark(name).measure
    if threads is not None:
        torch.set_num_threads(threads)
    where = check_device(device or best_device())
    timing.show(measure(where, batch, width, rounds), as_json, rounds)
