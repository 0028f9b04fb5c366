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
    "first_fifth_error": "mean over the next epoch's first fifth",
}
FIRST_FIFTH = "first_fifth_error"  # has runs of its own
SHAPES = "osD^"  # of the definitions
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


def figure1(
    curves: pd.DataFrame,
    candidate: str,
    mark: float,
    paper: bool = True,
    fifths: pd.DataFrame | None = None,
) -> Figure:
    """Draw training error against epochs in the paper's form: our curves, and the paper's.

    ``curves``: columns candidate, activation, seed, epoch and one for each definition (fractions);
    shown is ``candidate``, in one panel per definition. A line is the mean over the seeds that are
    still running; its band reaches from the lowest to the highest. ``paper``: draw its curves.
    ``fifths``: the same by ``FIRST_FIFTH``, from epoch 0 on; without rows, it has no panel.
    """
    of_candidate = curves[curves["candidate"] == candidate]
    shown = {definition: of_candidate for definition in DEFINITIONS if definition != FIRST_FIFTH}
    if fifths is not None and len(fifths):
        shown[FIRST_FIFTH] = fifths
    rows = 1 if len(shown) < 4 else 2
    with style():
        figure, axes = plt.subplots(
            rows,
            len(shown) // rows,
            figsize=(WIDTH, 0.7 + 2.8 * rows),
            sharex=True,
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, (definition, curves) in zip(axes.flat, shown.items(), strict=True):
            _panel(axis, curves, definition, mark, paper)
            axis.set_title(textwrap.fill(DEFINITIONS[definition], 24 * rows))
        for axis in axes[:, 0]:
            axis.set_ylabel("training error rate")
        # where a label is long, below the panels
        entries = axes[0, 0].get_legend_handles_labels()
        figure.legend(*entries, loc="outside lower center", ncols=2)
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
    axis.set(xlabel="epochs", xlim=(0, None), ylim=(0, 0.8))  # the paper's lines start at 78%
    axis.set_yticks(sorted({*(tenth / 10 for tenth in range(9)), mark}))  # names the target
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

    One panel per curve, one line per candidate and rate. A hollow mark is excluded; its shape is
    the definition. ``table``: ``identification.table``: candidate, curve, rate, definition, n,
    mean, low, high, verdict.
    """
    if table.empty:
        return nothing(NOTHING)
    lines = {}
    for curve in ("relu", "tanh", "together"):
        rows = table[table["curve"] == curve]
        groups = [group for _, group in rows.groupby(["candidate", "rate"], sort=False)]
        if groups:
            lines[curve] = sorted(groups, key=lambda group: -group["mean"].min())
    sizes = [len(groups) for groups in lines.values()]
    with style():
        figure, axes = plt.subplots(
            len(lines),
            1,
            figsize=(WIDTH, 1.4 + 0.4 * len(lines) + 0.36 * sum(sizes)),
            sharex=True,
            squeeze=False,
            height_ratios=sizes,
            layout="constrained",
        )
        for axis, (curve, groups) in zip(axes[:, 0], lines.items(), strict=True):
            for place, group in enumerate(groups):
                _readings(axis, group, place)
            axis.set_yticks(range(len(groups)), [_line_name(group) for group in groups])
            axis.set_title(LABELS.get(curve, "both curves"))
            axis.set_ylim(-0.6, len(groups) - 0.4)
        axes[-1, 0].set_xlim(0, None)
        axes[-1, 0].set_xlabel("root mean square distance to the paper's curve, percentage points")
        for place, (definition, title) in enumerate(DEFINITIONS.items()):
            if definition in set(table["definition"]):
                axes[0, 0].plot([], [], SHAPES[place], color=PALETTE[place], label=title)
        figure.legend(
            loc="outside lower center",
            ncols=2,
            title="meaning of training error (hollow: excluded)",
        )
    return figure


def _readings(axis: Axes, group: pd.DataFrame, place: int) -> None:
    """Draw a candidate's distances on one line, each definition a little below the one before."""
    for row in group.itertuples():
        meaning = list(DEFINITIONS).index(row.definition)
        colour, height = PALETTE[meaning], place + 0.14 * (1.5 - meaning)
        axis.plot([row.low, row.high], [height, height], color=colour, linewidth=1.5)
        face = "white" if row.verdict == "excluded" else colour
        axis.plot(row.mean, height, SHAPES[meaning], color=colour, markerfacecolor=face, ms=5)


def _line_name(group: pd.DataFrame) -> str:
    first = group.iloc[0]
    plain = reader_name(first["candidate"]) == first["candidate"]
    rate = f" at {first['rate']}" if plain and first["rate"] else ""
    return reader_name(first["candidate"]) + rate + (" (one seed)" if group["n"].max() == 1 else "")


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
