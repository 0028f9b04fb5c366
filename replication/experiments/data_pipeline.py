"""The data path of sections 2 and 4.1, shown on images.

Every picture goes through the modules that training uses: the stored squares, the statistics, the
draws and the transform. The cost of augmentation beside the training step is timed in
``augmentation_time``.
"""

import contextlib
import math
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from replication.base.errors import InputError
from replication.base.html_tables import aligned, html_table
from replication.base.models import Frozen
from replication.base.types import Device, Profile
from replication.data.augment.draws import Draws, central, draws_for, positions
from replication.data.files.index import read_image
from replication.data.loader import open_loaders
from replication.data.pipelines.stored import Transform
from replication.data.prepared.card import card
from replication.data.prepared.statistics import Statistics, image_divisor, shifts, statistics
from replication.data.prepared.store import Store, prepare
from replication.data.prepared.verify import verify
from replication.data.splits import selected
from replication.experiments.common.baselines import baseline
from replication.experiments.common.comparison import Seeds
from replication.experiments.common.contract import settings_of, store_tables
from replication.ledger.measurement import Measurement
from replication.recipe import AlexNetSpec, Data, Recipe

EXPERIMENT = "data_pipeline"
COLOUR = 0.1  # standard deviation of the colour multipliers, section 4.1
FIDELITIES = ("paper", "source2012")
LIMITS = (0.0, 1.0, 2.0, 4.0)  # grey levels; the share of smaller differences is shown for each
ROUNDING = 1e-3  # grey levels; the mean is subtracted in float32
SHARES = {"added", "waited", "share of the values"}  # columns that a page shows in per cent
TITLES = {  # column of a stored table -> what a page calls it
    "direction": "component",
    "shift, paper": "shift, paper, grey levels",
    "shift, source2012": "shift, source2012, grey levels",
    "top": "top, pixels",
    "left": "left, pixels",
    **{f"shift of {name}": f"shift of {name}, grey levels" for name in "RGB"},
    "share of the values": "proportion of the values",
    "preparing a batch, ms": "preparing a minibatch, ms",
    "added": "added by the loader",
    "waited": "waiting for minibatches",
}
COLOURS = {"R", "G", "B", "shift, paper", "shift, source2012"}  # with one number of decimals


class Settings(Frozen):
    """The notebook's parameters."""

    profile: Profile
    data: str  # the data set whose images are shown
    count: int = Field(ge=10)  # number of its training images, the same for each class
    size: int = Field(ge=16)  # side of the stored square, pixels
    crop: int = Field(ge=8)  # side of what the net sees
    image: int = Field(ge=0)  # the image that is followed
    versions: int = Field(ge=1)  # augmented versions of it
    steps: int = Field(ge=4)  # training steps that are timed, per seed
    seeds: Seeds
    device: Device = "cpu"  # on which the steps are timed

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.crop > self.size:
            raise ValueError(
                f"crop is {self.crop}, and the stored images have {self.size}; lower it to that or"
                " less"
            )
        return self


settings = settings_of(Settings, EXPERIMENT)


class Material(NamedTuple):
    """The images that the pictures show."""

    settings: Settings
    store: Store
    statistics: Statistics


def recipe(settings: Settings, fidelity: str = "paper", files: str = "raw") -> Recipe:
    """Return a recipe with full augmentation on the images that are shown."""
    values = baseline(settings.profile).model_dump()
    values["data"] = Data(
        name=settings.data,
        count=settings.count,
        size=settings.size,
        crop=settings.crop,
        augment=True,
        colour=COLOUR,
        files=files,
    ).model_dump()
    values["net"] = AlexNetSpec(fidelity=fidelity).model_dump()
    return Recipe.model_validate(values | {"batch": min(values["batch"], settings.count)})


def open_material(settings: Settings) -> Material:
    """Load the stored images and their statistics.

    Raises InputError if the data set is not available.
    """
    store = prepare(selected(recipe(settings).data, "train"), settings.size)
    if settings.image >= len(store.index):
        raise InputError(
            f"{EXPERIMENT}: image is {settings.image}, and there are {len(store.index)} training"
            " images; choose a lower number"
        )
    return Material(settings, store, statistics(store))


