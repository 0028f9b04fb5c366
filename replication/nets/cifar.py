"""The nets for CIFAR-10 that were released with cuda-convnet (``example-layers/`` of its source).

The paper's Figure 1 and its 13% to 11% (section 3.3) were measured with nets of this family.
``19pct`` is the only published one with four weight layers and no normalisation, so it represents
Figure 1's "four-layer convolutional network". Learned parameters, biases included: 80sec 145,578;
19pct and 18pct 89,578 (32 x 32 input); conv-local-13pct 1,116,490 and conv-local-11pct 2,112,970
(24 x 24 crops). The file of conv-local-11pct has two versions; the earlier one is conv-local-13pct
with two normalisations, each before its pooling."""

import math
from collections import OrderedDict
from typing import Literal, NamedTuple

import torch
from torch import nn

from replication.base.errors import InputError
from replication.base.text import counted
from replication.nets.activations import ACTIVATIONS
from replication.nets.locally_connected import LocallyConnected2d
from replication.nets.normalisation import Gain, LocalResponseNorm, SameMapNorm
from replication.recipe import CifarNetSpec


class Conv(NamedTuple):
    """A convolution, or a layer of unshared weights."""

    name: str
    maps: int
    std: float  # of the released initialisation, N(0, std^2); all biases start at 0
    kernel: int = 5
    shared: bool = True  # False: locally connected, with weights for each position


class Pool(NamedTuple):
    """A pooling layer."""

    name: str
    kind: Literal["max", "average"]  # windows of 3, stride 2, clipped at the right and bottom edge


class Norm(NamedTuple):
    """A response normalisation."""

    name: str
    kind: Literal["cross_map", "same_map"]
    size: int
    alpha: float  # what multiplies the sum of squares; the source file's scale is already divided


class Full(NamedTuple):
    """A fully-connected layer."""

    name: str
    units: int
    std: float


OUTPUT = Full("fc10", 10, 0.01)
# Source: layers-80sec.cfg, layers-19pct.cfg, layers-18pct.cfg, layers-conv-local-13pct.cfg and
# layers-conv-local-11pct.cfg of cuda-convnet's example-layers; the earlier version of the last one
# is in github.com/dnouri/cuda-convnet at commit 3878e8f.
NETS: dict[str, tuple[Conv | Pool | Norm | Full, ...]] = {
    "80sec": (
        Conv("conv1", 32, 1e-4),
        Pool("pool1", "max"),
        Conv("conv2", 32, 0.01),
        Pool("pool2", "average"),
        Conv("conv3", 64, 0.01),
        Pool("pool3", "average"),
        Full("fc64", 64, 0.1),
        Full("fc10", 10, 0.1),
    ),
    "19pct": (
        Conv("conv1", 32, 1e-4),
        Pool("pool1", "max"),
        Conv("conv2", 32, 0.01),
        Pool("pool2", "average"),
        Conv("conv3", 64, 0.01),
        Pool("pool3", "average"),
        OUTPUT,
    ),
    "18pct": (
        Conv("conv1", 32, 1e-4),
        Pool("pool1", "max"),
        Norm("rnorm1", "same_map", 3, 5e-5 / 9),
        Conv("conv2", 32, 0.01),
        Pool("pool2", "average"),
        Norm("rnorm2", "same_map", 3, 5e-5 / 9),
        Conv("conv3", 64, 0.01),
        Pool("pool3", "average"),
        OUTPUT,
    ),
    "conv-local-13pct": (
        Conv("conv1", 64, 1e-4),
        Pool("pool1", "max"),
        Conv("conv2", 64, 0.01),
        Pool("pool2", "max"),
        Conv("local3", 32, 0.04, 3, shared=False),
        Conv("local4", 32, 0.04, 3, shared=False),
        OUTPUT,
    ),
    "conv-local-11pct-earlier": (
        Conv("conv1", 64, 1e-4),
        Norm("rnorm1", "cross_map", 5, 1e-3 / 5),
        Pool("pool1", "max"),
        Conv("conv2", 64, 0.01),
        Norm("rnorm2", "cross_map", 5, 1e-3 / 5),
        Pool("pool2", "max"),
        Conv("local3", 32, 0.04, 3, shared=False),
        Conv("local4", 32, 0.04, 3, shared=False),
        OUTPUT,
    ),
    "conv-local-11pct": (
        Conv("conv1", 64, 1e-4),
        Pool("pool1", "max"),
        Norm("rnorm1", "cross_map", 9, 1e-3 / 9),
        Conv("conv2", 64, 0.01),
        Norm("rnorm2", "cross_map", 9, 1e-3 / 9),
        Pool("pool2", "max"),
        Conv("local3", 64, 0.04, 3, shared=False),
        Conv("local4", 32, 0.04, 3, shared=False),
        OUTPUT,
    ),
}
# side of the input in the files
SIDE = {"80sec": 32, "19pct": 32, "18pct": 32} | dict.fromkeys(
    ("conv-local-13pct", "conv-local-11pct-earlier", "conv-local-11pct"), 24
)
NORM_BETA, NORM_K = 0.75, 1.0  # the files' pow, and the constant 1 of cuda-convnet 1


