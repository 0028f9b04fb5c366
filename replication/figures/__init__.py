"""Every plot of the book: tables and arrays to a matplotlib Figure, in one style.

The colours are safe for the colour-blind. Nothing here computes a result."""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

PALETTE = sns.color_palette("colorblind")
PAPER = "0.35"  # grey of reference lines: the paper's values
# inches: the book's column. Every figure is drawn at this width, so text has its size on the page.
WIDTH = 7.4
SMALL = 8.5  # points: the smallest text of a figure
STYLE = {
    "figure.dpi": 200,  # twice the page's resolution
    "figure.facecolor": "white",  # a white card, which stays readable where the page is dark
    "savefig.facecolor": "white",
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.titlesize": 9.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the book's style to the figures created inside.

    Each figure is closed at the end, so that a notebook shows it once.
    """
    before = set(plt.get_fignums())
    with sns.axes_style("white"), plt.rc_context(STYLE):
        yield
    for number in set(plt.get_fignums()) - before:
        plt.close(number)


def nothing(text: str) -> Figure:
    """Return a small figure that says why nothing is drawn."""
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 0.8), layout="constrained")
        axis.set_axis_off()
        axis.text(0.5, 0.5, text, ha="center", va="center")
    return figure
