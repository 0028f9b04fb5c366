"""The training loop: batch, loss, backward, the paper's update (section 5).

A run is a function of its recipe, its data and the number of threads. It can be stopped at any step and goes on from its last
checkpoint with bit-identical weights on a CPU: order and draws are functions of (seed, epoch), and the state holds the rest.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from replication.data.loader import Loader
from replication.errors import InputError
from replication.recipe import Recipe
from replication.training import checkpoint
from replication.training.allocator import keep_freed_memory
from replication.training.interrupt import Interrupt
from replication.training.sgd import PaperSGD

CHECKPOINT_SECONDS = 20.0  # between two checkpoints: what a kill can cost


@dataclass
class Progress:
    """Where a run stands: everything but the weights and velocities."""

    epoch: int = 0  # epochs that are complete
    step: int = 0  # minibatches done of the epoch in hand
    mistakes: int = 0  # of the epoch's minibatches so far, each counted before its update
    loss: float = 0.0  # sum over the epoch's minibatches so far
    seconds: float = 0.0  # of all sessions of this run
    ended: str = ""  # "", "epochs", "stop_error" or "diverged"
    history: list[dict[str, Any]] = field(default_factory=list)  # one row an epoch


@dataclass(frozen=True)
class Outcome:
    """A run that has ended."""

    net: nn.Module
    progress: Progress


def train(
    recipe: Recipe,
    net: nn.Module,
    loader: Loader,
    folder: Path,
    report: Callable[[str], None],
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Outcome:
    """Train ``net`` as ``recipe`` says, from the last checkpoint in ``folder`` if there is one.

    Raises KeyboardInterrupt after a checkpoint when SIGINT or SIGTERM came, and InputError when the checkpoint in ``folder``
    belongs to another recipe or other data.
    """
    keep_freed_memory()
    net.to(memory_format=torch.channels_last)
    optimiser = _optimiser(recipe, net)
    progress = _resume(recipe, net, optimiser, loader, folder, report)
    clock = time.monotonic() - progress.seconds
    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        progress.seconds = time.monotonic() - clock
        checkpoint.save(folder, progress.epoch * loader.steps + progress.step, _state(recipe, net, optimiser, loader, progress))
        saved = time.monotonic()

    with Interrupt() as interrupt:
        while not progress.ended:
            for batch in loader.epoch(progress.epoch, progress.step):
                logits = net(batch.images)
                loss = F.cross_entropy(logits, batch.labels)
                value = loss.item()
                if not math.isfinite(value):
                    progress.ended = "diverged"
                    break
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                progress.step += 1
                progress.loss += value
                progress.mistakes += mistakes(logits.detach(), batch.labels)
                if interrupt.requested or time.monotonic() - saved >= checkpoint_seconds:
                    save()
                if interrupt.requested:
                    raise KeyboardInterrupt
            else:
                _close_epoch(recipe, net, loader, progress)
                report(_line(recipe, progress, time.monotonic() - clock))
        save()
    return Outcome(net, progress)


def mistakes(logits: Tensor, labels: Tensor) -> int:
    """How many of N images are not given their label first: logits (N, K), labels (N,). A row with a NaN is a mistake."""
    return len(labels) - int((logits.argmax(dim=1) == labels).logical_and(logits.isfinite().all(dim=1)).sum())


@torch.inference_mode()
def error(net: nn.Module, loader: Loader) -> float:
    """Top-1 error over every image of ``loader``, a fraction."""
    was_training = net.training
    net.eval()
    wrong = sum(mistakes(net(batch.images), batch.labels) for batch in loader.once())
    net.train(was_training)
    return wrong / len(loader)


def _close_epoch(recipe: Recipe, net: nn.Module, loader: Loader, progress: Progress) -> None:
    seen = loader.steps * recipe.batch
    running = progress.mistakes / seen
    progress.epoch += 1
    progress.history.append(
        {
            "epoch": progress.epoch,
            "iterations": progress.epoch * loader.steps,
            "loss": progress.loss / loader.steps,
            "running_error": running,
            "exact_error": error(net, loader) if recipe.exact_error else None,
            "rate": recipe.update.rate,
        }
    )
    progress.step, progress.mistakes, progress.loss = 0, 0, 0.0
    if recipe.stop_error is not None and running <= recipe.stop_error:
        progress.ended = "stop_error"
    elif progress.epoch == recipe.epochs:
        progress.ended = "epochs"


def _optimiser(recipe: Recipe, net: nn.Module) -> PaperSGD:
    update = recipe.update
    weights = [p for name, p in net.named_parameters() if not name.endswith("bias")]
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    groups = [
        {"params": weights, "rate": update.rate, "weight_decay": update.weight_decay},
        {"params": biases, "rate": update.rate * update.bias_rate_factor, "weight_decay": 0.0},
    ]
    return PaperSGD(groups, update.rate, update.momentum)


def _state(recipe: Recipe, net: nn.Module, optimiser: PaperSGD, loader: Loader, progress: Progress) -> dict[str, Any]:
    return {
        "recipe": recipe.model_dump_json(),
        "data": loader.store.index.fingerprint,
        "classes": list(loader.store.index.classes),
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "progress": json.dumps(vars(progress)),
    }


def _resume(
    recipe: Recipe, net: nn.Module, optimiser: PaperSGD, loader: Loader, folder: Path, report: Callable[[str], None]
) -> Progress:
    state = checkpoint.load(folder, report)
    if state is None:
        return Progress()
    index = loader.store.index
    if Recipe.model_validate_json(state["recipe"]) != recipe:
        raise InputError(f"{folder}: the checkpoint there was made with another recipe; name another REPLICATION_RUNS folder")
    if state["data"] != index.fingerprint or state["classes"] != list(index.classes):
        raise InputError(f"{folder}: the checkpoint there was made on other images of {index.name}; move it away to start afresh")
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    progress = Progress(**json.loads(state["progress"]))
    report(f"resumed after epoch {progress.epoch}, step {progress.step}")
    return progress


def _line(recipe: Recipe, progress: Progress, seconds: float) -> str:
    row = progress.history[-1]
    exact = "" if row["exact_error"] is None else f", exact {100 * row['exact_error']:.2f}%"
    return (
        f"epoch {row['epoch']} of at most {recipe.epochs}: training error {100 * row['running_error']:.2f}%{exact}, "
        f"loss {row['loss']:.4f}, {seconds:.0f} s in all"
    )
