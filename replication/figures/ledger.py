"""The figure at the ledger's head: every measured effect with its interval.

Lines show where no effect and the paper's own effect are.
"""

import math
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.figures import PAPER, WIDTH, style

LIMITS = (-4.0, 8.0)  # of the axis; what is further out is drawn as an arrow at its end
SHAPES = {  # of the verdicts, whose colours are alike in grey; any other verdict is a dot
    "direction reproduced, other size": "D",
    "direction reproduced": "s",
    "inconclusive": "o",
    "reversed here": "v",
    "reproduced": "*",
    "contradicted": "X",
}
SIZES = {"*": 12, "o": 7, "s": 6, "D": 6}  # points


def effects(table: pd.DataFrame, reference: dict[str, dict[float, str]]) -> Figure:
    """Draw every effect, one panel per scale.

    ``table``: columns panel, label, value, low, high (NaN: no interval; infinite: open), verdict,
    colour. ``reference``: by panel, the places of the lines and their names."""
    # without a measurement the first panel is drawn, empty
    panels = [name for name in reference if (table["panel"] == name).any()] or [*reference][:1]
    sizes = [int((table["panel"] == name).sum()) for name in panels]
    with style():
        figure, axes = plt.subplots(
            len(panels),
            1,
            figsize=(WIDTH, 1.3 * len(panels) + 0.27 * sum(sizes)),
            height_ratios=[size + 1 for size in sizes],
            squeeze=False,
            layout="constrained",
        )
        for axis, name in zip(axes[:, 0], panels, strict=True):
            _panel(axis, table[table["panel"] == name], reference[name])
            axis.set(xlabel=name)
        shown = table.drop_duplicates("verdict")
        handles = [
            plt.Line2D(
                [], [], linestyle="", color=row.colour, label=row.verdict, **_shape(row.verdict)
            )
            for row in shown.itertuples()
        ]
        if handles:
            figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, lines: dict[float, str]) -> None:
    low, high = LIMITS
    for place, name in lines.items():
        axis.axvline(place, color=PAPER, linewidth=1, linestyle="-" if place == 0 else "--")
        axis.annotate(
            name,
            (place, 1),
            xycoords=("data", "axes fraction"),
            ha="right" if place == 0 else "left",
            va="bottom",
            color=PAPER,
            fontsize=9,
        )
    for place, row in enumerate(rows.iloc[::-1].itertuples()):
        if not math.isnan(row.low):
            ends = [min(max(end, low), high) for end in (row.low, row.high)]
            axis.plot(ends, [place, place], color=row.colour, linewidth=1.8)
            if row.low < low:
                axis.plot(low, place, "<", color=row.colour, markersize=5)
            if row.high > high:
                axis.plot(high, place, ">", color=row.colour, markersize=5)
        if not math.isnan(row.value):
            inside = low <= row.value <= high
            away = {"marker": "<" if row.value < low else ">", "markersize": 7}
            shape = _shape(row.verdict) if inside else away
            axis.plot(min(max(row.value, low), high), place, color=row.colour, **shape)
    axis.set(xlim=(low - 0.3, high + 0.3), ylim=(-0.7, len(rows) - 0.3))
    axis.set_yticks(range(len(rows)), list(rows["label"])[::-1])
    axis.grid(axis="y", visible=False)


def _shape(verdict: str) -> dict[str, Any]:
    marker = SHAPES.get(verdict, "o")
    return {"marker": marker, "markersize": SIZES.get(marker, 8)}
