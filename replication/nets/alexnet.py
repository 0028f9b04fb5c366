"""AlexNet (section 3): five convolutional, three fully-connected layers, two towers (Figure 2).

Each of the paper's two GPUs is a ``Tower``, with half of the maps and units of every layer. The
towers read each other's activations only into conv3, fc6, fc7 and fc8 (and conv6, if the net has
one). The layers between two such crossings are a *stage*, which a tower computes alone.
``AlexNet.forward`` runs the stages and leaves the crossings to an exchange (``nets.crossings``), so
the same towers run on one device, on two devices or on two ranks. Parameter names do not depend on
the placement: ``towers.0.conv1.weight``.

``nets.reference`` has the same net as one function. Where the paper and the source of 2012 differ,
``AlexNetSpec.fidelity`` says which is built."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from replication.base.errors import InputError
from replication.nets import fused_layers
from replication.nets.activations import ACTIVATIONS
from replication.nets.crossings import Devices, OneDevice, Parts, copy_to
from replication.nets.dropout import Dropout
from replication.nets.first_convolution import FirstConv2d
from replication.nets.normalisation import Gain, LocalResponseNorm, SameMapNorm
from replication.recipe import AlexNetSpec

LRN_SIZE, LRN_ALPHA, LRN_BETA, LRN_K = 5, 1e-4, 0.75, 2.0  # section 3.3
SOURCE_LRN_ALPHA = LRN_ALPHA / 5  # the released parser divides scale by size
CNORM_SIZE, CNORM_ALPHA, CNORM_BETA, CNORM_K = 5, 1e-3 / 25, 0.75, 1.0  # layers-145.cfg, cnorm2
NORMS = ("rnorm1", "rnorm2", "cnorm2")  # in the net's order
STD = 0.01  # section 5, of all initial weights
SOURCE_STD = 0.03  # layer-params-145-2010.cfg, in conv3, conv4, conv5 (and conv6 of net 146)

# Inputs of one unit in each layer of the paper's two-tower net, for ``init: same_variance``; conv6
# as in net 146.
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
    """The first layer's geometry, and two paddings for pooling without overlap.

    The paddings keep the maps' sizes when pooling does not overlap, as in net 147."""

    kernel: int
    stride: int
    padding: int
    conv2_padding: int  # 2 where pooling overlaps
    conv5_padding: int  # 1 where pooling overlaps


STEMS = {
    224: Stem(11, 4, 0, conv2_padding=1, conv5_padding=0),  # 55, 27, 13, 6
    56: Stem(5, 2, 0, conv2_padding=1, conv5_padding=1),  # 27, 13, 6, 3
    24: Stem(5, 1, 2, conv2_padding=2, conv5_padding=1),  # 24, 12, 6, 3
}

NAMED = {
    "alexnet": AlexNetSpec(),
    "alexnet-2012": AlexNetSpec(fidelity="source2012"),  # net 145
    "alexnet-one-gpu": AlexNetSpec(towers=1),  # net 145-half
    "alexnet-6conv": AlexNetSpec(sixth_conv=True),  # net 146
}


