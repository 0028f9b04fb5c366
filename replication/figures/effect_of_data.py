"""Where a regulariser helps: its effect on the test error against the number of training images."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from replication.figures import PALETTE, WIDTH, nothing, style

TITLES = {"dropout": "dropout", "crops": "crops and reflections"}
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
            axis.set_xscale("log")
            counts = sorted(set(shown["images"]))
            axis.set_xticks(counts, map(str, counts))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set(title=title, xlabel="training images of each class")
            if len(rows):
                axis.legend()
        axes[0].set_ylabel("top-1 test error without it\nminus with it, percentage points")
    return figure
