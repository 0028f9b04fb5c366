"""Section 4.2: the distance between halving every unit and averaging the masked nets.

The paper calls halving a reasonable approximation to the geometric mean of the predictive
distributions of all the nets that dropout samples. Here M masks are drawn for each image, and the
halved net's softmax is compared with the renormalised geometric mean, and the arithmetic mean, of
the M softmaxes. For one hidden layer under a softmax the geometric mean over *all* masks equals the
halved net exactly; the second hidden layer makes it approximate.

Two numbers give a distance its scale: the *floor*, between the means of two independent halves of
the masks, which is twice the sampling error of the mean over all of them; and the distance of a
*single* masked net from the halved net.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from replication.base.errors import InputError
from replication.base.text import counted
from replication.nets.alexnet import AlexNet
from replication.nets.crossings import Parts
from replication.nets.dropout import Dropout, seed_masks

MASKS = 1000
IMAGES = 64  # at a time through the convolutional layers
ROWS = 8192  # rows of fully-connected activations at a time: 128 MB per layer at the paper's width


class Distance(NamedTuple):
    """The distance between two distributions over the classes, mean over images."""

    total_variation: float  # half the sum of absolute differences, 0 to 1
    kl: float  # Kullback-Leibler divergence, nats, from the first distribution to the second


class DropoutAverage(NamedTuple):
    images: int
    masks: int  # for each image
    geometric: Distance  # from the renormalised geometric mean of the masked nets to the halved net
    arithmetic: Distance  # from their arithmetic mean to the halved net
    geometric_floor: Distance  # between the geometric means of two independent halves of the masks
    arithmetic_floor: Distance
    single: Distance  # from one masked net to the halved net, mean over masks


def distances(net: nn.Module, images: Tensor, masks: int = MASKS, seed: int = 0) -> DropoutAverage:
    """Return the distances for ``net`` on images (N, 3, side, side); ``masks`` is even.

    Raises InputError for a net without dropout.
    """
    dropouts = [module for module in net.modules() if isinstance(module, Dropout)]
    if not isinstance(net, AlexNet) or not dropouts:
        raise InputError("the net has no dropout: nothing to average")
    was_training = net.training
    before = [(module.seed, module.first, module.total) for module in dropouts]
    try:
        with torch.inference_mode():
            halved, hidden = halved_logits(net, images)
            if not halved.isfinite().all():
                raise InputError(
                    "the net's outputs are not finite, so its training diverged: choose another run"
                )
            return average_distances(halved, sampled_logits(net, hidden, masks, seed), masks)
    finally:
        net.train(was_training)
        for module, settings in zip(dropouts, before, strict=True):
            module.seed, module.first, module.total = settings


def average_distances(halved: Tensor, sampled: Iterable[Tensor], masks: int) -> DropoutAverage:
    """Compare logits (N, K) of the halved net with those of ``masks`` masked nets.

    ``sampled`` yields the latter as (m, N, K) pieces. The mean of log-softmax differs from the mean
    of the logits by a constant for each image, so the renormalised geometric mean of the softmaxes
    is the softmax of the mean logits. Sums are float64."""
    if masks < 2 or masks % 2:
        raise InputError(f"{counted(masks, 'mask')} do not make two halves: use an even number")
    reference = halved.double().log_softmax(1)  # (N, K)
    # sums over each half of the masks
    logits = torch.zeros(2, *halved.shape, dtype=torch.float64, device=halved.device)
    softmaxes = torch.zeros_like(logits)
    single, done = torch.zeros(2, dtype=torch.float64), 0
    for piece in sampled:
        single += torch.tensor(
            _distance(piece.double().log_softmax(2), reference), dtype=torch.float64
        ) * len(piece)
        for half, rows in enumerate(
            (slice(0, max(0, masks // 2 - done)), slice(max(0, masks // 2 - done), None))
        ):
            logits[half] += piece[rows].sum(0, dtype=torch.float64)
            softmaxes[half] += piece[rows].double().softmax(2).sum(0)
        done += len(piece)
    if done != masks:
        raise ValueError(f"{done} masked nets instead of {masks}")
    geometric = (logits.sum(0) / masks).log_softmax(1)
    arithmetic = (softmaxes.sum(0) / masks).log()
    halves, means = (logits / (masks // 2)).log_softmax(2), (softmaxes / (masks // 2)).log()
    return DropoutAverage(
        len(halved),
        masks,
        _distance(geometric, reference),
        _distance(arithmetic, reference),
        _distance(halves[0], halves[1]),
        _distance(means[0], means[1]),
        Distance(*(single / masks).tolist()),
    )


def halved_logits(net: AlexNet, images: Tensor) -> tuple[Tensor, Parts]:
    """Return the logits (N, K) at test time, and each tower's fc6 activations (N, units)."""
    net.eval()
    read: dict[int, list[Tensor]] = {int(index): [] for index in net.towers}
    handles = [
        tower.get_submodule("drop6").register_forward_pre_hook(
            lambda module, given, index=int(index): read[index].append(given[0])
        )
        for index, tower in net.towers.items()
    ]
    try:
        logits = torch.cat([net(part) for part in images.split(IMAGES)])
    finally:
        for handle in handles:
            handle.remove()
    return logits, {index: torch.cat(found) for index, found in read.items()}


def sampled_logits(net: AlexNet, hidden: Parts, masks: int, seed: int = 0) -> Iterator[Tensor]:
    """Yield the logits of ``masks`` masked nets in pieces (m, N, K).

    Every image has masks of its own; piece p is seeded with (seed, p). ``hidden`` is fc6 of each
    tower as ``halved_logits`` returns it: nothing below it depends on a mask, so only fc7 and fc8
    are computed. The net's dropout is left in training mode and seeded."""
    towers = {int(index): tower for index, tower in net.towers.items()}
    last = next(iter(towers.values())).last_stage
    for module in net.modules():
        if isinstance(module, Dropout):
            module.train()
    images = len(next(iter(hidden.values())))
    each = max(1, ROWS // images)
    for piece, start in enumerate(range(0, masks, each)):
        count = min(each, masks - start)
        seed_masks(net, seed, piece)
        # (m * N, units)
        parts = {
            index: tower.get_submodule("drop6")(hidden[index].repeat(count, 1))
            for index, tower in towers.items()
        }
        read = net.exchange.cross(parts)
        # fc7, drop7
        parts = {index: tower(read[index], last - 1) for index, tower in towers.items()}
        yield net.exchange.output(parts, lambda x: towers[0](x, last)).unflatten(0, (count, images))


def _distance(first: Tensor, second: Tensor) -> Distance:
    """Return the mean over all rows of log-probabilities (..., N, K) and (N, K)."""
    p = first.exp()
    variation = (p - second.exp()).abs().sum(-1).mean() / 2
    kl = torch.where(p > 0, p * (first - second), 0.0).sum(-1).mean()
    return Distance(float(variation), float(kl))
