"""Class probabilities of every image, over one view or ten (section 4.1; facts-2012, section 4).

Ten views: the softmax *probabilities* are averaged, not the logits. No autocast, whatever the
training's precision was."""

from torch import Tensor, nn

from replication.evaluation.predictions import Predictions
from replication.evaluation.trained import every_image
from replication.recipe import Recipe


def probabilities(
    recipe: Recipe, split: str, views: int = 1, device: str | None = None
) -> Predictions:
    """What the run of ``recipe`` says of every image of ``split`` (``trained.SPLITS``), kept in
    ``runs/<id>/``.

    ``views``: 1, the central crop, or 10. InputError where weights or images are not at hand, do
    not belong together, or an image cannot be read: an error is never of fewer images than the
    split has."""
    loader, found = every_image(recipe, split, f"predictions-{split}-{views}", ask, views, device)
    return Predictions(
        found["ids"],
        found["labels"],
        found["answers"],
        tuple(loader.classes),
        split,
        loader.fingerprint,
    )


def ask(net: nn.Module, images: Tensor) -> Tensor:
    """Images (N, 3, side, side), or N times ten views (N, 10, 3, side, side) -> probabilities
    float32 (N, K), averaged over the views.
    """
    if images.ndim == 4:
        return net(images).float().softmax(1)
    count, views = images.shape[:2]
    return net(images.flatten(0, 1)).float().softmax(1).unflatten(0, (count, views)).mean(1)
