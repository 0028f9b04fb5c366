"""Figures of section 6: errors of single and averaged nets, and what each step gains."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.figures import PALETTE, PAPER, WIDTH, style

COLOURS = {"top1": PALETTE[0], "top5": PALETTE[1]}
MARKERS = {"top1": "o", "top5": "s"}
NAMES = {"top1": "top-1, mean", "top5": "top-5, mean"}
STEPS = {  # what a reader calls a step, where its name in the tables is too short
    "five": "average of five",
    "seven": "average of two\npre-trained and five",
}


def errors(table: pd.DataFrame, models: Sequence[str]) -> Figure:
    """Draw the top-1 and top-5 error of each model.

    A small mark is a net or an average, a large one their mean.

    ``table``: columns model, top1, top5 (per cent), one row for each net or average."""
    shown = [model for model in models if model in set(table["model"])][::-1]
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 1.2 + 0.5 * len(shown)), layout="constrained")
        for k in COLOURS:
            values = [table.loc[table["model"] == model, k] for model in shown]
            _dots(axis, k, np.arange(len(shown)), values)
        axis.set_yticks(range(len(shown)), shown)
        axis.set_ylim(-0.5, len(shown) - 0.5)
        axis.set(xlabel="test error, per cent")
        _ring(axis, "one net or average")
        figure.legend(loc="outside upper right", ncols=3)
    return figure


def gains(frame: pd.DataFrame, paper: Mapping[tuple[str, str], float]) -> Figure:
    """Draw what each step gains, in percentage points.

    A small mark is a seed or group, a large one the mean, a grey bar the paper.

    ``frame``: columns gain, k ("top1", "top5"), value. ``paper``: by (gain, k)."""
    steps = list(dict.fromkeys(frame["gain"]))[::-1]
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 1.4 + 0.6 * len(steps)), layout="constrained")
        axis.axvline(0, color="0.6", linewidth=1)
        for shift, k in zip((0.15, -0.15), COLOURS, strict=True):
            places = np.arange(len(steps)) + shift
            of = frame[frame["k"] == k]
            _dots(axis, k, places, [of.loc[of["gain"] == step, "value"] for step in steps])
            for place, step in zip(places, steps, strict=True):
                if (step, k) in paper:
                    axis.plot(
                        paper[step, k], place, "|", color=PAPER, markersize=14, markeredgewidth=2
                    )
        _ring(axis, "one seed or group")
        axis.plot([], [], "|", color=PAPER, markersize=12, markeredgewidth=2, label="the paper")
        axis.set_yticks(range(len(steps)), [STEPS.get(step, step) for step in steps])
        axis.set(xlabel="gain: decrease of the test error, percentage points")
        figure.legend(loc="outside upper right", ncols=4)
    return figure


def _ring(axis: Axes, label: str) -> None:
    """Name the small marks in the legend."""
    axis.plot([], [], "o", color="0.5", markersize=4, markerfacecolor="white", label=label)


def _dots(axis: Axes, k: str, places: np.ndarray, values: Sequence[pd.Series]) -> None:
    """Draw each group of values as small marks at its height, and its mean as a large one."""
    for number, (place, group) in enumerate(zip(places, values, strict=True)):
        colour, heights = COLOURS[k], [place] * len(group)
        small = {"markersize": 4, "markerfacecolor": "white", "alpha": 0.6}
        axis.plot(group, heights, MARKERS[k], color=colour, **small)
        label = NAMES[k] if number == 0 else None
        axis.plot(group.mean(), place, MARKERS[k], color=colour, markersize=8, label=label)
