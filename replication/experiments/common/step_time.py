"""Section 3.2: "The two-GPU net takes slightly less time to train than the one-GPU net".

Measured only on two GPUs. On one device the two-tower net computes more than the half-size net, so
its time there says nothing about the claim.
"""

import time
from collections.abc import Callable, Sequence

import torch

from replication.nets.build import build
from replication.nets.towers import on_devices
from replication.recipe import Recipe
from replication.training.distributed.group import SingleProcess
from replication.training.parameter_groups import optimiser_for
from replication.training.process.numerics import numerics
from replication.training.step import Learner, update

STEPS, ROUNDS = 20, 6  # steps per timing, and rounds in which the two nets take turns


def on_two_gpus(recipe: Recipe) -> list[float]:
    """Return the step time of ``recipe``'s two-tower net over the one-GPU net's, per round.

    [] without two GPUs.
    """
    if torch.cuda.device_count() < 2:
        return []
    return ratios(recipe, ("cuda:0", "cuda:1"), STEPS, ROUNDS)


def scale(recipe: Recipe) -> str:
    """Describe what was timed."""
    first, second = (torch.cuda.get_device_name(device) for device in range(2))
    return (
        f"{recipe.precision}, {STEPS} steps per timing, {ROUNDS} rounds in turns, {first} and"
        f" {second}"
    )


def ratios(recipe: Recipe, devices: Sequence[str], steps: int, rounds: int) -> list[float]:
    """Return the step time of the two-tower net over the half-size net's, one ratio per round.

    The two-tower net has one tower on each device, the half-size net runs on the first.
    """
    two = _stepper(
        recipe.model_copy(update={"net": recipe.net.model_copy(update={"towers": 2})}), devices
    )
    one = _stepper(
        recipe.model_copy(update={"net": recipe.net.model_copy(update={"towers": 1})}), devices[:1]
    )
    with numerics(recipe):  # as the trainer computes
        for step in (two, one):
            _time(step, steps)  # not counted: allocates, and chooses kernels
        return [_time(two, steps) / _time(one, steps) for _ in range(rounds)]


def _stepper(recipe: Recipe, devices: Sequence[str]) -> Callable[[], object]:
    side = recipe.data.side
    net = (
        on_devices(build(recipe, recipe.net.classes), devices)
        .to(memory_format=torch.channels_last)
        .train()
    )
    learner = Learner(recipe, net, optimiser_for(recipe, net), SingleProcess())
    images = torch.randn(recipe.batch, 3, side, side).to(
        devices[0], memory_format=torch.channels_last
    )
    labels = torch.arange(recipe.batch, device=devices[0]) % recipe.net.classes
    return lambda: update(learner, images, labels)


def _time(step: Callable[[], object], steps: int) -> float:
    _wait()
    begun = time.perf_counter()
    for _ in range(steps):
        step()
    _wait()
    return time.perf_counter() - begun


def _wait() -> None:
    for device in range(torch.cuda.device_count()):
        torch.cuda.synchronize(device)
