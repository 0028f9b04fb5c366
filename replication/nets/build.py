"""From a recipe's description of a net to the net."""

import torch
from torch import nn

from replication.nets.cifar import cifar_net
from replication.recipe import Recipe


def build(recipe: Recipe, classes: int) -> nn.Module:
    """The recipe's net for ``classes`` classes, its weights drawn from the recipe's seed alone."""
    generator = torch.Generator().manual_seed(recipe.seed)
    return cifar_net(recipe.net, classes, recipe.data.size, generator)
