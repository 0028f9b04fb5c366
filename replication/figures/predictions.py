"""Figure 4: test images with their predictions, and queries with their nearest neighbours.

Predictions are the five most probable labels; neighbours are training images.
"""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.figures import PALETTE, SMALL, WIDTH, style

# the paper's pink and blue, told apart by the colour-blind too
RIGHT, WRONG = PALETTE[1], PALETTE[0]
LABELS = 5
ACROSS = 4  # images per row, as in the paper
CHARACTERS = 22  # of a label that are shown


def predictions(
    images: np.ndarray,
    labels: np.ndarray | None,
    p: np.ndarray,
    titles: Sequence[str],
    captions: Sequence[str] | None = None,
) -> Figure:
    """Draw images in rows of four, with bars of the five most probable labels beneath each.

    ``images`` uint8 (n, S, S, 3); ``p`` (n, K) probabilities; ``titles`` the K names. ``labels``
    (n,) are the right ones: each is written above its image, and its bar, if it is among the five,
    has its own tint. Without them the n ``captions`` are written above the images."""
    if captions is None:
        captions = [titles[label] for label in labels]
    rows = -(-len(images) // ACROSS)
    with style():
        figure, axes = plt.subplots(
            2 * rows,
            ACROSS,
            figsize=(WIDTH, 2.95 * rows),
            squeeze=False,
            height_ratios=[1.6, 1] * rows,
            layout="constrained",
        )
        for axis in axes.flat:
            axis.axis("off")
        for place, (image, caption, own) in enumerate(zip(images, captions, p, strict=True)):
            row, column = divmod(place, ACROSS)
            above, below = axes[2 * row, column], axes[2 * row + 1, column]
            above.imshow(image)
            above.set_title(_short(caption), fontsize=SMALL)
            _bars(below, own, None if labels is None else labels[place], titles)
            if row == rows - 1:
                below.set_xlabel("probability", fontsize=SMALL)
    return figure


def _bars(axis: Axes, p: np.ndarray, label: int | None, titles: Sequence[str]) -> None:
    best = np.argsort(-p, kind="stable")[:LABELS]
    axis.axis("on")
    axis.barh(
        range(len(best)),
        p[best],
        color=[RIGHT if k == label else WRONG for k in best],
        alpha=0.65,
        height=0.85,
    )
    for height, k in enumerate(best):
        axis.text(0.01, height, _short(titles[k]), va="center", fontsize=SMALL)
    axis.set(xlim=(0, 1), ylim=(LABELS - 0.5, -0.5), yticks=[])
    axis.set_xticks([0, 0.5, 1], ["0", "½", "1"], fontsize=SMALL)
    axis.tick_params(length=0)
    axis.grid(axis="y", visible=False)


def neighbours(
    queries: np.ndarray,
    titles: Sequence[str],
    by_features: np.ndarray,
    by_pixels: np.ndarray,
    same: tuple[np.ndarray, np.ndarray],
) -> Figure:
    """Draw each query with its nearest training images by features and, beneath, by pixels.

    Images of the query's class have a frame.

    ``queries`` uint8 (n, S, S, 3) and their n ``titles``, the others uint8 (n, k, S, S, 3);
    ``same`` two boolean (n, k): is of the query's class."""
    n, k = by_features.shape[:2]
    with style():
        ratios = [1, 0.25] + [1] * k
        figure, axes = plt.subplots(
            2 * n,
            k + 2,
            figsize=(WIDTH, 2 * n * WIDTH / (k + 1.45) + 0.3),
            squeeze=False,
            width_ratios=ratios,
            layout="constrained",
        )
        for axis in axes.flat:
            axis.axis("off")
        for query in range(n):
            axes[2 * query, 0].imshow(queries[query])
            below = axes[2 * query + 1, 0]
            below.text(
                0.5,
                1,
                textwrap.fill(titles[query], 14),
                ha="center",
                va="top",
                fontsize=SMALL,
                transform=below.transAxes,
            )
            for way, (words, images_of) in enumerate(
                (("features", by_features), ("pixels", by_pixels))
            ):
                row = axes[2 * query + way]
                row[1].text(
                    0.5,
                    0.5,
                    words,
                    rotation=90,
                    ha="center",
                    va="center",
                    fontsize=SMALL,
                    transform=row[1].transAxes,
                )
                for axis, image, is_same in zip(
                    row[2:], images_of[query], same[way][query], strict=True
                ):
                    axis.imshow(image)
                    if is_same:
                        _frame(axis)
        axes[0, 0].set_title("query", fontsize=SMALL)
        axes[0, 2].set_title("nearest first", fontsize=SMALL, loc="left")
    return figure


def _frame(axis: Axes) -> None:
    axis.axis("on")
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set(visible=True, color=RIGHT, linewidth=3)


def _short(title: str) -> str:
    return title if len(title) <= CHARACTERS else f"{title[: CHARACTERS - 1]}…"
