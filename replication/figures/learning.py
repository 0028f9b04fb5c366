"""Figure 1 of the paper beside ours, its identification, and the search for the rates."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from replication.figures import PALETTE, PAPER, WIDTH, legend_entries, nothing, style
from replication.paper.figures import figure1 as paper_figure1
from replication.paper.figures import figure1_ratio

LINES = {"relu": "-", "tanh": "--", "logistic": ":", "abs_tanh": "-."}  # as in the paper, and more
COLOURS = dict(zip(LINES, PALETTE, strict=False))
LABELS = {"relu": "ReLU", "tanh": "tanh", "logistic": "logistic", "abs_tanh": "|tanh|"}
DEFINITIONS = {
    "exact_error": "over all images, after the epoch",
    "last_fifth_error": "mean over the epoch's last fifth",
    "running_error": "mean over the epoch's minibatches",
}
SHAPES = "osD"  # of the definitions
MARKERS = "osD^v<>pXhd8"  # of the candidates
REGIMES = {  # title -> candidates whose curves share a panel
    "started as in 2012": ("19pct", "saturating"),
    "started as today": ("modern", "modern-saturating"),
}
SEARCHED = (("o", "black", "fastest"), ("o", "white", "slower"), ("x", "black", "stopped"))
NOTHING = "no run is stored yet"
CHOOSING = "the run that chose its rate"  # drawn as long as no reporting seed is stored


def reader_name(candidate: str) -> str:
    """Return what a reader calls a candidate: one at a neighbouring rate is the race's net."""
    words = candidate.split()
    if words[:2] != ["neighbouring", "rate"]:
        return candidate
    return f"19pct, {LABELS[words[4]]} at {words[2]}"


def figure1(curves: pd.DataFrame, candidate: str, mark: float, paper: bool = True) -> Figure:
    """Draw training error against epochs in the paper's form: our curves, and the paper's.

    ``curves``: columns candidate, activation, seed, epoch and one for each definition (fractions);
    shown is ``candidate``, in one panel per definition. A line is the mean over the seeds that are
    still running; its band reaches from the lowest to the highest. ``paper``: draw its curves.
    """
    with style():
        figure, axes = plt.subplots(
            1, len(DEFINITIONS), figsize=(WIDTH, 3.5), sharey=True, layout="constrained"
        )
        shown = curves[curves["candidate"] == candidate]
        for axis, (definition, title) in zip(axes, DEFINITIONS.items(), strict=True):
            _panel(axis, shown, definition, mark, paper)
            axis.set_title(textwrap.fill(title, 24))
        axes[0].set_ylabel("training error rate")
        # where a label is long, below the panels
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _panel(axis: Axes, curves: pd.DataFrame, definition: str, mark: float, paper: bool) -> None:
    _ours(axis, curves, definition, ", ours" if paper else "")
    if paper:
        for activation, points in paper_figure1().groupby("activation", sort=False):
            axis.plot(
                points["epoch"],
                points["error"],
                LINES[activation],
                color="black",
                lw=1.2,
                label=f"{LABELS[activation]}, the paper",
                zorder=3,
            )
    _axes(axis, mark)


def _ours(axis: Axes, curves: pd.DataFrame, definition: str, owner: str = "") -> None:
    """Draw the mean and the range over seeds of every activation.

    ``owner`` is added to the labels where the paper's curves are beside ours."""
    for activation, runs in curves.groupby("activation", sort=False):
        colour, line = COLOURS[activation], LINES[activation]
        ours = runs.groupby("epoch")[definition].agg(["mean", "min", "max"])
        label = LABELS[activation] + (f", {CHOOSING}" if runs["selection"].any() else owner)
        axis.plot(ours.index, ours["mean"], line, color=colour, lw=2, label=label)
        axis.fill_between(ours.index, ours["min"], ours["max"], color=colour, alpha=0.25, lw=0)


def _axes(axis: Axes, mark: float) -> None:
    axis.axhline(mark, color=PAPER, linewidth=1)
    axis.set(xlabel="epochs", xlim=(0, None), ylim=(0, 0.75))
    axis.set_yticks(sorted({*(tenth / 10 for tenth in range(8)), mark}))  # names the target
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def regimes(curves: pd.DataFrame, mark: float) -> Figure:
    """Draw every activation's exact training error, one panel per way of starting the net.

    ``curves``: columns candidate, activation, seed, epoch, exact_error (fractions), selection.
    """
    with style():
        figure, axes = plt.subplots(
            1, len(REGIMES), figsize=(WIDTH, 3.5), sharey=True, layout="constrained"
        )
        for axis, (title, candidates) in zip(axes, REGIMES.items(), strict=True):
            shown = curves[curves["candidate"].isin(candidates)]
            _ours(axis, shown, "exact_error")
            _axes(axis, mark)
            axis.set_title(title)
            if shown.empty:
                axis.text(0.5, 0.5, NOTHING, transform=axis.transAxes, ha="center")
            else:
                axis.legend(loc="upper right")
        axes[0].set_ylabel("training error rate")
    return figure


