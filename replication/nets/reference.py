"""The whole net as one function of torch's own operations.

It is the shortest statement of the net, and what the towers are tested against, value by value. The
two towers are the two halves of every layer's maps: convolutions that read one tower only have
``groups=2``."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from replication.recipe import AlexNetSpec


def reference_logits(state: Mapping[str, Tensor], images: Tensor, spec: AlexNetSpec) -> Tensor:
    """Return the logits of the two-tower net with this ``state_dict``, as in testing.

    ``images`` are (N, 3, side, side), 0-255 minus the mean."""
    stride, padding, margin = {224: (4, 0, 3), 56: (2, 0, 1), 24: (1, 2, 0)}[spec.side]
    source = spec.fidelity == "source2012"

    x = F.pad(images, (0, margin, 0, margin))  # 3 x 227 x 227
    x = F.conv2d(x, *_both(state, "conv1"), stride, padding)  # 96 x 55 x 55
    x = _norm(x if source else F.relu(x), source)
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)  # 96 x 27 x 27
    x = F.relu(x) if source else x
    x = F.relu(F.conv2d(x, *_both(state, "conv2"), padding=2, groups=2))  # 256 x 27 x 27
    x = _norm(x, source)
    if source:  # inside each map, 5 x 5 positions
        x = x * (1 + 0.001 * F.avg_pool2d(x * x, 5, 1, 2)) ** -0.75
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)  # 256 x 13 x 13
    x = F.relu(F.conv2d(x, *_both(state, "conv3"), padding=1))  # 384 x 13 x 13
    x = F.relu(F.conv2d(x, *_both(state, "conv4"), padding=1, groups=2))  # 384 x 13 x 13
    x = F.relu(F.conv2d(x, *_both(state, "conv5"), padding=1, groups=2))  # 256 x 13 x 13
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)  # 256 x 6 x 6
    if spec.sixth_conv:
        x = F.relu(F.conv2d(x, *_both(state, "conv6"), padding=1))  # 256 x 6 x 6
    x = 0.5 * F.relu(F.linear(x.flatten(1), *_both(state, "fc6")))  # 4096
    x = 0.5 * F.relu(F.linear(x, *_both(state, "fc7")))  # 4096
    return F.linear(x, state["towers.0.fc8.weight"], state["towers.0.fc8.bias"])  # 1000


def _both(state: Mapping[str, Tensor], layer: str) -> tuple[Tensor, Tensor]:
    """Return the layer's weights and biases, those of tower 0 before those of tower 1."""
    weight, bias = (
        torch.cat([state[f"towers.{tower}.{layer}.{kind}"] for tower in (0, 1)])
        for kind in ("weight", "bias")
    )
    return weight, bias


def _norm(x: Tensor, source: bool) -> Tensor:
    """Normalise within each tower (section 3.3); torch divides alpha by n = 5."""
    alpha = 1e-4 if source else 5e-4
    return torch.cat([F.local_response_norm(t, 5, alpha, 0.75, 2.0) for t in x.chunk(2, 1)], 1)
