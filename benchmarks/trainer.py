"""What the trainer costs beside a bare loop: the same net, batches and update, without checks,
counts, seeded masks or checkpoints.

    python -m benchmarks.trainer [--device cpu] [--batch 64] [--json]

Goals (design, section 6): at least 0.97 of the bare loop's rate, and less than 3% of the time spent
waiting for images where the loader alone is faster than the step. The images are the embedded
synthetic ones at 64, crops of 56, with flips and colour noise."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks import timing
from replication.data.loader import open_loaders
from replication.nets.build import build
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.training.process.numerics import numerics
from replication.training.state import optimiser_for
from replication.training.trainer import train

IMAGES = 1_000


def recipe_for(device: torch.device, batch: int, width: float) -> Recipe:
    """One epoch of the two-tower net."""
    return Recipe(
        data=Data(name="synthetic", count=IMAGES, size=64, crop=56, augment=True, colour=0.1),
        net=AlexNetSpec(fidelity="source2012", side=56, width=width, init="same_variance"),
        update=Update(rate=0.001),
        batch=batch,
        epochs=1,
        precision="float32" if device.type == "cpu" else "bf16",
    )


def measure(device: torch.device, batch: int, width: float, count: int) -> dict[str, Any]:
    """Times and ratios of one epoch, and the share of it that the trainer waited for images."""
    recipe = recipe_for(device, batch, width)
    loaders = open_loaders(recipe, device)
    classes, shares = len(loaders.training.classes), []

    net = build(recipe, classes).to(device, memory_format=torch.channels_last).train()
    optimiser = optimiser_for(recipe, net)

    def bare() -> None:
        with numerics(recipe):
            for images, labels, _ in loaders.training.epoch(0):
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
        last = outcome.progress.timings[-1]
        shares.append(last["waited"] / last["seconds"])
        epochs.append(last["seconds"])

    epochs: list[float] = []
    seconds = timing.rounds(
        {"bare loop": bare, "trainer, with its net and checkpoint": trained}, count, device
    )
    timed = epochs[1:]  # of each round's turns the fastest, as for the other cases
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
            "rounds": count,
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
