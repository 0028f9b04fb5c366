"""A trained net and its output for every image of a split, in one pass.

The output is stored beside the weights as ``runs/<id>/<name>.npz``, with the fingerprint of the
images and the hash of the weights. It is read again only while both still agree; otherwise it is
computed again.
"""

import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from replication.base.devices import best_device, check_device
from replication.base.errors import InputError
from replication.base.files import digest, write_atomic
from replication.base.text import counted
from replication.data.files import unchanged
from replication.data.loader import Loader, evaluation_loader
from replication.data.sources import catalog
from replication.data.splits import training_index
from replication.nets.build import build
from replication.recipe import Recipe
from replication.training.process.numerics import exact, numerics
from replication.training.weights import load_weights, no_weights, weights_path

SPLITS = ("train", "validation", "test", "val", "unused")
# crops a forward pass: enough for full speed, 2 GB of activations in the full-size net
AT_ONCE = 256

Arrays = dict[str, np.ndarray]
log = logging.getLogger(__name__)


def weights_file(recipe: Recipe, epoch: int | None = None) -> Path:
    """Return the weights that the run of ``recipe`` left, or kept after ``epoch``.

    Raises InputError if the run has not ended here.
    """
    path = weights_path(recipe.id, epoch)
    if not path.is_file():
        raise no_weights(path)
    return path


def can_evaluate(recipe: Recipe) -> bool:
    """Return whether the weights of a run and the images of its data set are available."""
    return weights_path(recipe.id).is_file() and catalog.available(recipe.data.name)


def trained_net(
    recipe: Recipe,
    classes: tuple[str, ...] | None = None,
    device: str = "cpu",
    epoch: int | None = None,
) -> nn.Module:
    """Return the net of a run that has ended, in evaluation mode, on ``device``.

    ``classes``: those of the images that it will see. Raises InputError if it was trained with
    others or in another order. ``epoch``: with the weights that were kept after it."""
    path = weights_file(recipe, epoch)
    weights = load_weights(path)
    if weights.recipe.id != recipe.id:
        raise InputError(
            f"{path}: the weights of another run, {weights.recipe.id}: put it into that run's"
            " folder"
        )
    images = training_index(recipe.data)
    if weights.fingerprint != images.fingerprint:
        raise InputError(
            f"{path}: trained on other images of {recipe.data.name} than those available: "
            "name another folder in REPLICATION_RUNS to train it on these"
        )
    unchanged.check_same(unchanged.note_of_run(recipe.id), images, f"the run {recipe.id}")
    if classes is not None and tuple(weights.classes) != tuple(classes):
        raise InputError(
            f"{path}: trained for {_few(weights.classes)}, but the images are of {_few(classes)}: "
            "evaluate it on the data set that it was trained on"
        )
    net = build(recipe, len(weights.classes))
    net.load_state_dict(weights.state)
    return net.to(device, memory_format=torch.channels_last).eval()


def every_image(
    recipe: Recipe,
    split: str,
    name: str,
    answer: Callable[[nn.Module, Tensor], Tensor],
    views: int = 1,
    device: str | None = None,
    ids: np.ndarray | None = None,
    epoch: int | None = None,
) -> tuple[Loader, Arrays]:
    """Return the loader and ``answer(net, images)`` of every image of ``split``.

    The arrays are ids, labels and answers (N, ...) in the index's order, read from ``name``.npz if
    it is sound. ``images`` are (n, 3, side, side), or (n, 10, 3, side, side) with ten ``views``, on
    ``device`` (None: ``devices.best_device``). ``ids`` restricts them to these images;
    ``epoch``: by the weights kept after it. The loader is returned closed, for its facts."""
    if split not in SPLITS:
        raise InputError(f"no split {split!r}: use {', '.join(SPLITS)}")
    if split == "validation" and not recipe.data.validation:
        raise InputError(
            f"the run {recipe.id} held out no validation images (data.validation is 0): use train"
            " or test"
        )
    device = device or best_device()
    check_device(device)
    path = weights_file(recipe, epoch)
    name = name if epoch is None else f"{name}-after-{epoch}"
    loader = evaluation_loader(recipe, split, device, ids=ids)
    try:
        kept = path.with_name(f"{name}.npz")
        stamp = f"{loader.fingerprint} {digest(path)}"
        found = _read(kept, stamp)
        # answers of before such notes were written have none
        noted = unchanged.note_of(kept).is_file()
        if found is None or (noted and not unchanged.is_current(kept, loader.index)):
            with numerics(exact(recipe)):
                found = _answers(
                    trained_net(recipe, loader.classes, device, epoch), loader, views, answer
                )
            check_whole(found["ids"], loader, split)
            write_atomic(kept, lambda file: np.savez(file, stamp=np.array(stamp), **found))
            unchanged.record(kept, loader.index)
    finally:
        loader.close()
    return loader, found


def check_whole(ids: np.ndarray, loader: Loader, split: str) -> None:
    """Raise InputError unless ``ids`` are those of all the loader's images, each once.

    An error is never of fewer images than the split has.
    """
    expected = loader.index.ids
    if not np.array_equal(np.sort(ids), np.sort(expected)):
        lost = len(np.setdiff1d(expected, ids))
        cure = (
            f"run `replication data verify {loader.index.name}`"
            if lost
            else "the loader gave some of them twice"
        )
        raise InputError(
            f"{len(ids)} answers for {len(expected)} {split} images of {loader.index.name}, {lost}"
            f" of them without: {cure}"
        )


@torch.inference_mode()
def _answers(
    net: nn.Module, loader: Loader, views: int, answer: Callable[[nn.Module, Tensor], Tensor]
) -> Arrays:
    ids, labels, answers = [], [], []
    for batch in loader.once(views):
        answers += [
            answer(net, images).cpu().numpy()
            for images in batch.images.split(max(1, AT_ONCE // views))
        ]
        ids.append(batch.ids.cpu().numpy())
        labels.append(batch.labels.cpu().numpy())
    return {
        "ids": np.concatenate(ids),
        "labels": np.concatenate(labels),
        "answers": np.concatenate(answers),
    }


def _read(path: Path, stamp: str) -> Arrays | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["stamp"]) == stamp:
                return {key: stored[key] for key in ("ids", "labels", "answers")}
        log.info("%s: computed from other images or weights; computing it again", path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.info("%s: damaged (%s); computing it again", path, type(error).__name__)
    return None


def _few(classes: tuple[str, ...]) -> str:
    return (
        f"{counted(len(classes), 'class')}"
        f" ({', '.join(classes[:3])}{' ...' if len(classes) > 3 else ''})"
    )