def cifar_net(
    spec: CifarNetSpec,
    classes: int = 10,
    side: int | None = None,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return the net that ``spec`` names, freshly initialised: images (N, 3, side, side) -> logits.

    Logits are (N, classes). ``side`` defaults to the released input's (32, or 24 for the conv-local
    nets). ``generator`` draws the weights."""
    layers = tuple(layer for layer in NETS[spec.name] if spec.norms or not isinstance(layer, Norm))
    if spec.gains and len(spec.gains) != sum(isinstance(layer, Norm) for layer in layers):
        raise InputError(
            f"{counted(len(spec.gains), 'gain')}: {spec.name} has another number of norms"
        )
    gains = iter(spec.gains)
    side = SIDE[spec.name] if side is None else side
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels, features = 3, 0
    for position, layer in enumerate(layers):
        following = layers[position + 1] if position + 1 < len(layers) else None
        match layer:
            case Conv(name, maps, _, kernel, shared):
                padding = kernel // 2
                modules[name] = (
                    nn.Conv2d(channels, maps, kernel, padding=padding)
                    if shared
                    else LocallyConnected2d(channels, maps, kernel, side, side, padding)
                )
                channels = maps
                if not _after_pool(spec.activation, following):
                    modules[f"{name}_{spec.activation}"] = ACTIVATIONS[spec.activation]()
            case Pool(name, kind):
                # ceil: an edge window is clipped to the pixels that exist; the average divides by
                # their number
                pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
                modules[name] = pool(3, 2, ceil_mode=True)
                side = 1 + math.ceil((side - 3) / 2)  # 32 -> 16 -> 8 -> 4
                if isinstance(layers[position - 1], Conv) and _after_pool(spec.activation, layer):
                    modules[f"{name}_{spec.activation}"] = ACTIVATIONS[spec.activation]()
            case Norm(name, kind, size, alpha):
                norm = LocalResponseNorm if kind == "cross_map" else SameMapNorm
                made = norm(size, alpha, NORM_BETA, NORM_K)
                modules[name] = Gain(next(gains)) if spec.gains else made
            case Full(name, units, _):
                if not features:
                    modules["flatten"] = nn.Flatten()
                    features = channels * side * side
                units = units if following is not None else classes
                modules[name] = nn.Linear(features, units)
                features = units
                if following is not None:
                    modules[f"{name}_{spec.activation}"] = ACTIVATIONS[spec.activation]()
    net = nn.Sequential(modules)
    _initialise(net, spec, layers, generator)
    return net


def _after_pool(activation: str, following: object) -> bool:
    """Return whether the activation may be applied to the pool's output.

    The maximum commutes with a function that never falls: the same result for a quarter of the
    work. The released files write the first layer that way."""
    return isinstance(following, Pool) and following.kind == "max" and activation != "abs_tanh"


def _initialise(
    net: nn.Sequential, spec: CifarNetSpec, layers: tuple, generator: torch.Generator | None
) -> None:
    """Draw weights N(0, std^2) and set biases to 0.

    With ``init: fan_in``, std^2 is gain / fan-in; the gain is 2 for ReLU (He et al. 2015), else 1,
    and 1 in the last layer."""
    weighted = [layer for layer in layers if isinstance(layer, Conv | Full)]
    for layer in weighted:
        module = net.get_submodule(layer.name)
        std = layer.std
        if spec.init == "fan_in":
            gain = 2.0 if spec.activation == "relu" and layer is not weighted[-1] else 1.0
            fan_in = (
                module.in_features
                if isinstance(module, nn.Linear)
                else module.in_channels * layer.kernel**2
            )
            std = math.sqrt(gain / fan_in)
        with torch.no_grad():
            module.weight.normal_(0, std, generator=generator)
            module.bias.zero_()
