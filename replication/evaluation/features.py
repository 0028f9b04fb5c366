"""Hidden activations of every image: the feature vectors of section 6.1 (Figure 4, right) and of its binary codes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from replication.data.loader import evaluation_loader
from replication.errors import InputError
from replication.evaluation.trained import check_whole, every_image
from replication.recipe import Recipe


class Features(NamedTuple):
    ids: np.ndarray  # int64 (N,)
    labels: np.ndarray  # int64 (N,)
    x: np.ndarray  # float32 (N, D)


def features(recipe: Recipe, split: str, layer: str = "fc7", device: str = "cpu") -> Features:
    """Activations of a fully-connected or other ``layer`` of the run of ``recipe``, flattened, for the central crop of every image.

    After the activation function, in evaluation mode, before the halving of section 4.2; tower 0's units, then tower 1's. The last
    layer ("fc8", "fc10") gives logits. Kept in ``runs/<id>/``. InputError as ``probabilities``, and for a layer that is not there.
    """
    _, found = every_image(recipe, split, f"features-{split}-{layer}", lambda net, images: activations(net, images, layer), 1, device)
    return Features(found["ids"], found["labels"], found["answers"])


def pixels(recipe: Recipe, split: str) -> Features:
    """The central crops themselves, float32 (N, 3 * side**2), mean subtracted and scaled as the net sees them. Not kept."""
    loader = evaluation_loader(recipe, split, "cpu")
    try:
        x = np.empty((len(loader), 3 * recipe.data.side**2), np.float32)
        ids, place = [], 0
        for batch in loader.once():
            x[place : place + len(batch.ids)] = batch.images.flatten(1).numpy()
            place += len(batch.ids)
            ids.append(batch.ids.numpy())
        check_whole(np.concatenate(ids), loader, split)
        return Features(loader.index.ids, loader.index.labels, x)
    finally:
        loader.close()


def activations(net: nn.Module, images: Tensor, layer: str) -> Tensor:
    """What ``layer`` of ``net`` makes of images (N, 3, side, side), after its activation function: float32 (N, D)."""
    modules = {name: module for name, module in net.named_modules() if not list(module.children())}
    parts = [name for name in modules if name.rpartition(".")[2] == layer]
    if not parts:
        weighted = sorted({name.rpartition(".")[2] for name, module in modules.items() if isinstance(module, nn.Conv2d | nn.Linear)})
        raise InputError(f"the net has no layer {layer!r}: use {', '.join(weighted)}")
    rectified = [name for name in modules if name.rpartition(".")[2].startswith(f"{layer}_")]  # "towers.0.fc7_relu"
    read: dict[str, Tensor] = {}
    handles = [
        modules[name].register_forward_hook(lambda module, given, made, name=name: read.update({name: made})) for name in rectified or parts
    ]
    try:
        net(images)
    finally:
        for handle in handles:
            handle.remove()
    device = images.device
    return torch.cat([read[name].flatten(1).to(device) for name in sorted(read)], 1).float()
