"""Where a regulariser helps: errors and effects against the number of training images."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from replication.figures import PALETTE, WIDTH, nothing, style

TITLES = {"dropout": "dropout", "crops": "crops and reflections"}
ERRORS = {"test_top1_one": "test error", "train_top1": "training error"}
NETS = {  # dropout, crops -> what a reader calls the net
    (True, True): "dropout and crops",
    (True, False): "dropout only",
    (False, True): "crops only",
    (False, False): "neither",
}
SHIFT = 1.04  # between the two lines of a panel, as a factor on the axis of images


def effects(frame: pd.DataFrame) -> Figure:
    """Draw how much each regulariser lowers the test error, against images of each class.

    One panel per regulariser, one line with and one without the other regulariser. Above zero, the
    net with the regulariser has the lower error. Bars are the simultaneous 95% intervals.

    ``frame``: columns regulariser, other, images, quantity, mean, low, high (points)."""
    shown = frame[frame["quantity"] == "test_top1"]
    if shown.empty:
        return nothing("no effect is known yet")
    with style():
        figure, axes = plt.subplots(
            1, len(TITLES), figsize=(WIDTH, 3.0), sharey=True, layout="constrained"
        )
        for axis, (regulariser, title) in zip(axes, TITLES.items(), strict=True):
            rows = shown[shown["regulariser"] == regulariser]
            axis.axhline(0, color="0.6", linewidth=1)
            for place, (other, line) in enumerate(rows.groupby("other", sort=True)):
                line = line.sort_values("images")
                x = line["images"] * SHIFT ** (place - 0.5)
                low, high = (
                    line[end].astype(float).fillna(line["mean"]) for end in ("low", "high")
                )
                axis.errorbar(
                    x,
                    line["mean"],
                    np.stack([line["mean"] - low, high - line["mean"]]),
                    marker="os"[place],
                    linestyle=("-", "--")[place],
                    color=PALETTE[place],
                    capsize=3,
                    label=other,
                )
            _images_axis(axis, shown)
            axis.set_title(title)
            if len(rows):
                axis.legend()
        axes[0].set_ylabel("top-1 test error without it\nminus with it, percentage points")
    return figure


def errors(table: pd.DataFrame) -> Figure:
    """Draw test and training error against images of each class, one line for each net.

    Lines are means over the seeds, rings are single seeds. ``table``: one row per run, columns
    images, dropout, crops and those of ``ERRORS`` (per cent)."""
    if table.empty:
        return nothing("no error is known yet")
    with style():
        figure, axes = plt.subplots(
            1, len(ERRORS), figsize=(WIDTH, 3.2), sharey=True, layout="constrained"
        )
        for axis, (column, title) in zip(axes, ERRORS.items(), strict=True):
            for place, ((dropout, crops), name) in enumerate(NETS.items()):
                rows = table[(table["dropout"] == dropout) & (table["crops"] == crops)]
                means = rows.groupby("images")[column].mean()
                look = {"color": PALETTE[place], "marker": "osD^"[place], "markersize": 5}
                axis.plot(
                    means.index,
                    means,
                    linestyle=("-", "--", ":", "-.")[place],
                    label=name,
                    **look,
                )
                axis.plot(rows["images"], rows[column], linestyle="", fillstyle="none", **look)
            _images_axis(axis, table)
            axis.set_title(title)
        axes[0].set_ylabel("top-1 error over one view, %")
        axes[0].set_ylim(bottom=-3)  # room for a marker at zero
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(NETS)
        )
    return figure


def _images_axis(axis: Axes, table: pd.DataFrame) -> None:
    """Make the horizontal axis that of the images of each class, with the numbers of ``table``."""
    counts = sorted(set(table["images"]))
    axis.set_xscale("log")
    axis.set_xticks(counts, map(str, counts))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("training images of each class")
