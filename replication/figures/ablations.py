"""Figures of the ablations: the cost of each change, overfitting, and losses."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from replication.figures import PALETTE, PAPER, SMALL, WIDTH, nothing, style

TRAIN, TEST = PALETTE[0], PALETTE[1]
DASHES = ("-", "--", ":", "-.")
MARKERS = "osD^v*"
AS_WRITTEN: Mapping[str, str] = {}  # no variant has another name for the reader
RATES = {0.5: "half", 1.0: "the baseline's", 2.0: "twice"}


def effects(
    differences: pd.DataFrame,
    titles: Mapping[str, str],
    paper: Mapping[str, Mapping[str, float]],
    names: Mapping[str, str] = AS_WRITTEN,
) -> Figure:
    """Draw variant minus baseline in percentage points, one panel per quantity of ``titles``.

    Dot and bar are mean and 95% interval.

    ``differences``: columns variant, quantity, mean, low, high, values (one for each seed, drawn as
    small rings). ``paper``: by quantity and variant, the paper's difference, drawn as a grey bar;
    the panels share their variants. ``names``: what a reader calls the variants, if not so."""
    variants = list(dict.fromkeys(differences["variant"]))[::-1]
    if not variants:
        return nothing("no difference is known yet")
    height = 1.4 + 0.32 * len(variants)
    with style():
        figure, axes = plt.subplots(
            1,
            len(titles),
            figsize=(WIDTH, height),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, (quantity, title) in zip(axes[0], titles.items(), strict=True):
            rows = differences[differences["quantity"] == quantity].set_index("variant")
            _effects(
                axis,
                [variant for variant in variants if variant in rows.index],
                rows,
                variants,
                paper.get(quantity, {}),
            )
            axis.set_title(textwrap.fill(title, 26))
        # one label for all panels: beside long names the panels are narrow
        axes[0, len(titles) // 2].set_xlabel("change, percentage points")
        labels = [names.get(variant, variant) for variant in variants]
        axes[0, 0].set_yticks(range(len(variants)), labels)
        figure.legend(handles=_legend(any(paper.values())), loc="outside lower center", ncols=3)
    return figure


def _effects(
    axis: Axes,
    names: Sequence[str],
    rows: pd.DataFrame,
    variants: list[str],
    paper: Mapping[str, float],
) -> None:
    places = [variants.index(name) for name in names]
    axis.axvline(0, color="0.6", linewidth=1)
    for name, place in zip(names, places, strict=True):
        row = rows.loc[name]
        axis.plot(
            row["values"],
            [place] * len(row["values"]),
            "o",
            markersize=3.5,
            markerfacecolor="white",
            color=TRAIN,
            alpha=0.6,
        )
        if pd.notna(row["low"]):
            axis.plot([row["low"], row["high"]], [place, place], color=TRAIN, linewidth=1.6)
        axis.plot(row["mean"], place, "o", color=TRAIN, markersize=6)
        if name in paper:
            axis.plot(paper[name], place, "|", color=PAPER, markersize=15, markeredgewidth=2)
    shown = np.concatenate(
        [
            *rows.loc[names, "values"].map(np.asarray),
            [paper[name] for name in names if name in paper],
            [0.0],
        ]
    )
    # an interval over two or three seeds may be far wider; it then runs out of the panel
    margin = max(0.2, 0.3 * float(np.ptp(shown)))
    axis.set(xlim=(shown.min() - margin, shown.max() + margin), ylim=(-0.6, len(variants) - 0.4))


def _legend(with_paper: bool) -> list[plt.Line2D]:
    mean = {"color": TRAIN, "marker": "o", "markersize": 6, "linewidth": 1.6}
    ring = {"color": TRAIN, "marker": "o", "markersize": 3.5, "linestyle": "", "alpha": 0.6}
    bar = {"color": PAPER, "marker": "|", "markersize": 12, "linestyle": "", "markeredgewidth": 2}
    handles = [
        plt.Line2D([], [], label="mean and 95% interval", **mean),
        plt.Line2D([], [], label="one seed", markerfacecolor="white", **ring),
        plt.Line2D([], [], label="the paper", **bar),
    ]
    return handles if with_paper else handles[:2]


def gaps(table: pd.DataFrame, names: Mapping[str, str] = AS_WRITTEN) -> Figure:
    """Draw training and test error (top-1, per cent) of each variant, mean over seeds.

    The line that joins them is the overfitting.

    ``table``: columns variant, test_top1_one, train_top1, one row for each run; both over one view.
    ``names``: as for ``effects``."""
    means = table.groupby("variant", sort=False)[["train_top1", "test_top1_one"]].mean()[::-1]
    places = np.arange(len(means))
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 1.2 + 0.3 * len(means)), layout="constrained")
        axis.hlines(places, means["train_top1"], means["test_top1_one"], color="0.7", linewidth=2)
        axis.plot(means["train_top1"], places, "o", color=TRAIN, label="training images")
        axis.plot(means["test_top1_one"], places, "s", color=TEST, label="test images")
        axis.set_yticks(places, [names.get(variant, variant) for variant in means.index])
        axis.set(xlabel="top-1 error over one view, per cent")
        figure.legend(loc="outside upper right", ncols=2)
    return figure


def losses(
    curves: pd.DataFrame,
    panels: Sequence[tuple[str, Sequence[str], float]],
    names: Mapping[str, str] = AS_WRITTEN,
    line: str = "target: {:g}",
) -> Figure:
    """Draw training loss against epochs, one panel with a horizontal line per entry of ``panels``.

    A curve is the mean over seeds, a band reaches from the lowest to the highest.

    ``panels``: title, variants, loss of the line. ``curves``: columns variant, seed, epoch, loss
    (nats, mean of the epoch's minibatches before their updates). ``names``: as for ``effects``.
    ``line``: what is written at the line, of its loss."""
    with style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(WIDTH, 3.0), squeeze=False, layout="constrained"
        )
        for axis, (title, variants, mark) in zip(axes[0], panels, strict=True):
            shown = [name for name in variants if name in set(curves["variant"])]
            for place, name in enumerate(shown):
                loss = (
                    curves[curves["variant"] == name]
                    .groupby("epoch")["loss"]
                    .agg(["mean", "min", "max"])
                )
                axis.plot(
                    loss.index,
                    loss["mean"],
                    DASHES[place % len(DASHES)],
                    color=PALETTE[place],
                    label=names.get(name, name),
                )
                axis.fill_between(
                    loss.index,
                    loss["min"],
                    loss["max"],
                    color=PALETTE[place],
                    alpha=0.2,
                    linewidth=0,
                )
            axis.axhline(mark, color=PAPER, linewidth=1)
            axis.annotate(
                line.format(mark),
                (1, mark),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                color=PAPER,
                fontsize=SMALL,
            )
            axis.set(title=title, xlabel="epochs", ylabel="training loss, nats")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.legend()
    return figure


def rates(table: pd.DataFrame, names: Mapping[str, str] = AS_WRITTEN) -> Figure | None:
    """Draw each variant's test error against its rate, one line per variant; None without runs.

    ``table``: columns variant, factor (of the baseline's rate; text is left out) and test, the mean
    error in per cent. ``names``: as for ``effects``."""
    numbers = table[[not isinstance(factor, str) for factor in table["factor"]]]
    if numbers.empty:
        return None
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
        for place, (name, of) in enumerate(numbers.groupby("variant", sort=False)):
            axis.plot(
                of["factor"].astype(float),
                of["test"],
                f"{MARKERS[place % len(MARKERS)]}{DASHES[place % len(DASHES)]}",
                color=PALETTE[place % len(PALETTE)],
                label=names.get(str(name), name),
            )
        axis.set_xscale("log", base=2)
        axis.set_xticks([*RATES], [*RATES.values()])
        axis.set(xlabel="learning rate", ylabel="top-1 test error, per cent")
        figure.legend(loc="outside upper right", ncols=3)
    return figure
