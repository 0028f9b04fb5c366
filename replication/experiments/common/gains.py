"""The mean gain of each response normalisation of a trained net (section 3.3).

A normalisation divides by something larger than one, so it also rescales. A net that only rescales,
by this constant gain, is the control that shows its other effects."""

import numpy as np
import torch
from torch import Tensor, nn

from replication.data.files.index import Index
from replication.data.loader import evaluation_loader
from replication.data.splits import training_index
from replication.evaluation.trained import trained_net
from replication.nets.normalisation import LocalResponseNorm, SameMapNorm
from replication.recipe import Recipe

IMAGES = 500  # training images that the mean is taken over, at most
DIGITS = 3  # of a gain, so that its recipe can be written down


@torch.inference_mode()
def mean_gains(recipe: Recipe) -> tuple[float, ...]:
    """Return output over input of every normalisation of the run's net, in the net's order.

    The mean is over all values that are not zero, of both towers if there are two, on the images of
    ``some_images``."""
    net = trained_net(recipe)
    by_norm: dict[str, list[Tensor]] = {}

    def note(name: str):
        def hook(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            there = inputs[0] != 0
            by_norm.setdefault(name, []).append(output[there] / inputs[0][there])

        return hook

    for path, module in net.named_modules():
        if isinstance(module, LocalResponseNorm | SameMapNorm):
            module.register_forward_hook(note(path.rsplit(".", 1)[-1]))
    ids = some_images(training_index(recipe.data)).ids
    loader = evaluation_loader(recipe, "train", ids=ids)
    try:
        net(next(loader.once(batch=len(ids))).images)
    finally:
        loader.close()
    return tuple(float(f"{torch.cat(of).mean():.{DIGITS}g}") for of in by_norm.values())


def some_images(index: Index) -> Index:
    """Return at most ``IMAGES`` images, as many of each class, by the index's seeded order.

    The first images of an index may be of few classes; at least one of each is taken."""
    classes = len(index.classes)
    fewest = int(np.bincount(index.labels, minlength=classes).min())
    return index.subset(count=classes * max(1, min(IMAGES // classes, fewest)))