def walk(material: Material) -> dict[str, np.ndarray]:
    """Return one image after each step of the data path: name -> uint8 (H, W, 3)."""
    chosen, row, stats = recipe(material.settings), material.settings.image, material.statistics
    draws = draws_of(material, "paper", epoch=0)
    stored = np.asarray(material.store.images[row])
    side, top, left = chosen.data.side, int(draws.top[0]), int(draws.left[0])
    flip = draws._replace(flip=np.ones(1, bool))
    transform = Transform(chosen, stats)
    shifted = transform.training(material.store.images, np.array([row]), flip)[0]
    unshifted = transform.training(material.store.images, np.array([row]), flip, colour=False)[0]
    mean = stats.mean[top : top + side, left : left + side][:, ::-1]
    return {
        "original": read_image(material.store.index, row),
        f"shorter side {material.settings.size},\ncentral square": stored,
        f"random crop of {side}": stored[top : top + side, left : left + side],
        "reflected": shown(unshifted + mean),
        "colour shift": shown(shifted + mean),
        "mean image subtracted\n(grey is 0)": shown(shifted / 2 + 127.5),
    }


def draws_of(material: Material, fidelity: str, epoch: int) -> Draws:
    """Return the draws of the followed image in one epoch."""
    index = material.store.index
    return draws_for(
        recipe(material.settings, fidelity),
        epoch,
        index.ids[[material.settings.image]],
        np.zeros(1, np.int64),
    )