def ceil_size(side: int, kernel: int, stride: int, padding: int = 0) -> int:
    """Return the number of outputs along one side, rounded up as in the 2012 code.

    A window that passes the edge sees zeros there; a pooling window is cut."""
    return 1 + -(-(side + 2 * padding - kernel) // stride)


def conv1_margin(spec: AlexNetSpec) -> int:
    """Return how many rows and columns of zeros conv1 adds at the bottom and the right.

    Rounding up needs 3 of them for an image of 224 x 224."""
    stem = STEMS[spec.side]
    outputs = ceil_size(spec.side, stem.kernel, stem.stride, stem.padding)
    return (outputs - 1) * stem.stride + stem.kernel - spec.side - 2 * stem.padding


class AlexNet(nn.Module):
    """Images (N, 3, side, side), 0-255 minus the mean -> logits (N, classes).

    ``towers`` has the towers of this process by number, all of ``spec``'s by default. ``exchange``
    brings their activations together at a crossing."""

    def __init__(
        self, spec: AlexNetSpec, towers: dict[int, "Tower"] | None = None, exchange: Any = None
    ) -> None:
        super().__init__()
        if towers is None:
            towers = {index: Tower(spec, index) for index in range(spec.towers)}
        self.spec = spec
        self.exchange = exchange or OneDevice()
        self.towers = nn.ModuleDict({str(index): tower for index, tower in towers.items()})

    def forward(self, images: Tensor) -> Tensor:
        self._check(images)
        margin = conv1_margin(self.spec)
        images = F.pad(images.contiguous(memory_format=torch.channels_last), (0, margin, 0, margin))
        towers = {int(index): tower for index, tower in self.towers.items()}
        last = next(iter(towers.values())).last_stage
        # conv1 and conv2: both towers see the image, and nothing of each other
        first = self._conv1_at_once(towers, images)
        parts = {
            index: tower(copy_to(tower.device, images), 0, first.get(index))
            for index, tower in towers.items()
        }
        # conv3 to conv5, (conv6,) fc6, fc7: each stage begins with a crossing
        for stage in range(1, last):
            read = self.exchange.cross(parts)
            parts = {index: tower(read[index], stage) for index, tower in towers.items()}
        # fc8, on tower 0
        return self.exchange.output(parts, lambda x: towers[0](x, last))

    def _conv1_at_once(self, towers: dict[int, "Tower"], images: Tensor) -> Parts:
        """Return conv1's output of both towers where one convolution computes both, else {}."""
        if len(towers) == 1 or isinstance(self.exchange, Devices):
            return {}
        if not fused_layers.applies(images):
            return {}
        return fused_layers.first_of_both({i: t.conv1 for i, t in towers.items()}, images)

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


class Tower(nn.Module):
    """One GPU's share of the net; ``forward(x, stage)`` computes the layers between two crossings.

    ``stages`` lists the layers' names. In a two-tower net fc8 is one undivided layer, on tower 0 as
    in the released source."""

    def __init__(self, spec: AlexNetSpec, index: int) -> None:
        super().__init__()
        self.spec, self.index = spec, index
        self.stages: list[list[str]] = [[]]
        self._maps = 3
        self._side: int = spec.side
        stem = STEMS[spec.side]
        late_relu = spec.takes_source("relu-place")
        pad2, pad5 = 2, 1  # conv2 and conv5 keep their input's size
        if spec.pooling == "non_overlapping":
            pad2, pad5 = stem.conv2_padding, stem.conv5_padding
        std = SOURCE_STD if spec.takes_source("spread") else STD
        # Footnote 2: the one-GPU net has half of the maps of conv1 to conv4, but all of the last
        # convolutional layer's maps and all fully-connected units.
        last_maps = 256 // spec.towers
        units = 4096 // spec.towers

        # Line ends give one tower's output in the paper's net, after the activation.
        self._conv("conv1", 48, *stem[:3], activation=not late_relu)  # 48 x 55 x 55
        self._norm("rnorm1")  # section 3.3
        self._pool("pool1")  # 48 x 27 x 27, section 3.4
        if late_relu:  # none before the normalisation, which therefore sees signed values
            self._activation("pool1")
        if spec.conv2_reads == "both":
            self._cross()
        self._conv("conv2", 128, 5, 1, pad2, bias=1)  # 128 x 27 x 27
        self._norm("rnorm2")
        if spec.takes_source("same-map-norm"):  # inside each map; the paper does not mention it
            self._norm("cnorm2")
        self._pool("pool2")  # 128 x 13 x 13

        self._cross()  # conv3 reads 256 x 13 x 13
        self._conv("conv3", 192, 3, 1, 1, std=std)  # 192 x 13 x 13
        self._conv("conv4", 192, 3, 1, 1, std=std, bias=1)  # 192 x 13 x 13, reads its own tower
        self._conv("conv5", last_maps, 3, 1, pad5, std=std, bias=1)  # 128 x 13 x 13, likewise
        self._pool("pool3")  # 128 x 6 x 6
        if spec.sixth_conv:  # section 6, the nets that were pre-trained on Fall 2011
            self._cross()
            self._conv("conv6", last_maps, 3, 1, 1, std=std, bias=1)  # 128 x 6 x 6

        self._cross()  # fc6 reads 256 x 6 x 6
        self._flatten()  # 9216
        self._full("fc6", units)  # 2048
        self._dropout("drop6")  # section 4.2
        self._cross()  # fc7 reads 4096
        self._full("fc7", units)  # 2048
        self._dropout("drop7")
        self._cross()  # fc8 reads 4096
        if index == 0:
            self._weighted("fc8", nn.Linear(self._maps, spec.classes), STD, 0)  # 1000

    @property
    def device(self) -> torch.device:
        """Where this tower computes."""
        return next(self.parameters()).device

    @property
    def last_stage(self) -> int:
        """The number of the stage that is fc8 alone; in tower 1 it is empty."""
        return len(self.stages) - 1

    def forward(self, x: Tensor, stage: int, first: Tensor | None = None) -> Tensor:
        """Return the stage's output from its input, (N, maps, H, W) or (N, units).

        ``first``: conv1's output without its bias, if it was computed with the other tower's."""
        layers = [self.get_submodule(name) for name in self.stages[stage]]
        if fused_layers.applies(x):  # the same numbers up to rounding, in fewer kernels
            return fused_layers.run(layers, x, first)
        for layer in layers:
            x = layer(x)
        return x

    def _cross(self) -> None:
        """Begin a stage, whose first layer reads both towers."""
        self.stages.append([])
        self._maps *= self.spec.towers

    def _conv(
        self,
        name: str,
        maps: int,
        kernel: int,
        stride: int,
        padding: int,
        std: float = STD,
        bias: float = 0,
        activation: bool = True,
    ) -> None:
        if name == self.spec.removed:  # section 7; the next layer reads what this one would have
            return
        maps = self._scaled(maps)
        kind = FirstConv2d if name == "conv1" else nn.Conv2d
        self._weighted(name, kind(self._maps, maps, kernel, stride, padding), std, bias)
        self._maps, self._side = maps, ceil_size(self._side, kernel, stride, padding)
        if activation:
            self._activation(name)

    def _full(self, name: str, units: int) -> None:
        units = self._scaled(units)
        self._weighted(name, nn.Linear(self._maps, units), STD, 1)
        self._maps = units
        self._activation(name)

    def _activation(self, after: str) -> None:
        self._add(f"{after}_{self.spec.activation}", ACTIVATIONS[self.spec.activation]())

    def _norm(self, name: str) -> None:
        if not self.spec.lrn:
            return
        alpha = SOURCE_LRN_ALPHA if self.spec.takes_source("lrn-alpha") else LRN_ALPHA
        if self.spec.gains:
            norm = Gain(self.spec.gains[NORMS.index(name)])
        elif name == "cnorm2":
            norm = SameMapNorm(CNORM_SIZE, CNORM_ALPHA, CNORM_BETA, CNORM_K)
        else:
            norm = LocalResponseNorm(LRN_SIZE, alpha, LRN_BETA, LRN_K)
        self._add(name, norm)

    def _pool(self, name: str) -> None:
        window = 3 if self.spec.pooling == "overlapping" else 2
        self._add(name, nn.MaxPool2d(window, 2, ceil_mode=True))
        self._side = ceil_size(self._side, window, 2)

    def _flatten(self) -> None:
        self._add("flatten", nn.Flatten())
        self._maps *= self._side**2

    def _dropout(self, name: str) -> None:
        if self.spec.dropout:
            self._add(name, Dropout())

    def _weighted(self, name: str, module: nn.Conv2d | nn.Linear, std: float, bias: float) -> None:
        """Add a layer with weights and record its initial distribution."""
        if self.spec.init == "same_variance":
            std *= math.sqrt(FAN_IN[name] / module.weight[0].numel())
        elif self.spec.init == "as_whole":
            std *= _whole_scale(self.spec, name)
        module.initial = Initial(std, bias if self.spec.ones else 0)
        self._add(name, module)

    def _add(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)
        self.stages[-1].append(name)

    def _scaled(self, count: int) -> int:
        return max(1, round(count * self.spec.width))


def _whole_scale(spec: AlexNetSpec, name: str) -> float:
    """Return the factor of "same_variance" for a layer's deviation in the whole two-tower net."""
    changes = {"towers": 2, "removed": None, "conv2_reads": "own", "init": "same_variance"}
    with torch.device("meta"):  # its shapes alone
        tower = Tower(spec.model_copy(update=changes), 0)
    weights = tower.get_submodule(name).weight[0].numel()
    return math.sqrt(FAN_IN[name] / weights)


class Initial(NamedTuple):
    """A layer's initial weights N(0, std^2), and its constant initial bias."""

    std: float
    bias: float


def alexnet(spec: AlexNetSpec, generator: torch.Generator | None = None) -> AlexNet:
    """Return the net that ``spec`` describes, on the CPU, freshly initialised (section 5)."""
    net = AlexNet(spec)
    initialise(net, generator)
    return net


@torch.no_grad()
def initialise(net: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draw every weight of ``net``, tower by tower and layer by layer, and set the biases."""
    for module in net.modules():
        if isinstance(initial := getattr(module, "initial", None), Initial):
            module.weight.normal_(0, initial.std, generator=generator)
            module.bias.fill_(initial.bias)
