"""Figure of section 3.3's nets on CIFAR-10: errors and gains over the length of training."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.figures import PALETTE, PAPER, SMALL, WIDTH, legend_entries, nothing, style

SHAPES = ("o", "s", "^", "D", "v")
SHIFT = 0.09  # between the marks of two nets at one epoch


def over_length(
    stages: pd.DataFrame,
    gains: pd.DataFrame,
    titles: Mapping[str, str],
    paper: Mapping[str, float],
    rates: Mapping[tuple[int, int], str],
) -> Figure:
    """Draw each net's test error, and its difference from the 11% net's, over training.

    One column per planned length, one place per epoch at which the nets were tested.

    ``stages``: columns variant, epochs (planned), epoch, error (per cent), one row per run and
    epoch. ``gains``: columns epochs, epoch, variant, mean, low, high (percentage points).
    ``titles``: what the nets are called; some have the same title at different lengths. ``paper``:
    what the paper's lines are called -> error, per cent; the difference of the two is drawn too.
    ``rates``: (planned, epoch) -> the learning rate, as text.
    """
    if stages.empty:
        return nothing("no run is stored yet")
    places = {
        length: sorted(set(rows["epoch"])) for length, rows in stages.groupby("epochs", sort=True)
    }
    nets = list(dict.fromkeys(titles.values()))
    marks = {
        title: (PALETTE[place], SHAPES[place], (place - (len(nets) - 1) / 2) * SHIFT)
        for place, title in enumerate(nets)
    }
    with style():
        figure, axes = plt.subplots(
            2,
            len(places),
            figsize=(WIDTH, 5.4),
            sharex="col",
            sharey="row",
            squeeze=False,
            width_ratios=[len(epochs) for epochs in places.values()],
            layout="constrained",
        )
        for (upper, lower), (length, epochs) in zip(axes.T, places.items(), strict=True):
            for variant, title in titles.items():
                of = (stages["epochs"] == length) & (stages["variant"] == variant)
                _errors(upper, stages[of], epochs, marks[title], title)
                of = (gains["epochs"] == length) & (gains["variant"] == variant)
                _gains(lower, gains[of], epochs, marks[title])
            labels = [
                ", ".join(filter(None, [rates.get((length, epoch)), str(epoch)]))
                for epoch in epochs
            ]
            lower.set_xticks(range(len(epochs)), labels, rotation=90)
            lower.set(xlabel=f"of {length} epochs", xlim=(-0.5, len(epochs) - 0.5))
            if gains[gains["epochs"] == length].empty:
                _say_nothing(lower)
        _paper_lines(axes, paper)
        axes[0, 0].set_ylabel("test error over ten views,\nper cent")
        axes[1, 0].set_ylabel("difference from the net with\nnormalisations, points")
        figure.legend(*legend_entries(axes[0]), loc="outside lower center", ncols=3)
    return figure


def _errors(axis: Axes, rows: pd.DataFrame, epochs: list[int], mark: tuple, title: str) -> None:
    """Draw the mean error and the range over seeds at every epoch."""
    if rows.empty:
        return
    colour, shape, shift = mark
    errors = rows.groupby("epoch")["error"].agg(["mean", "min", "max"])
    x = np.array([epochs.index(epoch) for epoch in errors.index]) + shift
    axis.plot(x, errors["mean"], "-", marker=shape, color=colour, label=title, markersize=5)
    axis.vlines(x, errors["min"], errors["max"], color=colour, linewidth=1.5)


def _gains(axis: Axes, rows: pd.DataFrame, epochs: list[int], mark: tuple) -> None:
    """Draw the mean gain with its interval at every epoch; hollow: no interval, for one seed."""
    colour, shape, shift = mark
    rows = rows.sort_values("epoch")
    x = np.array([epochs.index(epoch) for epoch in rows["epoch"]]) + shift
    axis.plot(x, rows["mean"], "-", color=colour)
    for place, row in zip(x, rows.itertuples(), strict=True):
        known = pd.notna(row.low)
        face = colour if known else "white"
        axis.plot(place, row.mean, shape, color=colour, markerfacecolor=face, markersize=5)
        if known:
            axis.vlines(place, row.low, row.high, color=colour, linewidth=1.5)


def _say_nothing(axis: Axes) -> None:
    """Say why the lower panel of a length is empty."""
    axis.text(
        0.5, 0.5, "no 11% net\nof this length", transform=axis.transAxes,
        ha="center", va="center", color="0.4", fontsize=SMALL,
    )  # fmt: skip


def _paper_lines(axes: np.ndarray, paper: Mapping[str, float]) -> None:
    """Draw the paper's two errors in the upper panels, and their difference in the lower ones."""
    gap = max(paper.values()) - min(paper.values())
    for upper, lower in axes.T:
        for error in paper.values():
            upper.axhline(error, color=PAPER, linewidth=1, linestyle="--", label="the paper")
        lower.axhline(0, color="0.6", linewidth=1)
        lower.axhline(gap, color=PAPER, linewidth=1, linestyle="--")
    for label, error in paper.items():
        _label(axes[0, -1], label, error)
    low, high = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(min(low, min(paper.values()) - 0.1 * (high - low)), high)
    _label(axes[1, -1], f"{gap:g} points", gap)


def _label(axis: Axes, text: str, height: float) -> None:
    """Write beside the last panel, where no curve can cross the text."""
    axis.annotate(
        text,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        ha="left",
        va="center",
        color=PAPER,
        fontsize=SMALL,
    )