def gallery(material: Material, fidelity: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Return versions of one image in successive epochs, and their draws.

    The versions have the mean added back: uint8 (V, side, side, 3).
    """
    chosen = recipe(material.settings, fidelity)
    each = [draws_of(material, fidelity, epoch) for epoch in range(material.settings.versions)]
    draws = Draws(*(np.concatenate(parts) for parts in zip(*each, strict=True)))
    rows = np.full(len(draws.top), material.settings.image)
    images = Transform(chosen, material.statistics).training(material.store.images, rows, draws)
    grey = shifts(material.statistics, draws.normals, COLOUR, fidelity)
    table = pd.DataFrame(
        {"epoch": range(len(rows)), "top": draws.top, "left": draws.left, "reflected": draws.flip}
    )
    for channel, name in enumerate("RGB"):
        table[f"shift of {name}"] = grey[:, channel]
    divisor = image_divisor(COLOUR, fidelity)
    return shown(images * divisor + material.statistics.channel_mean.astype(np.float32)), table


def shown(image: np.ndarray) -> np.ndarray:
    """Convert an image to uint8 for display; values outside 0 to 255 are clipped."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def directions(stats: Statistics) -> pd.DataFrame:
    """Return the principal directions of the RGB values, and the colour shift along each.

    The shift is one standard deviation, in grey levels.
    """
    rows = []
    for i in range(3):
        one = np.zeros((1, 3))
        one[0, i] = 1
        rows.append({"direction": i + 1, "eigenvalue": stats.eigenvalues[i]})
        rows[-1] |= {
            f"{name}": stats.eigenvectors[channel, i] for channel, name in enumerate("RGB")
        }
        rows[-1] |= {
            f"shift, {side}": float(np.linalg.norm(shifts(stats, one, COLOUR, side)))
            for side in FIDELITIES
        }
    return pd.DataFrame(rows)


def colours(material: Material, fidelity: str, multipliers: tuple[float, ...]) -> np.ndarray:
    """Return the central crop shifted along each direction by multiples of 0.1.

    uint8 (3, M, side, side, 3), one row per direction.
    """
    chosen = recipe(material.settings, fidelity)
    middle = central(1, chosen.data.size, chosen.data.side)
    plain = Transform(chosen, None).crops(
        material.store.images, np.array([material.settings.image]), middle
    )[0]
    grid = [np.eye(3)[[i]] * m for i in range(3) for m in multipliers]
    grey = shifts(material.statistics, np.concatenate(grid), COLOUR, fidelity)
    images = shown(plain + grey[:, None, None, :])
    return images.reshape(3, len(multipliers), *images.shape[1:])


def effects(material: Material) -> pd.DataFrame:
    """Measure how paper and source differ in the data, for the chapter of the deviations."""
    one = np.array([[1.0, 0.0, 0.0]])
    rows = [
        {
            "effect": f"colour-spread {side}",
            "value": float(np.linalg.norm(shifts(material.statistics, one, COLOUR, side))),
        }
        for side in FIDELITIES
    ]
    rows.append(
        {
            "effect": "mean-alignment",
            "value": mean_misalignment(material.statistics.mean, material.settings.crop),
        }
    )
    return pd.DataFrame(rows)


def mean_misalignment(mean: np.ndarray, crop: int) -> float:
    """Return how far the mean image under a crop is from its central part, in grey levels.

    Root mean square over all places of the crop.
    """
    middle = (len(mean) - crop) // 2
    fixed = mean[middle : middle + crop, middle : middle + crop]
    # (P, P, 3, crop, crop), a view
    windows = np.lib.stride_tricks.sliding_window_view(mean, (crop, crop), axis=(0, 1))
    squares = sum(
        float(np.square(row - fixed.transpose(2, 0, 1), dtype=np.float64).sum()) for row in windows
    )
    return math.sqrt(squares / windows.size)


class Parity(NamedTuple):
    """The same minibatch from two pipelines, from the data set's own files."""

    names: tuple[str, str]
    # float32 (N, side, side, 3), mean subtracted, grey levels
    images: tuple[np.ndarray, np.ndarray]
    table: pd.DataFrame  # difference, share of the values


def parity(settings: Settings) -> Parity | None:
    """Load the first minibatch of epoch 0 by the reference and by DALI.

    None if DALI is not installed.
    """
    if find_spec("nvidia") is None or find_spec("nvidia.dali") is None:
        return None
    names, images = [], []
    for backend in ("reference", "dali"):
        loaders = open_loaders(recipe(settings, files="encoded"), backend=backend)
        with contextlib.closing(loaders.training.epoch(0)) as batches:
            images.append(next(batches).images.movedim(1, -1).numpy())
        names.append(loaders.training.backend)
        loaders.close()
    return Parity(tuple(names), tuple(images), _distances(*images))


def _distances(first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    """Return the share of values that differ by at most each limit."""
    away = np.abs(first - second)
    largest = float(away.max())
    limits = {f"up to {limit:g}": limit for limit in LIMITS if limit + ROUNDING < largest} | {
        f"up to {largest:.3g}, the largest": largest
    }
    shares = [float((away <= limit + ROUNDING).mean()) for limit in limits.values()]
    return pd.DataFrame({"difference, grey levels": list(limits), "share of the values": shares})


def worst(pair: Parity) -> int:
    """Return the image of the minibatch on which the two pipelines differ most."""
    return int(np.abs(pair.images[0] - pair.images[1]).mean((1, 2, 3)).argmax())


def data_card(name: str, crop: int) -> str:
    """Describe the contents of a data set as Markdown, every file decoded."""
    return card(verify(name, crop=crop).dump())


def positions_text(settings: Settings) -> str:
    """Describe how many places the crop has, by fidelity."""
    counts = {side: positions(recipe(settings, side)) for side in FIDELITIES}
    return "\n".join(
        f"{side}: {n} x {n} places of the crop, each reflected or not:"
        f" {2 * n * n} versions of an image"
        for side, n in counts.items()
    )


def write(
    settings: Settings, effects: pd.DataFrame, timings: pd.DataFrame, measurement: Measurement
) -> None:
    """Store the measurements for the ledger and the chapter of the deviations."""
    tables = {"effects": effects, "timings": timings}
    store_tables(settings.profile, EXPERIMENT, tables, [measurement])


def html(table: pd.DataFrame) -> str:
    """Render a table for the page; a column of measured numbers has one number of decimals."""
    formats = {
        column: aligned(table[column]) for column, kind in table.dtypes.items() if kind.kind == "f"
    }
    formats |= {column: "{:.1%}".format for column in SHARES & set(table)}
    formats |= {column: "{:.2f}".format for column in COLOURS & set(table)}
    formats |= {
        column: lambda value: "yes" if value else "no"
        for column, kind in table.dtypes.items()
        if kind.kind == "b"
    }
    formats = {TITLES.get(column, column): form for column, form in formats.items()}
    return html_table(table.rename(columns=TITLES), formats)
