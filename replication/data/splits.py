"""Which images a recipe trains on, holds out for decisions, and is measured on.

A recipe names a data set, its classes and a count. The choice of images is a function of these
alone, so that runs are compared on the same ones. Trees of one's own have the splits that are on
the disk."""

import functools
import logging

import numpy as np

from replication.base.errors import InputError
from replication.base.text import counted
from replication.base.types import Split
from replication.data.files.index import Index
from replication.data.prepared import verify
from replication.data.prepared.store import Store, prepare
from replication.data.sources import catalog
from replication.recipe import Data

# which images are held out is the same in every run, so that runs are compared on the same ones
VALIDATION_SEED = 0
log = logging.getLogger(__name__)


def held_out(name: str) -> str:
    """Return the split that results are reported on: "test" if it has labels, else "val"."""
    return "test" if "test" in catalog.splits(name) else "val"


def has_both(name: str) -> bool:
    """Return whether a data set has a validation set and a labelled test set."""
    return {"val", "test"} <= set(catalog.splits(name))


def stored_split(data: Data, split: Split) -> str:
    """Return the data set's own split from which a recipe's ``split`` is read.

    Raises InputError if the recipe or the data set has no such split."""
    if split == "validation" and not data.validation:
        raise InputError(
            "the recipe holds out no validation images; set data.validation, or evaluate train or"
            " test"
        )
    if split in ("train", "validation", "unused"):
        return "train"
    if split == "val" and not has_both(data.name):
        raise InputError(
            f"{data.name} has no validation set beside a test set; evaluate test, which is what"
            " it holds out"
        )
    return held_out(data.name) if split == "test" else split


@functools.cache
def selected(data: Data, split: str) -> Index:
    """Return the images of a split that a recipe names: its classes, and of "train" its count.

    Raises InputError if they are not available."""
    index = catalog.open_index(data.name, split)
    if isinstance(data.classes, int):
        if not 2 <= data.classes <= len(index.classes):
            raise InputError(
                f"data.classes is {data.classes}, and {data.name} has {len(index.classes)}; choose"
                f" 2 to {len(index.classes)}"
            )
        index = index.subset(
            classes=[
                index.classes[i * len(index.classes) // data.classes] for i in range(data.classes)
            ]
        )
    elif data.classes is not None:
        index = index.subset(classes=data.classes)
    return index.subset(count=data.count) if split == "train" and data.count is not None else index


def source(data: Data, split: str) -> Store | Index:
    """Return a split's stored squares, or its files if the recipe decodes them.

    Files that cannot be decoded are left out, or named by an InputError, as the recipe says."""
    index = selected(data, split)
    if data.unreadable == "skip":
        index = verify.readable(index)
    elif data.files == "encoded":
        verify.check_readable(index)
    return prepare(index, data.size) if data.files == "raw" else index


def training_source(data: Data) -> tuple[Store | Index, np.ndarray, np.ndarray]:
    """Return the source of "train", and its rows to train on and to hold out."""
    found = source(data, "train")
    return found, *split_rows(index_of(found), data.validation)


def index_of(found: Store | Index) -> Index:
    """Return the index of stored squares or of files."""
    return found.index if isinstance(found, Store) else found


def split_rows(index: Index, validation: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on and rows held out, as many of each class; both ascending.

    Raises InputError if the classes cannot give as many, or one would keep none to train on."""
    everything = np.arange(len(index))
    if not validation:
        return everything, everything[:0]
    classes = len(index.classes)
    smallest = int(np.bincount(index.labels, minlength=classes).min())
    if validation % classes or validation >= smallest * classes:
        raise InputError(
            f"data.validation is {validation}, of {counted(len(index), 'training image')}: use a"
            f" multiple of the {counted(classes, 'class')} below {smallest * classes}, so that each"
            " keeps images to train on (--set data.validation=...)"
        )
    # not the seed that chose data.count
    aside = np.isin(index.ids, index.subset(count=validation, seed=VALIDATION_SEED + 1).ids)
    return everything[~aside], everything[aside]


def training_index(data: Data) -> Index:
    """Return the images that a recipe trains on. Raises InputError if they are not available."""
    index = selected(data, "train")
    if data.unreadable == "skip":
        index = verify.readable(index)
    return index.take(split_rows(index, data.validation)[0]) if data.validation else index


def check_measurable(data: Data, splits: tuple[Split, ...]) -> None:
    """Raise InputError before training if one of ``splits`` could not be evaluated after it."""
    for split in splits:
        index = selected(data, stored_split(data, split))
        training = selected(data, "train")
        if index.classes != training.classes:
            raise InputError(
                f"{data.name}: the classes of {index.split} are not those of train; nothing could"
                " be measured after training"
            )


def report_skipped(data: Data) -> None:
    """Log what was passed over among the training images, before they are trained on."""
    index = selected(data, "train")
    odd = {kind: n for kind, n in index.skipped.items() if kind not in ("hidden", "stray")}
    if odd:
        listed = ", ".join(f"{count:,} {kind}" for kind, count in odd.items())
        log.info(
            "%s %s: passed over %s; `replication data verify` looks into them",
            index.name,
            index.split,
            listed,
        )
    if not {"val", "test"} & set(catalog.splits(data.name)):
        log.warning("%s has neither val nor test: nothing can be measured afterwards", data.name)
