"""Class probabilities of every image, over one view or ten (section 4.1).

Over ten views the softmax *probabilities* are averaged, not the logits, as in the released source
(``src/layer.cu``, lines 1809 to 1837). Autocast is off, regardless of the training's precision.
"""

from torch import Tensor, nn

from replication.evaluation.predictions import Predictions
from replication.evaluation.trained import every_image
from replication.recipe import Recipe


def probabilities(
    recipe: Recipe,
    split: str,
    views: int = 1,
    device: str | None = None,
    epoch: int | None = None,
) -> Predictions:
    """Return the probabilities of every image of ``split`` (``trained.SPLITS``) for a run.

    ``views``: 1, the central crop, 9 or 10. ``epoch``: by the weights kept after it. The result is
    kept in ``runs/<id>/``. Raises InputError if weights or images are not available, do not belong
    together, or an image cannot be read: an error is never of fewer images than the split has."""
    name = f"predictions-{split}-{views}"
    loader, found = every_image(recipe, split, name, mean_over_views, views, device, epoch=epoch)
    return Predictions(
        found["ids"],
        found["labels"],
        found["answers"],
        tuple(loader.classes),
        split,
        loader.fingerprint,
    )


def mean_over_views(net: nn.Module, images: Tensor) -> Tensor:
    """Return probabilities float32 (N, K), averaged over the views.

    Images are (N, 3, side, side), or N times ten views (N, 10, 3, side, side).
    """
    if images.ndim == 4:
        return net(images).float().softmax(1)
    count, views = images.shape[:2]
    return net(images.flatten(0, 1)).float().softmax(1).unflatten(0, (count, views)).mean(1)
