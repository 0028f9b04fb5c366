"""Hidden activations of every image: the feature vectors of section 6.1.

Figure 4, right, and the binary codes use them.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from replication.base.errors import InputError
from replication.evaluation.trained import every_image
from replication.recipe import Recipe


class Features(NamedTuple):
    ids: np.ndarray  # int64 (N,)
    labels: np.ndarray  # int64 (N,)
    x: np.ndarray  # float32 (N, D)


def features(
    recipe: Recipe,
    split: str,
    layer: str = "fc7",
    ids: np.ndarray | None = None,
) -> Features:
    """Return the activations of a ``layer`` for the central crop of every image, flattened.

    They are taken after the activation function, in evaluation mode, before the halving of section
    4.2; tower 0's units, then tower 1's. The last layer ("fc8", "fc10") gives logits. ``ids``
    restricts them to these images. The result is kept in ``runs/<id>/``. Raises InputError as
    ``probabilities`` does, and for an unknown layer."""
    name = f"features-{split}-{layer}" + ("" if ids is None else f"-{len(ids)}")
    _, found = every_image(
        recipe, split, name, lambda net, images: activations(net, images, layer), ids=ids
    )
    return Features(found["ids"], found["labels"], found["answers"])


def activations(net: nn.Module, images: Tensor, layer: str) -> Tensor:
    """Return the output of ``layer`` for images (N, 3, side, side): float32 (N, D).

    It is taken after the layer's activation function.
    """
    modules = {name: module for name, module in net.named_modules() if not list(module.children())}
    parts = [name for name in modules if name.rpartition(".")[2] == layer]
    if not parts:
        weighted = sorted(
            {
                name.rpartition(".")[2]
                for name, module in modules.items()
                if isinstance(module, nn.Conv2d | nn.Linear)
            }
        )
        raise InputError(f"the net has no layer {layer!r}: use {', '.join(weighted)}")
    # "towers.0.fc7_relu"
    rectified = [name for name in modules if name.rpartition(".")[2].startswith(f"{layer}_")]
    read: dict[str, Tensor] = {}
    handles = [
        modules[name].register_forward_hook(
            lambda module, given, made, name=name: read.update({name: made})
        )
        for name in rectified or parts
    ]
    try:
        net(images)
    finally:
        for handle in handles:
            handle.remove()
    device = images.device
    return torch.cat([read[name].flatten(1).to(device) for name in sorted(read)], 1).float()
