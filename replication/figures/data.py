"""Pictures of the data path (sections 2 and 4.1), and the loader beside the steps."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.figures import PALETTE, PAPER, SMALL, WIDTH, style

STEP, PREPARE, WAIT = PALETTE[0], PALETTE[1], "0.75"


def walk(images: dict[str, np.ndarray]) -> Figure:
    """Draw the stages of one image in a row, in proportion: name -> uint8 (H, W, 3)."""
    with style():
        figure, axes = plt.subplots(
            2, -(-len(images) // 2), figsize=(WIDTH, 5.2), layout="constrained"
        )
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, (name, image) in zip(axes.flat, images.items(), strict=False):
            _picture(axis, image)
            axis.set_title(f"{name}\n{image.shape[1]} x {image.shape[0]}", fontsize=SMALL)
    return figure


def mean_image(mean: np.ndarray) -> Figure:
    """Draw the mean image, float (S, S, 3) in 0-255, and its distance to the channel means."""
    away = (mean - mean.mean((0, 1))).mean(2)
    limit = max(float(np.abs(away).max()), 1e-6)
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.3), layout="constrained")
        _picture(left, np.clip(np.rint(mean), 0, 255).astype(np.uint8))
        left.set_title("mean image", fontsize=SMALL)
        drawn = right.imshow(away, cmap="RdBu_r", vmin=-limit, vmax=limit)
        right.set_axis_off()
        right.set_title("mean image minus its mean over all pixels", fontsize=SMALL)
        figure.colorbar(drawn, ax=right, label="grey levels", shrink=0.8)
    return figure


def colour_grid(images: np.ndarray, multipliers: tuple[float, ...], title: str) -> Figure:
    """Draw an image moved along each principal direction (rows): uint8 (3, M, H, W, 3).

    Columns are multiples of the standard deviation."""
    with style():
        figure, axes = plt.subplots(
            3,
            len(multipliers),
            figsize=(WIDTH, 3.3 * WIDTH / len(multipliers)),
            layout="constrained",
        )
        for i, row in enumerate(axes):
            for axis, image, multiplier in zip(row, images[i], multipliers, strict=True):
                _picture(axis, image)
                if i == 0:
                    axis.set_title(f"{multiplier:+g} SD" if multiplier else "0", fontsize=SMALL)
            row[0].set_axis_on()
            row[0].set(xticks=[], yticks=[])
            row[0].set_ylabel(f"component {i + 1}", fontsize=SMALL)
        figure.suptitle(title, fontsize=SMALL)
    return figure


def gallery(images: np.ndarray) -> Figure:
    """Draw versions of one image, one per epoch: uint8 (V, H, W, 3)."""
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    with style():
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(WIDTH, 1.1 * WIDTH / columns * rows),
            squeeze=False,
            layout="constrained",
        )
        for axis in axes.flat:
            axis.set_axis_off()
        for epoch, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
            _picture(axis, image)
            axis.set_title(f"epoch {epoch}", fontsize=SMALL)
    return figure


def difference(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> Figure:
    """Draw the same image by two pipelines and their difference.

    Both are float (H, W, 3), grey levels around 0."""
    away = np.abs(first - second).max(2)
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.7), layout="constrained")
        for axis, image, name in zip(axes, (first, second), names, strict=False):
            _picture(axis, np.clip(np.rint(image + 127.5), 0, 255).astype(np.uint8))
            axis.set_title(name, fontsize=SMALL)
        drawn = axes[2].imshow(away, cmap="viridis", vmin=0)
        axes[2].set_axis_off()
        axes[2].set_title("largest difference in any channel", fontsize=SMALL)
        figure.colorbar(drawn, ax=axes[2], label="grey levels", shrink=0.8)
    return figure


def timeline(steps: pd.DataFrame, prepared: pd.DataFrame, count: int = 12) -> Figure:
    """Draw the first ``count`` steps and the preparation of batches beside them.

    ``steps`` has columns asked, got and done, ``prepared`` begin and end."""
    steps = steps.head(count)
    end = float(steps["done"].iloc[-1])
    shown = prepared[prepared["begin"] < end]
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 2.1), layout="constrained")
        _bars(axis, 1, steps["asked"], steps["got"], WAIT, "waiting for a minibatch")
        _bars(axis, 1, steps["got"], steps["done"], STEP, "training step")
        _bars(
            axis,
            0,
            shown["begin"],
            shown["end"],
            PREPARE,
            "preparing a minibatch",
        )
        axis.set(
            yticks=[0, 1],
            yticklabels=["loader", "net"],
            xlabel="time, ms",
            xlim=(min(0, 1e3 * float(shown["begin"].min())), 1e3 * end),
        )
        axis.set_ylim(-0.6, 1.6)
        axis.grid(visible=False)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.35), ncols=3, fontsize=SMALL)
    return figure


def rates(table: pd.DataFrame) -> Figure:
    """Draw images per second of each way to load them: columns name, median, low, high."""
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 0.45 * len(table) + 0.9), layout="constrained")
        place = np.arange(len(table))[::-1]
        axis.barh(place, table["median"], color=PALETTE[0], height=0.6)
        spread = np.stack([table["median"] - table["low"], table["high"] - table["median"]])
        axis.errorbar(table["median"], place, xerr=spread, fmt="none", ecolor=PAPER, capsize=3)
        axis.set(
            yticks=place, yticklabels=table["name"], xlabel="images per second", xlim=(0, None)
        )
        axis.grid(visible=False, axis="y")
    return figure


def _bars(
    axis: Axes, place: int, begin: pd.Series, end: pd.Series, colour: object, label: str
) -> None:
    spans = [(1e3 * a, 1e3 * (b - a)) for a, b in zip(begin, end, strict=True)]
    axis.broken_barh(
        spans, (place - 0.35, 0.7), facecolor=colour, edgecolor="white", linewidth=0.5, label=label
    )


def _picture(axis: Axes, image: np.ndarray) -> None:
    axis.imshow(image, interpolation="nearest")
    axis.set_axis_off()
