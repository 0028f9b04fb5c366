"""Labelling any image file with a trained net, as in Figure 4 (section 6).

Three lines do it in Python:

    from replication.evaluation.predict import load
    prediction = load("RUN").predict(["photo.jpg"], views=10)[0]
    print(prediction.labels[0].title, prediction.labels[0].p)

An image is prepared exactly as the run's test images were: reduced to the stored size (section 2),
the training set's mean image subtracted, the central crop or the ten views cut (section 4.1)."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from replication.base import paths
from replication.base.devices import best_device, check_device
from replication.base.errors import InputError
from replication.base.files import read_json
from replication.data.augment.views import VIEWS
from replication.data.files.decode import decode
from replication.data.files.titles import titles
from replication.data.loader import open_loaders
from replication.data.pipelines.pipeline import BatchRequest, check_views
from replication.data.pipelines.stored import Transform
from replication.data.prepared.store import reduce
from replication.data.splits import training_index
from replication.evaluation.probabilities import mean_over_views
from replication.evaluation.report import find
from replication.evaluation.trained import weights_file
from replication.nets.build import build
from replication.training.process.numerics import exact, numerics
from replication.training.weights import FILE, Weights, load_weights

LABELS = 5  # as in Figure 4
CONFIG = "config.json"  # of an exported net
AT_ONCE = 16  # images through the net together; with ten views 160 crops


class Label(NamedTuple):
    """One class and its probability."""

    key: str  # the class's key in the data set, for instance a WordNet id
    title: str
    p: float


class Prediction(NamedTuple):
    """The most probable labels of one image."""

    image: Path
    labels: tuple[Label, ...]  # the most probable first
    p: np.ndarray  # float32 (K,), in the order of the classes


class Predictor:
    """A trained net with everything that it needs to label image files."""

    def __init__(
        self,
        weights: Weights,
        mean: np.ndarray | None,
        names: Sequence[str],
        device: str | None = None,
    ) -> None:
        self.recipe, self.classes = weights.recipe, weights.classes
        self.titles = tuple(names)
        self.device = device or best_device()
        check_device(self.device)
        self.transform = Transform(self.recipe, None)
        self.transform.mean = mean
        self.net = net_of(weights).to(self.device, memory_format=torch.channels_last)

    def predict(self, images: Sequence[str | Path], views: int = 1) -> list[Prediction]:
        """Return the most probable labels of every image file, over 1, 9 or 10 views.

        Raises InputError for a file that is missing or cannot be decoded."""
        files = files_of(images, views)
        parts = [files[start : start + AT_ONCE] for start in range(0, len(files), AT_ONCE)]
        return [
            Prediction(file, self._best(p), p)
            for part in parts
            for file, p in zip(part, self._probabilities(part, views), strict=True)
        ]

    def _square(self, file: Path) -> np.ndarray:
        return reduce(decode(file, str(file)), self.recipe.data.size)

    @torch.inference_mode()
    def _probabilities(self, files: Sequence[Path], views: int) -> np.ndarray:
        squares = np.stack([self._square(file) for file in files])
        rows = np.arange(len(squares))
        crops = torch.from_numpy(
            self.transform.batch(squares, rows, BatchRequest(rows, None, views))
        )
        with numerics(exact(self.recipe)):
            return mean_over_views(self.net, crops.movedim(-1, -3).to(self.device)).cpu().numpy()

    def _best(self, p: np.ndarray) -> tuple[Label, ...]:
        order = np.argsort(-p, kind="stable")[:LABELS]
        return tuple(Label(self.classes[k], self.titles[k], float(p[k])) for k in order)


def load(run: str | Path, profile: str = "quick", device: str | None = None) -> Predictor:
    """Return the predictor of a run.

    ``run``: a run's id, its folder under ``results/``, a named recipe at ``profile``, an exported
    folder, or a file of weights. ``device``: None is CUDA if there is one. Raises InputError for
    weights that are not there, with the command that trains them."""
    path = weights_of(run, profile)
    weights = load_weights(path)
    return Predictor(weights, mean_of(weights), titles_of(weights, path.parent), device)


def files_of(images: Sequence[str | Path], views: int) -> list[Path]:
    """Return the image files, which are looked for before a net is loaded.

    Raises InputError for a missing one, or for a number of views other than 1, 9 or 10."""
    check_views(views)
    files = [paths.named(image) for image in images]
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: no such image file; name image files, not their folder")
    return files


def weights_of(run: str | Path, profile: str = "quick") -> Path:
    """Return the file of a run's weights; ``run`` as for ``load``."""
    path = paths.named(run)
    if path.suffix == ".safetensors":
        return path
    if (path / FILE).is_file():
        return path / FILE
    return weights_file(find(str(run), profile))


def net_of(weights: Weights) -> nn.Module:
    """Return the trained net on the CPU, in evaluation mode."""
    net = build(weights.recipe, len(weights.classes))
    net.load_state_dict(weights.state)
    return net.eval()


def mean_of(weights: Weights) -> np.ndarray | None:
    """Return the mean image that the net's images have subtracted, float32 (S, S, 3), or None.

    Weights from before it was stored with them need the images that they were trained on."""
    data = weights.recipe.data
    if weights.mean is not None or data.mean == "none":
        return weights.mean
    try:
        images = training_index(data)
    except InputError as error:
        raise InputError(
            "these weights come without their mean image, which is computed from the training"
            f" images: {error}"
        ) from None
    if images.fingerprint != weights.fingerprint:
        raise InputError(
            "these weights come without their mean image, and were trained on other images of"
            f" {data.name} than those here: train the run again"
        )
    loaders = open_loaders(weights.recipe)
    loaders.close()
    return loaders.statistics.mean


def titles_of(weights: Weights, folder: Path) -> tuple[str, ...]:
    """Return a readable title for each class; its key if none is known.

    The titles of an exported net are in its ``CONFIG``, others beside the data set."""
    if (exported := _exported_titles(folder / CONFIG, weights)) is not None:
        return exported
    try:
        index = training_index(weights.recipe.data)
    except InputError:
        return weights.classes
    return titles(index, weights.classes)


def _exported_titles(config: Path, weights: Weights) -> tuple[str, ...] | None:
    """Return the titles in an exported net's configuration; None if it is not of this net."""
    try:
        facts = read_json(config)
    except (OSError, ValueError):  # none, or damaged
        return None
    if not isinstance(facts, dict) or facts.get("run") != weights.recipe.id:
        return None
    titles = tuple(facts.get("titles") or ())
    return titles if len(titles) == len(weights.classes) else None


def views_text(views: int) -> str:
    """Return "one view" or "ten views"."""
    return {1: "one view", VIEWS: "ten views"}.get(views, f"{views} views")
