"""Figure 2 of the paper: the two towers and the layers at which they read each other.

Drawn from the counts of ``nets.summary``."""

import math

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon

from replication.figures import PALETTE, PAPER, SMALL, WIDTH, ink, style
from replication.nets.summary import Row, Summary

COLOURS = (PALETTE[0], PALETTE[1])  # of the towers' boxes
CROSSING = PALETTE[3]
# of the image's side, in the drawing's units; every side is drawn as its square root, or 6 x 6
# would vanish
HEIGHT = 1.5
LAYER_WIDTH = 0.9  # of a layer of 2048 units, likewise
SLANT = (0.16, 0.1)  # of the edges that go into the page, for each unit of height
# keeps a size readable where an arrow passes behind it
LABEL = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
ROWS = (1.35, -1.35)  # height of the middle of tower 0 and tower 1


def figure2(net: Summary, side: int = 224) -> Figure:
    """Draw one box per layer with weights and tower.

    Height and depth are the map's sides, width the number of maps or units.

    Dashed arrows between the towers are the crossings, with the bytes that pass for each image,
    both directions together. ``side`` is the image's."""
    layers = [row for row in net.layers if row.parameters]
    parts = {(row.name, row.towers[0]): row for row in net.rows if row.parameters and row.towers}
    with style():
        figure = plt.figure(figsize=(WIDTH, 4.6))
        axis = figure.add_axes((0, 0, 1, 1))  # the drawing fills the figure
        right = dict.fromkeys((0, 1), _box(axis, 0.0, 0.0, (3, side, side), side, "0.8", "image"))
        left, height_before = 1.0, {0: 0.0, 1: 0.0}
        for layer in layers:
            ends = {}
            for tower in layer.towers:
                height = ROWS[tower]
                ends[tower] = _box(
                    axis, left, height, parts[layer.name, tower].shape, side, COLOURS[tower], ""
                )
                _arrow(axis, (right[tower], height_before[tower]), (left, height), "0.3")
                if layer.received and 1 - tower in right:
                    _arrow(
                        axis,
                        (right[1 - tower], height_before[1 - tower]),
                        (left, height),
                        CROSSING,
                        "--",
                    )
            _name(axis, left, layer, first=layer is layers[0])
            for tower, end in ends.items():
                right[tower], height_before[tower] = end, ROWS[tower]
            left = max(ends.values()) + 0.75
        for tower, height in enumerate(ROWS):
            axis.annotate(
                f"tower {tower}",
                (-0.25, height),
                color=ink(COLOURS[tower]),
                ha="right",
                va="center",
                fontweight="bold",
            )
        axis.set(xlim=(-1.2, left - 0.15), ylim=(-3.35, 2.2))
        axis.set_aspect("equal")
        axis.axis("off")
    return figure


def _box(
    axis: Axes,
    left: float,
    middle: float,
    shape: tuple[int, ...],
    image: int,
    colour: object,
    name: str,
) -> float:
    """Draw a layer's box with its left edge at ``left``, and return where its front ends."""
    wide = LAYER_WIDTH * math.sqrt(shape[0] / 2048)
    if len(shape) == 3:
        wide, tall = max(wide, 0.06), HEIGHT * math.sqrt(shape[1] / image)
    else:
        wide, tall = 0.14, HEIGHT * math.sqrt(shape[0] / 4096)
    x, y = left, middle - tall / 2
    dx, dy = SLANT[0] * tall, SLANT[1] * tall
    front = [(x, y), (x + wide, y), (x + wide, y + tall), (x, y + tall)]
    top = [
        (x, y + tall),
        (x + wide, y + tall),
        (x + wide + dx, y + tall + dy),
        (x + dx, y + tall + dy),
    ]
    end = [
        (x + wide, y),
        (x + wide + dx, y + dy),
        (x + wide + dx, y + tall + dy),
        (x + wide, y + tall),
    ]
    for corners, alpha in ((front, 0.55), (top, 0.3), (end, 0.75)):
        axis.add_patch(
            Polygon(corners, facecolor=(colour, alpha), edgecolor="0.25", linewidth=0.8, zorder=3)
        )
    size = f"{shape[1]} x {shape[2]}\nx {shape[0]}" if len(shape) == 3 else f"{shape[0]}"
    text = f"{name}\n{size}" if name else size
    axis.annotate(
        text,
        (left + wide / 2 + dx / 2, y - 0.06),
        ha="center",
        va="top",
        fontsize=8,
        zorder=4,
        bbox=LABEL,
    )
    return left + wide + dx / 2


def _arrow(
    axis: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: object,
    line: str = "-",
) -> None:
    axis.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=8,
            color=colour,
            linewidth=1,
            linestyle=line,
            shrinkA=1,
            shrinkB=1,
        )
    )


def _name(axis: Axes, left: float, layer: Row, first: bool) -> None:
    """Write the layer's name under the towers, with what it reads."""
    axis.annotate(
        layer.name, (left + 0.15, -2.75), ha="center", va="top", fontweight="bold", fontsize=SMALL
    )
    text = (
        f"{layer.received:,}\nbytes cross"
        if layer.received
        else "reads the\nimage"
        if first
        else "reads its\nown tower"
    )
    colour = ink(CROSSING) if layer.received else PAPER
    axis.annotate(text, (left + 0.15, -2.98), ha="center", va="top", color=colour, fontsize=8)
