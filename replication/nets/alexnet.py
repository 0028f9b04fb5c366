"""The net of section 3: five convolutional and three fully-connected layers, spread over two towers
(Figure 2).

Each of the paper's GPUs is a ``Tower`` module with half of the maps and units of every layer.
Towers read each other's activations only into conv3, fc6, fc7 and fc8 (and conv6, where there is
one); everything between two such crossings is a *stage* that a tower computes alone, its
normalisation included. ``TowerNet`` runs the stages and leaves each crossing to an exchange, so the
same towers run on one device, on two, or on two ranks (``nets.towers``), under the same parameter
names: ``towers.0.conv1.weight``.

Where the paper and the released source of 2012 differ, ``fidelity`` says which of them is built
(facts-2012, sections 1 and 8)."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from replication.base.errors import InputError
from replication.nets.cifar import ACTIVATIONS
from replication.nets.layers import CrossMapNorm, SameMapNorm
from replication.recipe import AlexNet

LRN_SIZE, LRN_ALPHA, LRN_BETA, LRN_K = 5, 1e-4, 0.75, 2.0  # section 3.3
SOURCE_LRN_ALPHA = LRN_ALPHA / 5  # the released parser divides scale by size
CNORM_SIZE, CNORM_ALPHA, CNORM_BETA, CNORM_K = 5, 1e-3 / 25, 0.75, 1.0  # layers-145.cfg, cnorm2
KEEP = 0.5  # section 4.2
STD = 0.01  # section 5, of all initial weights
SOURCE_STD = 0.03  # layer-params-145-2010.cfg, in conv3, conv4, conv5 (and conv6 of net 146)

# Inputs of one unit of each layer in the paper's two-tower net, for ``init: same_variance`` (conv6
# as in net 146)
FAN_IN = {
    "conv1": 363,
    "conv2": 1200,
    "conv3": 2304,
    "conv4": 1728,
    "conv5": 1728,
    "conv6": 2304,
    "fc6": 9216,
    "fc7": 4096,
    "fc8": 4096,
}


class Stem(NamedTuple):
    """What the first layer does to the image, and the paddings that keep the sizes when pooling
    does not overlap (net 147).
    """

    kernel: int
    stride: int
    padding: int
    loose_conv2: int
    loose_conv5: int


STEMS = {
    224: Stem(11, 4, 0, loose_conv2=1, loose_conv5=0),  # 55, 27, 13, 6
    56: Stem(5, 2, 0, loose_conv2=1, loose_conv5=1),  # 27, 13, 6, 3
    24: Stem(5, 1, 2, loose_conv2=2, loose_conv5=1),  # 24, 12, 6, 3
}

NAMED = {
    "alexnet": AlexNet(),
    "alexnet-2012": AlexNet(fidelity="source2012"),  # net 145
    "alexnet-one-gpu": AlexNet(towers=1),  # net 145-half
    "alexnet-6conv": AlexNet(sixth_conv=True),  # net 146
}


def ceil_size(side: int, kernel: int, stride: int, padding: int = 0) -> int:
    """Outputs along one side: the 2012 code rounds up, and windows that pass the edge see zeros
    (or, in a pool, nothing) there.
    """
    return 1 + -(-(side + 2 * padding - kernel) // stride)


def conv1_margin(spec: AlexNet) -> int:
    """Zero rows and columns that ceil sizing adds at the bottom and the right of the image: 3 for
    224.
    """
    stem = STEMS[spec.side]
    outputs = ceil_size(spec.side, stem.kernel, stem.stride, stem.padding)
    return (outputs - 1) * stem.stride + stem.kernel - spec.side - 2 * stem.padding


class Dropout(nn.Module):
    """Section 4.2: while training, zero each unit with probability 1/2; when testing, multiply
    every unit by 1/2.

    ``seed`` None: masks come from torch's generator. A number: they are a function of it alone, so
    that a mask does not depend on where its tower runs or on what was drawn before (see
    ``seed_masks``)."""

    seed: int | None = None
    # of a minibatch of ``total`` images, the next forward pass sees those from ``first`` on; 0: it
    # sees all
    first, total = 0, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x * KEEP
        generator = None if self.seed is None else torch.Generator(x.device).manual_seed(self.seed)
        uniform = torch.rand(
            (self.total or len(x), *x.shape[1:]), generator=generator, device=x.device
        )
        return x * (uniform[self.first : self.first + len(x)] < KEEP)


def seed_masks(net: nn.Module, seed: int, step: int, first: int = 0, total: int = 0) -> None:
    """Make every dropout mask of the next forward pass a function of (seed, step), of the layer and
    of the image's place in the minibatch.

    A pass that sees only part of the minibatch, one of several parts or a data-parallel copy's
    share, says where its part begins (``first``) in how many images (``total``): the masks are then
    those of one pass over all of them."""
    for name, module in net.named_modules():
        if isinstance(module, Dropout):
            module.seed = _mix([seed, step, *name.encode()])
            module.first, module.total = first, total


def _mix(words: list[int]) -> int:
    """63 bits that depend on every word and on their order (the FNV-1a hash, over 64-bit words)."""
    value = 0xCBF29CE484222325
    for word in words:
        value = ((value ^ (word & (2**64 - 1))) * 0x100000001B3) % 2**64
        value ^= value >> 32
    return value >> 1


class Tower(nn.Module):
    """One GPU's share of the net. ``forward(x, stage)`` computes the layers between two crossings.

    ``stages`` lists the layers' names. In a two-tower net fc8 is one undivided layer, on tower 0 as
    in the released source."""

    def __init__(self, spec: AlexNet, index: int) -> None:
        super().__init__()
        self.spec, self.index = spec, index
        self.stages: list[list[str]] = [[]]
        self._maps, self._side = 3, spec.side
        stem, source, loose = (
            STEMS[spec.side],
            spec.fidelity == "source2012",
            spec.pooling == "non_overlapping",
        )

        self._conv(
            "conv1", 48, stem.kernel, stem.padding, stride=stem.stride, activation=not source
        )
        self._norm("rnorm1")
        self._pool("pool1")
        if source:  # no ReLU before the normalisation, which therefore sees signed values
            self._activation("pool1")
        self._conv("conv2", 128, 5, stem.loose_conv2 if loose else 2, bias=1)
        self._norm("rnorm2")
        if source and spec.lrn:  # normalisation inside each map, which the paper does not mention
            self._add("cnorm2", SameMapNorm(CNORM_SIZE, CNORM_ALPHA, CNORM_BETA, CNORM_K))
        self._pool("pool2")

        self._cross()
        std = SOURCE_STD if source else STD
        self._conv("conv3", 192, 3, 1, std=std)
        self._conv("conv4", 192, 3, 1, std=std, bias=1)
        self._conv(
            "conv5", 256 // spec.towers, 3, stem.loose_conv5 if loose else 1, std=std, bias=1
        )
        self._pool("pool3")
        if spec.sixth_conv:
            self._cross()
            self._conv("conv6", 256 // spec.towers, 3, 1, std=std, bias=1)

        self._cross()
        self._add("flatten", nn.Flatten())
        self._maps *= self._side**2
        self._full("fc6", "drop6")
        self._cross()
        self._full("fc7", "drop7")
        self._cross()
        if index == 0:
            self._weighted("fc8", nn.Linear(self._maps, spec.classes), STD, 0)

    @property
    def device(self) -> torch.device:
        """Where this tower computes."""
        return next(self.parameters()).device

    @property
    def last_stage(self) -> int:
        """The number of the stage that is fc8 alone; it is empty in tower 1."""
        return len(self.stages) - 1

    def forward(self, x: Tensor, stage: int) -> Tensor:
        """(N, maps, H, W) or (N, units) of this stage's input -> its output."""
        for name in self.stages[stage]:
            x = self.get_submodule(name)(x)
        return x

    def _scaled(self, count: int) -> int:
        return max(1, round(count * self.spec.width))

    def _add(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)
        self.stages[-1].append(name)

    def _weighted(self, name: str, module: nn.Conv2d | nn.Linear, std: float, bias: float) -> None:
        """Add a layer with weights, and note what they start as."""
        if self.spec.init == "same_variance":
            std *= math.sqrt(FAN_IN[name] / module.weight[0].numel())
        module.initial = Initial(std, bias if self.spec.ones else 0)
        self._add(name, module)

    def _cross(self) -> None:
        """From here on the layers read both towers."""
        self.stages.append([])
        self._maps *= self.spec.towers

    def _conv(
        self,
        name: str,
        maps: int,
        kernel: int,
        padding: int,
        stride: int = 1,
        std: float = STD,
        bias: float = 0,
        activation: bool = True,
    ) -> None:
        if name == self.spec.removed:
            return
        maps = self._scaled(maps)
        self._weighted(name, nn.Conv2d(self._maps, maps, kernel, stride, padding), std, bias)
        self._maps, self._side = maps, ceil_size(self._side, kernel, stride, padding)
        if activation:
            self._activation(name)

    def _activation(self, after: str) -> None:
        self._add(f"{after}_{self.spec.activation}", ACTIVATIONS[self.spec.activation]())

    def _norm(self, name: str) -> None:
        if self.spec.lrn:
            alpha = SOURCE_LRN_ALPHA if self.spec.fidelity == "source2012" else LRN_ALPHA
            self._add(name, CrossMapNorm(LRN_SIZE, alpha, LRN_BETA, LRN_K))

    def _pool(self, name: str) -> None:
        window = 3 if self.spec.pooling == "overlapping" else 2
        self._add(name, nn.MaxPool2d(window, 2, ceil_mode=True))
        self._side = ceil_size(self._side, window, 2)

    def _full(self, name: str, dropout: str) -> None:
        units = self._scaled(4096 // self.spec.towers)
        self._weighted(name, nn.Linear(self._maps, units), STD, 1)
        self._activation(name)
        if self.spec.dropout:
            self._add(dropout, Dropout())
        self._maps = units


class Initial(NamedTuple):
    std: float
    bias: float


# the activations of the towers that this process holds, by the tower's number
Parts = dict[int, Tensor]


class OneDevice:
    """The crossings where all towers share a device. What a tower reads is tower 0's maps, then
    tower 1's.
    """

    def cross(self, parts: Parts) -> Parts:
        """What each tower has -> what each reads."""
        return dict.fromkeys(parts, self._both(parts))

    def output(self, parts: Parts, head: Callable[[Tensor], Tensor]) -> Tensor:
        """The logits: ``head`` is tower 0's fc8, which reads both towers."""
        return head(self._both(parts))

    def _both(self, parts: Parts) -> Tensor:
        return torch.cat([parts[0], parts[1]], 1) if len(parts) == 2 else parts[0]


class TowerNet(nn.Module):
    """Images (N, 3, side, side), 0-255 minus the mean -> logits (N, classes).

    ``towers`` holds the towers of this process by number, and ``exchange`` brings their activations
    together at a crossing."""

    def __init__(self, spec: AlexNet, towers: dict[int, Tower], exchange: Any = None) -> None:
        super().__init__()
        self.spec = spec
        self.exchange = exchange or OneDevice()
        self.towers = nn.ModuleDict({str(index): tower for index, tower in towers.items()})

    def forward(self, images: Tensor) -> Tensor:
        self._check(images)
        margin = conv1_margin(self.spec)
        images = F.pad(images.contiguous(memory_format=torch.channels_last), (0, margin, 0, margin))
        towers = {int(index): tower for index, tower in self.towers.items()}
        parts = {
            index: tower(images.to(tower.device, non_blocking=True), 0)
            for index, tower in towers.items()
        }
        last = next(iter(towers.values())).last_stage
        for stage in range(1, last):
            read = self.exchange.cross(parts)
            parts = {index: tower(read[index], stage) for index, tower in towers.items()}
        return self.exchange.output(parts, lambda x: towers[0](x, last))

    def _check(self, images: Tensor) -> None:
        side = self.spec.side
        if images.ndim == 4 and images.shape[1:] == (3, side, side):
            return
        reason = ""
        if side == 224 and images.ndim == 4:
            reason = (
                " (conv1 adds 3 rows and columns of zeros to 224 and gives 55 x 55, as in the"
                " paper)"
            )
        given = tuple(images.shape)
        raise InputError(
            f"the net was given images of shape {given} and takes (N, 3, {side}, {side}){reason};"
            f" crop to {side} x {side}"
        )


def alexnet(spec: AlexNet, generator: torch.Generator | None = None) -> TowerNet:
    """The net ``spec`` describes, on the CPU, with fresh weights N(0, std^2) from ``generator`` and
    the constant biases of section 5.
    """
    net = TowerNet(spec, {index: Tower(spec, index) for index in range(spec.towers)})
    initialise(net, generator)
    return net


@torch.no_grad()
def initialise(net: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draw every weight of ``net`` again, tower by tower and layer by layer, and set the biases."""
    for module in net.modules():
        if isinstance(initial := getattr(module, "initial", None), Initial):
            module.weight.normal_(0, initial.std, generator=generator)
            module.bias.fill_(initial.bias)
