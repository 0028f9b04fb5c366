"""The training loop: batch, loss, backward, the paper's update (section 5).

A run is a function of its recipe, its data and the number of threads. It can be stopped at any step and goes on from its last
checkpoint with bit-identical weights on a CPU: order, draws and dropout masks are functions of (seed, epoch, step), and the state
holds the rest.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from replication.data.loader import Batch, Loader, Loaders
from replication.errors import InputError
from replication.nets.alexnet import seed_masks
from replication.recipe import Recipe
from replication.training import checkpoint, schedule
from replication.training.allocator import keep_freed_memory
from replication.training.interrupt import Interrupt
from replication.training.sgd import PaperSGD
from replication.training.weights import FILE, save_weights

CHECKPOINT_SECONDS = 20.0  # between two checkpoints: what a kill can cost


@dataclass
class Progress:
    """Where a run stands: everything but the weights and velocities."""

    epoch: int = 0  # epochs that are complete
    step: int = 0  # minibatches done of the epoch in hand
    mistakes: int = 0  # of the epoch's minibatches so far, each counted before its update
    loss: float = 0.0  # sum over the epoch's minibatches so far
    seconds: float = 0.0  # of all sessions of this run
    ended: str = ""  # "", "epochs", "stop_error", "plateau" or "diverged"
    history: list[dict[str, Any]] = field(default_factory=list)  # one row an epoch
    timings: list[dict[str, Any]] = field(default_factory=list)  # one row an epoch; kept apart, because they are never the same twice
    memory: schedule.Memory = field(default_factory=schedule.Memory)

    def dump(self) -> str:
        """As text, for the checkpoint."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Progress":
        """From ``dump``."""
        values = json.loads(text)
        return cls(**values | {"memory": schedule.Memory(**values["memory"])})


@dataclass(frozen=True)
class Outcome:
    """A run that has ended."""

    net: nn.Module
    progress: Progress


