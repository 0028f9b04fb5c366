"""Section 6.1's binary codes: the precision of their ranking, beside that of the vectors."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from replication.figures import PALETTE, PAPER, WIDTH, style

STYLES = {"features": ("-", "o", PALETTE[0]), "pixels": ("--", "s", PALETTE[1])}


def precision(table: pd.DataFrame, k: int, chance: float) -> Figure:
    """Draw the share of the k nearest training images of the query's class, by code length.

    A band reaches over the seeds.

    ``table``: columns source ("features", "pixels"), bits (0: the vectors themselves, by Euclidean
    distance), seed, precision."""
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 3.4), layout="constrained")
        for source, rows in table.groupby("source", sort=False):
            line, marker, colour = STYLES[source]
            by_bits = (
                rows[rows["bits"] > 0].groupby("bits")["precision"].agg(["mean", "min", "max"])
            )
            axis.plot(
                by_bits.index,
                by_bits["mean"],
                line,
                marker=marker,
                color=colour,
                label=f"codes from {source}",
            )
            axis.fill_between(
                by_bits.index, by_bits["min"], by_bits["max"], color=colour, alpha=0.2, linewidth=0
            )
            whole = rows.loc[rows["bits"] == 0, "precision"].mean()
            axis.axhline(
                whole,
                color=colour,
                linestyle=":",
                linewidth=1.2,
                label=f"{source}, Euclidean distance",
            )
        axis.axhline(chance, color=PAPER, linewidth=1, label="chance")
        bits = sorted(set(table.loc[table["bits"] > 0, "bits"]))
        axis.set_xscale("log", base=2)
        axis.set_xticks(bits, map(str, bits))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set(
            xlabel="length of the code, bits",
            ylabel=f"precision: proportion of the nearest {k}\nthat is of the query's class",
            ylim=(0, None),
        )
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
