"""One step of section 5: batch, loss, backward, update."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from replication.data.loader import Batch
from replication.nets.dropout import seed_masks
from replication.recipe import Recipe
from replication.training.distributed.group import SingleProcess
from replication.training.sgd import PaperSGD


@dataclass
class Learner:
    """A net, its update rule, and the processes that train it together."""

    recipe: Recipe
    net: nn.Module
    optimiser: PaperSGD
    group: SingleProcess
    recorded: Any = None  # the step as a CUDA graph (``captured``), once there is one


class StepResult(NamedTuple):
    """A minibatch's loss and mistakes, both before the update."""

    loss: float  # mean over the copies, each over its images that could be read
    mistakes: int
    left_out: int = 0  # images of all copies that could not be read
    # ids of the images behind a loss that is not finite, as far as this process sees them
    broken: tuple[int, ...] = ()


def train_step(learner: Learner, batch: Batch, step: int) -> StepResult:
    """Update the net on ``batch``, minibatch number ``step`` of the run.

    A minibatch may be divided into parts, one pass each, to save memory. A part may be smaller, or
    empty, if images of it could not be read. A loss that is not finite updates nothing."""
    recipe, net, group = learner.recipe, learner.net, learner.group
    share = recipe.batch // group.copies  # images of this process's copy of the net
    size = share // recipe.parts
    learner.optimiser.zero_grad()
    mean, wrong, shown = 0.0, 0, 0
    for first in range(0, share, size):
        images, labels = batch.images[first : first + size], batch.labels[first : first + size]
        seed_masks(net, recipe.seed, step, group.copy * share + first, recipe.batch)
        if len(labels):
            # one over this part's share in the mean: the number of parts, if no image was left out
            over = len(batch.labels) / len(labels)
            loss, missed, logits = gradients(learner, images, labels, over)
        else:
            loss = missed = torch.zeros((), device=labels.device)
            logits = images.new_zeros(0, 1)
        part_loss, part_wrong, part_shown = _read(loss, missed, len(labels), group)
        if not math.isfinite(part_loss):
            broken = _broken(logits, batch.ids[first : first + size])
            return StepResult(part_loss, 0, broken=broken)
        mean += part_loss
        wrong += part_wrong
        shown += part_shown
    group.average_gradients(net)
    learner.optimiser.step()
    return StepResult(mean, wrong, recipe.batch - shown)


def update(learner: Learner, images: Tensor, labels: Tensor) -> Tensor:
    """Update the net on one minibatch in one pass, and return its loss: a step for timings.

    Of one process. Dropout's masks are not those of a run."""
    learner.optimiser.zero_grad()
    loss, *_ = gradients(learner, images, labels)
    learner.optimiser.step()
    return loss


def gradients(
    learner: Learner, images: Tensor, labels: Tensor, over: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Add the gradients of the images' part of the mean loss; return it, mistakes and logits.

    It is the mean over these images, divided by ``over``."""
    recipe = learner.recipe
    with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
        logits = forward(learner, images)
        loss = F.cross_entropy(logits, labels)
    loss = loss if over == 1 else loss / over
    loss.backward()
    logits = logits.detach()
    return loss.detach(), mistakes(logits, labels), logits


def forward(learner: Learner, images: Tensor) -> Tensor:
    """Return the logits, of the weights' bf16 copies if the update rule keeps any."""
    net, half = learner.net, learner.optimiser.half
    if not half:
        return net(images)
    return functional_call(net, {name: half[w] for name, w in net.named_parameters()}, (images,))


def mistakes(logits: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """Return how many of N labels are not surely among the ``k`` largest of their row.

    ``logits`` are (N, K), ``labels`` (N,). A class that ties with the label counts as ahead of it,
    and a row that is not finite is a mistake, as in ``evaluation.metrics``."""
    rank = (logits >= logits.gather(1, labels[:, None])).sum(1)  # the label itself is counted
    return ((rank > k) | ~logits.isfinite().all(1)).sum()


def _read(loss: Tensor, wrong: Tensor, images: int, group: SingleProcess) -> tuple[float, int, int]:
    """Return the mean loss, all mistakes and all images of the copies as numbers.

    A GPU waits for the host only here, once per pass, with the backward pass already queued."""
    total, *counts = group.all_sum(
        *torch.stack([loss.double(), wrong.double()]).tolist(), images, in_loop=True
    )
    missed, shown = (round(count * group.copies / group.size) for count in counts)
    return total / group.size, missed, shown


def _broken(logits: Tensor, ids: Tensor) -> tuple[int, ...]:
    """Return the ids of images whose outputs are not finite; of all if none can be singled out."""
    bad = ~logits.isfinite().all(1)
    return tuple(ids[bad.to(ids.device)].tolist() or ids.tolist())
