"""The net that a recipe describes."""

import torch
from torch import nn

from replication.base.errors import InputError
from replication.nets.alexnet import alexnet
from replication.nets.cifar import cifar_net
from replication.recipe import Recipe


def build(recipe: Recipe, classes: int) -> nn.Module:
    """Return the recipe's net for ``classes`` classes; its weights depend on the seed alone."""
    generator = torch.Generator().manual_seed(recipe.seed)
    side = recipe.data.side
    if recipe.net.family == "cifar":
        return cifar_net(recipe.net, classes, side, generator)
    if recipe.net.side != side:
        raise InputError(
            f"the net takes images of {recipe.net.side} and the data gives {side}: set data.crop to"
            f" {recipe.net.side}"
        )
    return alexnet(recipe.net.model_copy(update={"classes": classes}), generator)