def train(
    recipe: Recipe,
    net: nn.Module,
    loaders: Loaders,
    folder: Path,
    report: Callable[[str], None],
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Outcome:
    """Train ``net`` as ``recipe`` says, from the last checkpoint in ``folder`` if there is one, and leave its weights there.

    Raises KeyboardInterrupt after a checkpoint when SIGINT or SIGTERM came, and InputError when the checkpoint in ``folder``
    belongs to another recipe or other data.
    """
    keep_freed_memory()
    net.to(memory_format=torch.channels_last)
    loader = loaders.training
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
            holds = schedule.now(recipe, progress.epoch, progress.memory)
            _set_rates(recipe, optimiser, holds)
            begun, first, waited = time.monotonic(), progress.step, loader.waited
            for batch in loader.epoch(progress.epoch, progress.step, holds.colour):
                value, wrong = _step(recipe, net, optimiser, batch, progress.epoch * loader.steps + progress.step)
                if not math.isfinite(value):
                    progress.ended = "diverged"
                    break
                progress.step += 1
                progress.loss += value
                progress.mistakes += wrong
                if interrupt.requested or time.monotonic() - saved >= checkpoint_seconds:
                    save()
                if interrupt.requested:
                    raise KeyboardInterrupt
            else:
                seconds, images = time.monotonic() - begun, (progress.step - first) * recipe.batch
                progress.timings.append(
                    {"epoch": progress.epoch + 1, "images": images, "seconds": seconds, "waited": loader.waited - waited}
                )
                _close_epoch(recipe, net, loaders, progress)
                report(_line(recipe, progress, time.monotonic() - clock))
        save()
        save_weights(folder / FILE, net.state_dict(), recipe, loader.classes, loader.fingerprint, progress.epoch)
    return Outcome(net, progress)


def _step(recipe: Recipe, net: nn.Module, optimiser: PaperSGD, batch: Batch, number: int) -> tuple[float, int]:
    """One update. Its loss and its mistakes, both before the update; a loss that is not finite updates nothing."""
    optimiser.zero_grad()
    total, wrong, size = 0.0, 0, recipe.batch // recipe.parts
    for part in range(recipe.parts):
        here = slice(part * size, (part + 1) * size)
        seed_masks(net, recipe.seed, number, here.start, recipe.batch)
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            logits = net(batch.images[here])
            loss = F.cross_entropy(logits, batch.labels[here])
        value = loss.item()
        if not math.isfinite(value):
            return value, 0
        (loss if recipe.parts == 1 else loss / recipe.parts).backward()
        total += value / recipe.parts
        wrong += mistakes(logits.detach(), batch.labels[here])
    optimiser.step()
    return total, wrong


def _set_rates(recipe: Recipe, optimiser: PaperSGD, holds: schedule.Now) -> None:
    update = recipe.update
    for group in optimiser.param_groups:
        factor = holds.biases if group["bias"] else holds.weights
        if group["layer"] == schedule.CONV1 and holds.conv1 is not None:
            factor = holds.conv1
        base = update.rate * update.bias_rate_factor if group["bias"] else update.rate
        group["rate"] = base * update.layer_rates.get(group["layer"], 1.0) * factor


def mistakes(logits: Tensor, labels: Tensor, k: int = 1) -> int:
    """How many of N images do not have their label among the first k: logits (N, K), labels (N,). A row with a NaN is a mistake."""
    hit = (logits.argmax(dim=1) == labels) if k == 1 else (logits.topk(min(k, logits.shape[1])).indices == labels[:, None]).any(1)
    return len(labels) - int(hit.logical_and(logits.isfinite().all(dim=1)).sum())


@torch.inference_mode()
def error(net: nn.Module, loader: Loader, k: int = 1) -> float:
    """Top-k error over every image of ``loader``, a fraction."""
    was_training = net.training
    net.eval()
    wrong = sum(mistakes(net(batch.images), batch.labels, k) for batch in loader.once())
    net.train(was_training)
    return wrong / len(loader)


def _close_epoch(recipe: Recipe, net: nn.Module, loaders: Loaders, progress: Progress) -> None:
    loader = loaders.training
    seen = loader.steps * recipe.batch
    running = progress.mistakes / seen
    rate = recipe.update.rate * schedule.now(recipe, progress.epoch, progress.memory).weights
    progress.epoch += 1
    row = {
        "epoch": progress.epoch,
        "iterations": progress.epoch * loader.steps,
        "loss": progress.loss / loader.steps,
        "running_error": running,
        "exact_error": error(net, loader) if recipe.exact_error else None,
        "rate": rate,
    }
    decision = ""
    if loaders.validation is not None:
        row["validation_error"] = error(net, loaders.validation)
        decision = schedule.decide(recipe, row["validation_error"], progress.memory)
        row["decision"] = decision
    progress.history.append(row)
    progress.step, progress.mistakes, progress.loss = 0, 0, 0.0
    if recipe.stop_error is not None and running <= recipe.stop_error:
        progress.ended = "stop_error"
    elif decision == "stop":
        progress.ended = "plateau"
    elif progress.epoch == recipe.epochs:
        progress.ended = "epochs"


def _optimiser(recipe: Recipe, net: nn.Module) -> PaperSGD:
    """Groups of parameters that share a rate: weights and biases, apart for each layer whose rate is set by itself."""
    update = recipe.update
    alone = {*update.layer_rates, *([schedule.CONV1] if recipe.schedule.kind == "timeline" else [])}
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {("", False): [], ("", True): []}
    found = set()
    for name, parameter in net.named_parameters():
        layer, kind = name.split(".")[-2:]
        found.add(layer)
        groups.setdefault((layer if layer in alone else "", kind == "bias"), []).append(parameter)
    if unknown := sorted(alone - found):
        raise InputError(f"update.layer_rates names {unknown[0]}, and the net has {', '.join(sorted(found))}")
    return PaperSGD(
        [
            {
                "params": parameters,
                "layer": layer,
                "bias": bias,
                "weight_decay": update.weight_decay if not bias or update.decay_biases else 0.0,
            }
            for (layer, bias), parameters in groups.items()
            if parameters
        ],
        update.rate,
        update.momentum,
    )


def _state(recipe: Recipe, net: nn.Module, optimiser: PaperSGD, loader: Loader, progress: Progress) -> dict[str, Any]:
    return {
        "recipe": recipe.model_dump_json(),
        "data": loader.fingerprint,
        "classes": list(loader.classes),
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "progress": progress.dump(),
    }


def _resume(
    recipe: Recipe, net: nn.Module, optimiser: PaperSGD, loader: Loader, folder: Path, report: Callable[[str], None]
) -> Progress:
    state = checkpoint.load(folder, report)
    if state is None:
        return Progress()
    if Recipe.model_validate_json(state["recipe"]) != recipe:
        raise InputError(f"{folder}: the checkpoint there was made with another recipe; name another REPLICATION_RUNS folder")
    if state["data"] != loader.fingerprint or state["classes"] != list(loader.classes):
        raise InputError(f"{folder}: the checkpoint there was made on other images of {loader.index.name}; move it away to start afresh")
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    progress = Progress.read(state["progress"])
    report(f"resumed after epoch {progress.epoch}, step {progress.step}")
    return progress


def _line(recipe: Recipe, progress: Progress, seconds: float) -> str:
    row = progress.history[-1]
    exact = "" if row["exact_error"] is None else f", exact {100 * row['exact_error']:.2f}%"
    if row.get("validation_error") is not None:
        exact += f", validation error {100 * row['validation_error']:.2f}%"
    return (
        f"epoch {row['epoch']} of at most {recipe.epochs}: training error {100 * row['running_error']:.2f}%{exact}, "
        f"loss {row['loss']:.4f}, {seconds:.0f} s in all"
    )
