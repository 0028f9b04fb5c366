"""Every plot of the book: one style, colour-blind safe, from tables and arrays to a matplotlib
Figure. Nothing here computes a result.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
import seaborn as sns

PALETTE = sns.color_palette("colorblind")
PAPER = "0.35"  # grey of reference lines: the paper's values
STYLE = {
    "figure.dpi": 110,
    "figure.facecolor": "white",  # stays readable where the book's page is dark
    "savefig.facecolor": "white",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """The book's style, for the figures made inside; each is closed at the end, so that a notebook
    shows it once.
    """
    before = set(plt.get_fignums())
    with sns.axes_style("white"), plt.rc_context(STYLE):
        yield
    for number in set(plt.get_fignums()) - before:
        plt.close(number)
