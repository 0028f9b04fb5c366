"""Response normalisation: ours beside torch's ``LocalResponseNorm``, beside copying memory, and as
a share of the training step.

    replication bench lrn [--device cpu] [--batch 64] [--json]

Goals. CPU: both normalisations add at most 8% to the step. GPU: at least 0.7 of the rate at which
memory can be copied, counting 14 bytes an element (half precision: read x, write y and its scale;
read x, g and the scale, write dx), and 8 times torch's own speed."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import timing
from replication.nets.alexnet import LRN_ALPHA, LRN_BETA, LRN_K, LRN_SIZE, AlexNet, alexnet
from replication.nets.normalisation import LocalResponseNorm
from replication.recipe import AlexNetSpec
from replication.training.sgd import PaperSGD

ACCESSES = 7  # of memory for each element, forward and backward


def torchs(net: AlexNet) -> AlexNet:
    """``net`` with torch's own normalisation, which divides alpha by size, in the place of ours."""
    for tower in net.towers.values():
        for name, module in list(tower.named_children()):
            if isinstance(module, LocalResponseNorm):
                setattr(
                    tower,
                    name,
                    nn.LocalResponseNorm(
                        module.size, module.alpha * module.size, module.beta, module.k
                    ),
                )
    return net


def training_step(
    net: nn.Module,
    batch: int,
    side: int,
    classes: int,
    device: torch.device,
    precision: torch.dtype,
) -> timing.Case:
    """A function that runs one training step of ``net`` on data that is already in memory."""
    net = net.to(device, memory_format=torch.channels_last).train()
    optimiser = PaperSGD(net.parameters(), 1e-6)
    images = 60 * torch.randn(batch, 3, side, side, device=device).contiguous(
        memory_format=torch.channels_last
    )
    labels = torch.randint(classes, (batch,), device=device)

    def step() -> None:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = F.cross_entropy(net(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def measure(device: torch.device, batch: int, width: float, count: int) -> dict[str, Any]:
    """Times and ratios, on the layer alone (conv1's output, both towers) and within the step."""
    precision = torch.float32 if device.type == "cpu" else torch.bfloat16
    maps = max(1, round(48 * width))
    x, g = (
        torch.randn(batch, maps, 55, 55, device=device, dtype=precision).contiguous(
            memory_format=torch.channels_last
        )
        for _ in "xg"
    )
    x = x.mul_(60).requires_grad_()

    def both_ways(layer: nn.Module) -> timing.Case:
        def case() -> None:
            for _ in range(2):  # towers
                x.grad = None
                layer(x).backward(g)

        return case

    target = torch.empty_like(x)

    def copies() -> None:
        for _ in range(2 * ACCESSES // 2):  # towers; a copy is two accesses
            target.copy_(x.detach())

    def whole(**changes: Any) -> AlexNet:
        return alexnet(AlexNetSpec(width=width, **changes))

    def step(net: AlexNet) -> timing.Case:
        return training_step(net, batch, 224, 1000, device, precision)

    cases = {
        "layer, ours": both_ways(LocalResponseNorm(LRN_SIZE, LRN_ALPHA, LRN_BETA, LRN_K)),
        "step, without": step(whole(lrn=False)),
        "layer, torch": both_ways(
            nn.LocalResponseNorm(LRN_SIZE, LRN_ALPHA * LRN_SIZE, LRN_BETA, LRN_K)
        ),
        "step, ours": step(whole()),
        "layer, copies of as many bytes": copies,
        "step, torch": step(torchs(whole())),
    }
    clock = timing.clock(device)
    seconds = timing.rounds(cases, count, device, clock)
    return {
        "benchmark": "lrn",
        "machine": timing.machine(device, clock),
        "settings": {
            "batch": batch,
            "width": width,
            "rounds": timing.completed(seconds),
            "precision": str(precision).removeprefix("torch."),
        },
        "seconds": {name: timing.spread(values) for name, values in seconds.items()},
        "busy seconds": timing.all_busy(cases, device),
        "ratios": {
            "torch over ours, layer": timing.ratio(seconds, "layer, torch", "layer, ours"),
            "copying over ours, layer": timing.ratio(
                seconds, "layer, copies of as many bytes", "layer, ours"
            ),
            "step with ours over without": timing.ratio(seconds, "step, ours", "step, without"),
            "step with torch's over without": timing.ratio(seconds, "step, torch", "step, without"),
        },
    }


if __name__ == "__main__":
    timing.main(__doc__.splitlines()[0], measure)
