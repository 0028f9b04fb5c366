"""Bias, activation and pooling of a layer as one compiled kernel, and conv1 of both towers at once.

On a GPU a convolution's bias, its ReLU and the pooling after it are a pass over memory each, and
two towers on one device read the image twice. Here what follows a convolution is one compiled
function (``torch.compile``), and the two first convolutions are one, of twice the maps, whose
output is divided between the towers by the kernel that adds their biases.

The layers stay the same modules with the same weights, and their output is the same to the last
bit. Gradients of biases are sums in another order. Where rounding makes two inputs of a pooling
equal, the gradient goes to the larger one, and not to the first."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from replication.nets.compiling import can_compile, run_compiled
from replication.nets.first_convolution import FirstConv2d

FUSED = (nn.ReLU, nn.MaxPool2d)  # other activations are of small nets


class Segment(NamedTuple):
    """A layer, and what is fused after it; ``layer`` is None if nothing is before it."""

    layer: nn.Module | None
    after: tuple[nn.Module, ...]  # activations and poolings


def applies(x: Tensor) -> bool:
    """Return whether a net that reads ``x`` is computed in this form: in bf16 on a GPU."""
    return x.is_cuda and torch.is_autocast_enabled("cuda") and can_compile()


def segments(layers: Iterable[nn.Module]) -> list[Segment]:
    """Return ``layers`` in their order, those that are fused with the convolution before them."""
    found: list[Segment] = []
    for layer in layers:
        if not isinstance(layer, FUSED):
            found.append(Segment(layer, ()))
        elif found and _takes(found[-1], layer):
            found[-1] = found[-1]._replace(after=(*found[-1].after, layer))
        else:
            found.append(Segment(None, (layer,)))
    return found


def _takes(segment: Segment, layer: nn.Module) -> bool:
    """Return whether ``layer`` can be fused with the segment before it."""
    before, after = segment
    return (before is None or isinstance(before, nn.Conv2d)) and not any(
        isinstance(layer, type(one)) for one in after
    )


def run(layers: Iterable[nn.Module], x: Tensor, first: Tensor | None = None) -> Tensor:
    """Return the output of ``layers`` for ``x``.

    ``first``: the first layer's output without its bias, which ``first_of_both`` computed."""
    for layer, after in segments(layers):
        if isinstance(layer, nn.Conv2d) and (after or first is not None):
            maps = convolved(layer, x, layer.weight) if first is None else first
            x, first = _finish(maps, layer.bias, after), None
            continue
        x = x if layer is None else layer(x)
        x = _finish(x, None, after) if after else x
    return x


def first_of_both(layers: Mapping[int, nn.Conv2d], images: Tensor) -> dict[int, Tensor]:
    """Return the output, without bias, of the first convolutions of towers on one device.

    Each is a part of the maps of both, so it has gaps in channels_last memory."""
    weight = torch.cat([layer.weight for layer in layers.values()])
    both = convolved(next(iter(layers.values())), images, weight)
    return dict(zip(layers, both.chunk(len(layers), 1), strict=True))


def convolved(layer: nn.Conv2d, x: Tensor, weight: Tensor) -> Tensor:
    """Return the convolution of ``x`` with ``weight`` in ``layer``'s geometry, without bias."""
    if isinstance(layer, FirstConv2d):
        return layer.convolve(x, weight, None)
    return F.conv2d(x, weight, None, layer.stride, layer.padding)


def finish(x: Tensor, bias: Tensor | None, relu: bool, pool: tuple[int, int] | None) -> Tensor:
    """Return ``x`` (N, C, H, W) pooled, plus ``bias``, rectified; this function is compiled.

    Adding a bias and rectifying keep the order of numbers, so that they may follow the pooling,
    where there are fewer of them. ``pool``: window and stride; sizes are rounded up."""
    if pool is not None:
        x = F.max_pool2d(x, *pool, ceil_mode=True)
    if bias is not None:
        x = x + bias.to(x.dtype)[:, None, None]
    return F.relu(x) if relu else x


def _finish(x: Tensor, bias: Tensor | None, after: Sequence[nn.Module]) -> Tensor:
    pools = [(one.kernel_size, one.stride) for one in after if isinstance(one, nn.MaxPool2d)]
    relu = any(isinstance(one, nn.ReLU) for one in after)
    return run_compiled(finish, (x,), (bias, relu, pools[0] if pools else None))