def distances(table: pd.DataFrame) -> Figure:
    """Draw the distance of every candidate to the paper's curves, nearest at the top.

    One panel per curve. A hollow mark is excluded; its shape is the definition. ``table``:
    ``identification.table``: candidate, curve, definition, n, mean, low, high, verdict.
    """
    if table.empty:
        return nothing(NOTHING)
    panels = [curve for curve in ("relu", "tanh", "together") if curve in set(table["curve"])]
    sizes = [len(table[table["curve"] == curve]) for curve in panels]
    height = 1.2 + 0.4 * len(panels) + 0.19 * sum(sizes)
    with style():
        figure, axes = plt.subplots(
            len(panels),
            1,
            figsize=(WIDTH, height),
            sharex=True,
            squeeze=False,
            height_ratios=sizes,
            layout="constrained",
        )
        for axis, curve in zip(axes[:, 0], panels, strict=True):
            rows = table[table["curve"] == curve].sort_values("mean", ascending=False)
            for place, row in enumerate(rows.itertuples()):
                meaning = list(DEFINITIONS).index(row.definition)
                colour = PALETTE[meaning]
                axis.plot([row.low, row.high], [place, place], color=colour, linewidth=1.5)
                face = "white" if row.verdict == "excluded" else colour
                axis.plot(row.mean, place, SHAPES[meaning], color=colour, markerfacecolor=face)
            names = [
                reader_name(row.candidate) + (" (one seed)" if row.n == 1 else "")
                for row in rows.itertuples()
            ]
            axis.set_yticks(range(len(rows)), names)
            axis.set_title(LABELS.get(curve, "both curves"))
            axis.set_ylim(-0.6, len(rows) - 0.4)
        axes[-1, 0].set_xlim(0, None)
        axes[-1, 0].set_xlabel("root mean square distance to the paper's curve, percentage points")
        for place, title in enumerate(DEFINITIONS.values()):
            axes[0, 0].plot([], [], SHAPES[place], color=PALETTE[place], label=title)
        figure.legend(
            loc="outside lower center",
            ncols=3,
            title="meaning of training error (hollow: excluded)",
        )
    return figure


def ratios(table: pd.DataFrame, definition: str, value: float, mark: float) -> Figure:
    """Draw how many times sooner ReLU reaches a training error, against that error.

    ``table``: candidate, definition, mark, ratio, low, high, selection; ``value``: what the paper
    says, at ``mark``. Black: the ratio of the paper's two curves. Dotted: one of the two curves is
    only that of the selection seed.
    """
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 3.8), layout="constrained")
        groups = table[table["definition"] == definition].groupby("candidate", sort=False)
        for place, (candidate, rows) in enumerate(groups):
            colour = PALETTE[place % len(PALETTE)]
            selection = bool(rows["selection"].any())
            label = f"{candidate} (selection seed)" if selection else candidate
            line = ":" if selection else "-"
            shape = {"marker": MARKERS[place % len(MARKERS)], "markersize": 4}  # also in grey
            axis.plot(rows["mark"], rows["ratio"], line, color=colour, label=label, **shape)
            low, high = (rows[name].astype(float) for name in ("low", "high"))
            if np.isfinite(low).all():
                axis.fill_between(rows["mark"], low, high, color=colour, alpha=0.2, linewidth=0)
        paper = figure1_ratio()
        axis.plot(paper["error"], paper["ratio"], color="black", lw=1.2, label="the paper's curves")
        axis.plot(mark, value, "*", color="black", markersize=11, label="the paper's text")
        axis.axhline(1, color=PAPER, linewidth=1)
        axis.set(xlabel="training error reached", ylabel="epochs, saturating function over ReLU")
        axis.set(xlim=(0.62, 0.2), ylim=(0, None))  # falling, as training goes
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.legend()
    return figure


def rate_search(selection: pd.DataFrame, mark: float) -> Figure:
    """Draw the epochs to the target error against the rates tried, one panel per candidate.

    The chosen rate is filled; a rate that did not reach the target is a cross. ``selection``:
    columns candidate, activation, rate, epochs (NaN: not within the cap), cap, chosen; one row per
    selection run.
    """
    if selection.empty:
        return nothing(NOTHING)
    candidates = list(dict.fromkeys(selection["candidate"]))
    columns = min(3, len(candidates))
    rows = -(-len(candidates) // columns)
    size = (WIDTH, 2.6 * rows)
    with style():
        figure, axes = plt.subplots(
            rows, columns, figsize=size, squeeze=False, layout="constrained"
        )
        for axis in axes.flat[len(candidates) :]:
            axis.set_visible(False)
        for axis, candidate in zip(axes.flat, candidates, strict=False):
            tried = selection[selection["candidate"] == candidate]
            for activation, ones in tried.groupby("activation", sort=False):
                _search(axis, activation, ones.sort_values("rate"))
            drawn = tried["epochs"].fillna(tried["cap"])  # as _search places them
            top = 1.1 * float(drawn.max())  # no mark is cut at the frame
            axis.set(xscale="log", xlabel="learning rate", ylim=(0, top), title=candidate)
            axis.xaxis.set_minor_formatter(NullFormatter())
            rates = sorted(set(tried["rate"]))
            axis.set_xticks(rates, [f"{rate:g}" for rate in rates], rotation=60)
        for axis in axes[:, 0]:
            axis.set_ylabel(f"epochs to {mark:.0%}")
        for shape, face, label in SEARCHED:
            axes[0, 0].plot([], [], shape, color="black", markerfacecolor=face, label=label)
        figure.legend(*legend_entries(axes.flat), loc="outside lower center", ncols=5)
    return figure


def _search(axis: Axes, activation: str, tried: pd.DataFrame) -> None:
    colour = COLOURS[activation]
    axis.plot(
        tried["rate"], tried["epochs"], LINES[activation], color=colour, label=LABELS[activation]
    )
    reached, missed = tried.dropna(subset="epochs"), tried[tried["epochs"].isna()]
    faces = [colour if chosen else "white" for chosen in reached["chosen"]]
    axis.scatter(reached["rate"], reached["epochs"], edgecolor=colour, facecolor=faces, zorder=3)
    axis.scatter(missed["rate"], missed["cap"], color=colour, marker="x", zorder=3)
