"""Section 4.2: the distance of the halved net from the mean of dropout's masked nets.

The mean is geometric. The distance of a single such net is given for comparison.
``evaluation.dropout`` does the sampling. The distances of a run need its weights, so they are
stored with the results.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from replication.base import paths
from replication.base.devices import best_device
from replication.base.errors import check
from replication.base.types import Profile
from replication.data.loader import evaluation_loader
from replication.data.splits import held_out, selected
from replication.evaluation.dropout import average_distances, halved_logits, sampled_logits
from replication.evaluation.trained import can_evaluate, trained_net
from replication.experiments.common.baselines import EXPERIMENT
from replication.nets.alexnet import AlexNet
from replication.recipe import Recipe
from replication.runs.facts import DROPOUT, is_known, kept
from replication.runs.store import Run
from replication.training.process.numerics import exact, numerics


def distances(
    profile: Profile, runs: Sequence[Run], images: int, masks: int, only_stored: bool = False
) -> pd.DataFrame:
    """Return each run's distances to the geometric mean of ``masks`` dropped-out nets.

    Total variation distances, mean over held-out images. Columns: seed, images, masks; halved, of
    the halved net; single, of one dropped-out net; floor, between the means of two halves of the
    masks: no smaller distance can be measured. ``only_stored``: leave out a run whose distances are
    not stored and whose weights or images are not available.
    """
    path = paths.experiment(profile, EXPERIMENT) / DROPOUT
    rows = []
    for run in runs:
        recipe = run.task.recipe
        if (
            recipe.net.family == "alexnet"
            and recipe.net.dropout
            and run.summary["ended"] != "diverged"
        ):
            key = f"{recipe.id}-{images}-{masks}"
            if only_stored and not (is_known(path, key, [run]) or can_evaluate(recipe)):
                continue
            make = partial(_distances, recipe, images, masks)
            rows.append({"seed": recipe.seed, **kept(path, key, make, [run])})
    return pd.DataFrame(rows, columns=["seed", "images", "masks", "halved", "single", "floor"])


def _distances(recipe: Recipe, images: int, masks: int) -> dict[str, float]:
    device = best_device()
    net = trained_net(recipe, device=device)
    check(isinstance(net, AlexNet), "only an AlexNet has dropout to average over")
    with torch.inference_mode(), numerics(exact(recipe)):
        halved, hidden = halved_logits(net, some_images(recipe, images, device))
        average = average_distances(halved, sampled_logits(net, hidden, masks, seed=0), masks)
        mean = (
            sum(
                piece.sum(0, dtype=torch.float64)
                for piece in sampled_logits(net, hidden, masks, seed=0)
            )
            / masks
        )
        # these masks are not part of the mean
        single = average_distances(mean, sampled_logits(net, hidden, masks, seed=1), masks).single
    return {
        "images": average.images,
        "masks": masks,
        "halved": average.geometric.total_variation,
        "single": single.total_variation,
        "floor": average.geometric_floor.total_variation,
    }


def some_images(recipe: Recipe, count: int, device: str) -> Tensor:
    """Return ``count`` held-out images as the net sees them; all, if there are fewer.

    They are evenly spaced in the index: (count, 3, side, side) on ``device``.
    """
    ids = selected(recipe.data, held_out(recipe.data.name)).ids
    count = min(count, len(ids))
    loader = evaluation_loader(
        recipe, "test", device, ids=ids[np.arange(count) * len(ids) // count]
    )
    try:
        return torch.cat([batch.images for batch in loader.once()])
    finally:
        loader.close()
