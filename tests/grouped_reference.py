"""The two-tower net as one net with grouped convolutions, written with torch's functions alone:
what the towers are compared with.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from replication.recipe import AlexNet


def grouped_logits(state: dict[str, Tensor], images: Tensor, spec: AlexNet) -> Tensor:
    """Logits of the two-tower net whose ``state_dict`` is ``state``, without dropout's masks (as
    when testing).
    """
    source = spec.fidelity == "source2012"
    stride, padding, margin = {224: (4, 0, 3), 56: (2, 0, 1), 24: (1, 2, 0)}[spec.side]

    def both(name: str) -> tuple[Tensor, Tensor]:
        return tuple(
            torch.cat([state[f"towers.{tower}.{name}.{kind}"] for tower in (0, 1)])
            for kind in ("weight", "bias")
        )

    def norm(x: Tensor) -> Tensor:
        alpha = 1e-4 if source else 5e-4  # torch divides it by 5
        return torch.cat(
            [F.local_response_norm(half, 5, alpha, 0.75, 2.0) for half in x.chunk(2, 1)], 1
        )

    x = F.conv2d(F.pad(images, (0, margin, 0, margin)), *both("conv1"), stride, padding)
    x = (
        F.relu(F.max_pool2d(norm(x), 3, 2, ceil_mode=True))
        if source
        else F.max_pool2d(norm(F.relu(x)), 3, 2, ceil_mode=True)
    )
    x = norm(F.relu(F.conv2d(x, *both("conv2"), padding=2, groups=2)))
    if source:
        x = x * (1 + 0.001 * F.avg_pool2d(x * x, 5, 1, 2, count_include_pad=True)) ** -0.75
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    x = F.relu(F.conv2d(x, *both("conv3"), padding=1))
    x = F.relu(F.conv2d(x, *both("conv4"), padding=1, groups=2))
    x = F.max_pool2d(F.relu(F.conv2d(x, *both("conv5"), padding=1, groups=2)), 3, 2, ceil_mode=True)
    if spec.sixth_conv:
        x = F.relu(F.conv2d(x, *both("conv6"), padding=1))
    x = 0.5 * F.relu(F.linear(x.flatten(1), *both("fc6")))
    x = 0.5 * F.relu(F.linear(x, *both("fc7")))
    return F.linear(x, state["towers.0.fc8.weight"], state["towers.0.fc8.bias"])
