"""Figure 3: conv1's kernels by tower, in both scalings of 2012, and their selectivity."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.analysis.kernels import mosaic
from replication.figures import PALETTE, PAPER, SMALL, WIDTH, style

ROWS = 3  # of a tower's 48 kernels, as in the paper: 16 per row
FEWEST = 6  # kernels per row, if there are as many
SCALINGS = {False: "one scale for the tower's kernels", True: "each kernel normalised first"}
SHAPES = "o^"  # of the towers' kernels
MEASURES = {
    "colourfulness": "colourfulness",
    "orientation": "orientation selectivity",
    "bandwidth": "bandwidth, cycles per pixel",
}


def figure3(towers: list[np.ndarray]) -> Figure:
    """Draw the kernels (n, 3, k, k) of each tower, tower 0 above, in the two scalings.

    Each tower is scaled by itself."""
    n = max(map(len, towers))
    columns = max(-(-n // ROWS), min(n, FEWEST))
    height = 0.49 * WIDTH * -(-n // columns) / columns + 0.35
    with style():
        size = (WIDTH, height * len(towers) + 0.2)
        figure, axes = plt.subplots(
            len(towers), len(SCALINGS), figsize=size, squeeze=False, layout="constrained"
        )
        for tower, (row, kernels) in enumerate(zip(axes, towers, strict=True)):
            for axis, (norm_filters, words) in zip(row, SCALINGS.items(), strict=True):
                axis.imshow(mosaic(kernels, columns, norm_filters), interpolation="nearest")
                axis.axis("off")
                name = f"tower {tower}" if len(towers) > 1 else "one tower"
                axis.set_title(f"{name}: {words}", loc="left")
    return figure


def by_tower(kernels: pd.DataFrame, marks: dict[str, float]) -> Figure:
    """Draw the measures of every kernel, one panel per measure.

    A dot is a kernel, a group of dots a tower of one seed, a bar its mean; grey is the limit of
    untrained kernels.

    ``kernels``: columns seed, tower and the keys of ``MEASURES``. ``marks``: the value of each
    measure that 5% of untrained kernels pass."""
    with style():
        figure, axes = plt.subplots(1, len(MEASURES), figsize=(WIDTH, 3.0), layout="constrained")
        for axis, (measure, words) in zip(axes, MEASURES.items(), strict=True):
            _dots(axis, kernels, measure)
            axis.axhline(marks[measure], color=PAPER, linewidth=1)
            axis.set(ylabel=words, xlabel="seed")
            axis.set_ylim(0, 1.02 if measure != "bandwidth" else None)
        axes[0].plot(
            [], [], color=PAPER, linewidth=1, label="limit that 5% of untrained kernels pass"
        )
        axes[0].plot([], [], color="black", linewidth=2, label="mean of a tower")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def _dots(axis: Axes, kernels: pd.DataFrame, measure: str) -> None:
    seeds = sorted(set(kernels["seed"]))
    for (seed, tower), group in kernels.groupby(["seed", "tower"]):
        middle = seeds.index(seed) + (tower - 0.5) * 0.4
        values = group[measure].dropna().sort_values().to_numpy()
        # the golden ratio: neighbours in value are drawn apart
        spread = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.28
        label = f"tower {tower}" if seed == seeds[0] else None
        axis.plot(
            middle + spread,
            values,
            SHAPES[tower],
            color=PALETTE[tower],
            alpha=0.6,
            markersize=3.2,
            markeredgewidth=0,
            label=label,
        )
        axis.plot(
            [middle - 0.16, middle + 0.16], [values.mean()] * 2, color=PALETTE[tower], linewidth=2
        )
    axis.set_xticks(range(len(seeds)), map(str, seeds))


def specialisation(tests: pd.DataFrame) -> Figure:
    """Draw the towers' difference in colourfulness over chance, one dot per net.

    ``tests`` has columns net, seed, ratio and p."""
    nets = list(dict.fromkeys(tests["net"]))
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 0.7 * len(nets) + 1.0), layout="constrained")
        for place, net in enumerate(nets):
            rows = tests[tests["net"] == net]
            sure = rows["p"] < 0.05
            axis.plot(
                rows.loc[sure, "ratio"],
                [place] * sure.sum(),
                "o",
                color=PALETTE[place],
                clip_on=False,
            )
            axis.plot(
                rows.loc[~sure, "ratio"],
                [place] * (~sure).sum(),
                "o",
                color=PALETTE[place],
                markerfacecolor="white",
                clip_on=False,
            )
        axis.axvline(1, color=PAPER, linewidth=1)
        chance = {"xycoords": ("data", "axes fraction"), "xytext": (4, -2), "va": "top"}
        axis.annotate(
            "chance", (1, 1), textcoords="offset points", color=PAPER, fontsize=SMALL, **chance
        )
        axis.set_yticks(range(len(nets)), nets)
        axis.set(
            xlabel=(
                "difference of the towers' mean colourfulness,\n"
                "divided by its geometric mean under random reassignment"
            ),
            xlim=(0, None),
            ylim=(len(nets) - 0.5, -0.5),
        )
    return figure
