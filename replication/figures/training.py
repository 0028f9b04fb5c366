"""Learning curves: training and validation error with the drops of the rate, first epochs."""

import textwrap

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from replication.figures import PALETTE, PAPER, WIDTH, legend_entries, nothing, style

TRAIN, VALIDATION = PALETTE[0], PALETTE[1]
DASHES = ("-", "--", ":", "-.")
CHARACTERS = 84  # of titles that fit beside each other


def curves(runs: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Draw training (running) and validation error against epochs, one panel per variant.

    Lines are means over the seeds, bands their range.

    ``runs``: columns variant, seed, epoch, running_error, validation_error (fractions), rate. A
    dotted line marks a drop of a run's rate."""
    shown = [name for name in titles if name in set(runs["variant"])]
    if not shown:
        return nothing("no run is stored yet")
    with style():
        figure, axes = plt.subplots(
            1,
            len(shown),
            figsize=(WIDTH, 3.4),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, name in zip(axes[0], shown, strict=True):
            here = runs[runs["variant"] == name]
            _errors(axis, here)
            for place, epoch in enumerate(drops(here)):
                label = None if place else "learning rate drops"
                axis.axvline(epoch, color=PAPER, linestyle=":", linewidth=1, label=label)
            axis.set(title=textwrap.fill(titles[name], CHARACTERS // len(shown)), xlabel="epochs")
            axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes[0, 0].set_ylabel("top-1 error")
        figure.legend(*legend_entries(axes[0]), loc="outside lower center", ncols=3)
    return figure


def _errors(axis: Axes, here: pd.DataFrame) -> None:
    for column, label, colour, line in (
        ("running_error", "training (running)", TRAIN, "-"),
        ("validation_error", "validation", VALIDATION, "--"),
    ):
        if column in here and here[column].notna().any():
            errors = here.groupby("epoch")[column].agg(["mean", "min", "max"])
            axis.plot(errors.index, errors["mean"], line, color=colour, label=label)
            axis.fill_between(
                errors.index, errors["min"], errors["max"], color=colour, alpha=0.2, linewidth=0
            )


def drops(runs: pd.DataFrame) -> list[float]:
    """Return the epochs after which the rate of some run dropped, ascending.

    ``runs`` has columns seed, epoch and rate."""
    epochs = set()
    for _, run in runs.sort_values("epoch").groupby("seed"):
        epochs |= set(run["epoch"][run["rate"] < run["rate"].shift()] - 1)
    return sorted(epochs)


def early(runs: pd.DataFrame, labels: dict[str, str], epochs: int) -> Figure:
    """Draw the training loss of the first ``epochs`` epochs of each variant of ``labels``.

    Thin lines are single seeds.

    ``runs``: columns variant, seed, epoch, loss (nats)."""
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 3.0), layout="constrained")
        for place, (name, label) in enumerate(labels.items()):
            here = runs[(runs["variant"] == name) & (runs["epoch"] <= epochs)]
            for _, run in here.groupby("seed"):
                axis.plot(run["epoch"], run["loss"], color=PALETTE[place], linewidth=0.7, alpha=0.5)
            mean = here.groupby("epoch")["loss"].mean()
            axis.plot(mean.index, mean, DASHES[place], color=PALETTE[place], label=label)
        axis.set(xlabel="epochs", ylabel="training loss, nats")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend()
    return figure
