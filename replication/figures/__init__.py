"""Every plot of the book: tables and arrays to a matplotlib Figure, in one style.

The colours are safe for the colour-blind. Nothing here computes a result."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

Colour = str | tuple[float, float, float]
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of red, green and blue, WCAG 2
READABLE = 4.5  # least contrast of text, WCAG 2, level AA
PALETTE = sns.color_palette("colorblind")
PAPER = "0.35"  # grey of reference lines: the paper's values
# inches: the book's column. Every figure is drawn at this width, so text has its size on the page.
WIDTH = 7.4
SMALL = 8.5  # points: the smallest text of a figure
STYLE = {
    "figure.dpi": 200,  # twice the page's resolution
    "figure.facecolor": "white",  # on a dark page the style sheet inverts the lightness
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


def contrast(colour: Colour) -> float:
    """Return a colour's contrast with white, from 1 to 21, as WCAG 2 defines it."""
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(1.05 / (linear @ LUMINANCE + 0.05))


def ink(colour: Colour) -> tuple[float, float, float]:
    """Return the colour, darkened until text in it can be read on white."""
    red, green, blue = to_rgb(colour)
    while contrast((red, green, blue)) < READABLE:
        red, green, blue = 0.97 * red, 0.97 * green, 0.97 * blue
    return red, green, blue


def legend_entries(axes: Iterable[Axes]) -> tuple[list[Artist], list[str]]:
    """Return handles and labels for one legend of several panels, each label once."""
    found: dict[str, Artist] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def nothing(text: str) -> Figure:
    """Return a small figure that says why nothing is drawn."""
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 0.8), layout="constrained")
        axis.set_axis_off()
        axis.text(0.5, 0.5, text, ha="center", va="center")
    return figure
