"""Learning curves: Figure 1 of the paper, and the search for each activation's rate
behind it.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from replication.figures import PALETTE, PAPER, SMALL, WIDTH, style

LINES = {"relu": "-", "tanh": "--", "logistic": ":"}  # solid and dashed, as in the paper
COLOURS = dict(zip(LINES, PALETTE, strict=False))
LABELS = {"relu": "ReLU", "tanh": "tanh", "logistic": "logistic"}
REGIMES = {
    "source2012": "2012: inputs 0-255 minus the mean,\nreleased initialisation",
    "modern": "modern: scaled inputs,\nfan-in initialisation",
}


def figure1(curves: pd.DataFrame, table: pd.DataFrame, mark: float) -> Figure:
    """Draw training error against epochs, in the paper's form, one panel per regime.

    ``curves``: columns regime, activation, seed, epoch, running_error, exact_error (fractions).
    ``table``: regime, activation, seed, epochs_to_mark. A line is the mean over the seeds that are
    still running, its band reaches from the lowest to the highest."""
    regimes = list(dict.fromkeys(curves["regime"]))
    with style():
        figure, axes = plt.subplots(
            1,
            len(regimes),
            figsize=(WIDTH, 3.5),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, regime in zip(axes[0], regimes, strict=True):
            _panel(axis, curves[curves["regime"] == regime], table[table["regime"] == regime], mark)
            axis.set_title(REGIMES[regime])
        axes[0, 0].set_ylabel("training error rate")
    return figure


def _panel(axis: Axes, curves: pd.DataFrame, table: pd.DataFrame, mark: float) -> None:
    for activation, runs in curves.groupby("activation", sort=False):
        colour, line = COLOURS[activation], LINES[activation]
        by_epoch = runs.groupby("epoch")
        running = by_epoch["running_error"].agg(["mean", "min", "max"])
        axis.plot(running.index, running["mean"], line, color=colour, label=LABELS[activation])
        axis.fill_between(
            running.index, running["min"], running["max"], color=colour, alpha=0.2, linewidth=0
        )
        exact = by_epoch["exact_error"].mean()
        axis.plot(exact.index, exact, line, color=colour, linewidth=0.8, alpha=0.6)
        reached = table.loc[table["activation"] == activation, "epochs_to_mark"].dropna()
        axis.plot(
            reached,
            [mark] * len(reached),
            "o",
            color=colour,
            markersize=5,
            markeredgecolor="white",
            clip_on=False,
            zorder=3,
        )
    axis.axhline(mark, color=PAPER, linewidth=1)
    axis.annotate(
        f"{mark:.0%}",
        (1, mark),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color=PAPER,
        fontsize=SMALL,
    )
    axis.set(xlabel="epochs", xlim=(0, None), ylim=(0, None))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(loc="upper right")


def rate_search(selection: pd.DataFrame, mark: float) -> Figure:
    """Draw epochs to the target error against the rates tried, one panel per regime.

    The chosen rate is filled, a rate that did not get there is a cross.

    ``selection``: columns regime, activation, rate, epochs (NaN: not within the cap), cap, chosen;
    one row for each seed."""
    regimes = list(dict.fromkeys(selection["regime"]))
    with style():
        figure, axes = plt.subplots(
            1,
            len(regimes),
            figsize=(WIDTH, 2.9),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, regime in zip(axes[0], regimes, strict=True):
            for activation, tried in selection[selection["regime"] == regime].groupby(
                "activation", sort=False
            ):
                colour = COLOURS[activation]
                tried = tried.groupby("rate").agg(
                    {"epochs": lambda e: e.mean(skipna=False), "cap": "max", "chosen": "any"}
                )
                axis.plot(
                    tried.index,
                    tried["epochs"],
                    LINES[activation],
                    color=colour,
                    label=LABELS[activation],
                )
                reached, missed = tried.dropna(subset="epochs"), tried[tried["epochs"].isna()]
                faces = [colour if chosen else "white" for chosen in reached["chosen"]]
                axis.scatter(
                    reached.index, reached["epochs"], edgecolor=colour, facecolor=faces, zorder=3
                )
                axis.scatter(missed.index, missed["cap"], color=colour, marker="x", zorder=3)
            axis.set_title(REGIMES[regime])
            axis.set(xscale="log", xlabel="learning rate", ylim=(0, None))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_xticks(
                rates := sorted(set(selection.loc[selection["regime"] == regime, "rate"])),
                [f"{r:g}" for r in rates],
            )
            axis.legend()
        axes[0, 0].set_ylabel(f"epochs to {mark:.0%}")
    return figure
