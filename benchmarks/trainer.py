"""What the trainer costs beside a bare loop: the same net, batches and update, without checks,
counts, seeded masks or checkpoints.

    python -m benchmarks.trainer [--device cpu] [--batch 64] [--json]

Goals: at least 0.99 of the bare loop's rate, and at most 1% of the time spent waiting for images
where the loader alone is faster than the step. The images are the embedded
synthetic ones at 64, crops of 56, with flips and colour noise."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks import timing
from replication.data.loader import Batch, open_loaders
from replication.nets.build import build
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.training.parameter_groups import optimiser_for
from replication.training.process.numerics import numerics
from replication.training.trainer import train

IMAGES = 1_000
GPU_STEPS = 200  # at least; a GPU is through an epoch of so few images in some milliseconds


def recipe_for(device: torch.device, batch: int, width: float) -> Recipe:
    """The two-tower net, for one epoch or, on a GPU, for enough steps."""
    return Recipe(
        data=Data(name="synthetic", count=IMAGES, size=64, crop=56, augment=True, colour=0.1),
        net=AlexNetSpec(fidelity="source2012", side=56, width=width, init="same_variance"),
        update=Update(rate=0.001),
        batch=batch,
        epochs=1 if device.type == "cpu" else -(-GPU_STEPS * batch // IMAGES),
        precision="float32" if device.type == "cpu" else "bf16",
    )


def measure(device: torch.device, batch: int, width: float, count: int) -> dict[str, Any]:
    """Times and ratios of the epochs, and the share of them that the trainer waited for images."""
    recipe = recipe_for(device, batch, width)
    loaders = open_loaders(recipe, device)
    classes, shares = len(loaders.training.classes), []

    net = build(recipe, classes).to(device, memory_format=torch.channels_last).train()
    optimiser = optimiser_for(recipe, net)

    def batches() -> Iterator[Batch]:
        for epoch in range(recipe.epochs):
            yield from loaders.training.epoch(epoch)

    def bare() -> None:
        with numerics(recipe):
            for images, labels, _ in batches():
                optimiser.zero_grad()
                with torch.autocast(
                    device.type, torch.bfloat16, enabled=recipe.precision == "bf16"
                ):
                    loss = F.cross_entropy(net(images), labels)
                loss.backward()
                optimiser.step()

    def trained() -> None:
        with tempfile.TemporaryDirectory() as folder:
            outcome = train(
                recipe, build(recipe, classes).to(device), loaders, Path(folder), lambda line: None
            )
        timings = outcome.progress.timings
        spent = sum(row["seconds"] for row in timings)
        shares.append(sum(row["waited"] for row in timings) / spent)
        epochs.append(spent)

    epochs: list[float] = []
    seconds = timing.rounds(
        {"bare loop": bare, "trainer, with its net and checkpoint": trained}, count, device
    )
    # of each round's turns the fastest, as for the other cases
    timed = epochs[-len(seconds["bare loop"]) * timing.TURNS :]
    seconds["trainer, the epoch alone"] = [
        min(timed[i : i + timing.TURNS]) for i in range(0, len(timed), timing.TURNS)
    ]
    loaders.close()
    return {
        "benchmark": "trainer",
        "machine": timing.machine(device),
        "settings": {
            "batch": batch,
            "width": width,
            "rounds": timing.completed(seconds),
            "images": IMAGES,
            "precision": recipe.precision,
        },
        "seconds": {name: timing.spread(values) for name, values in seconds.items()},
        "ratios": {
            "rate of the trainer over the bare loop's": timing.ratio(
                seconds, "bare loop", "trainer, the epoch alone"
            ),
            "share of the epoch waiting for images": timing.spread(shares[1:]),
        },
    }


if __name__ == "__main__":
    timing.main(__doc__.splitlines()[0], measure)
