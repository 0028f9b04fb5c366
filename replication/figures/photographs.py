"""Drawings of sections 2 and 4.1 on one photograph of the embedded synthetic set."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from replication.data.augment.views import offsets
from replication.data.sources.synthetic import render
from replication.figures import PALETTE, SMALL, WIDTH, style

LABEL, NUMBER = 4, 24  # a wide, coloured image of the embedded set
STORED, CROP = 256, 224  # section 2, section 4.1
COLOURS = (PALETTE[0], PALETTE[1], PALETTE[3], PALETTE[2], PALETTE[4])


def reduction() -> Figure:
    """Draw the reduction of an image: its shorter side brought to 256, and the central square."""
    image = render(LABEL, NUMBER)
    small = _shorter_side(image, STORED)
    height, width = small.shape[:2]
    top, left = (height - STORED) // 2, (width - STORED) // 2
    with style():
        ratios = [width / height, width / height, 1]
        figure, axes = plt.subplots(
            1, 3, figsize=(WIDTH, 2.2), width_ratios=ratios, layout="constrained"
        )
        _show(axes[0], image, f"the file: {image.shape[1]} x {image.shape[0]}")
        _show(axes[1], small, f"rescaled: {width} x {height}")
        _frame(axes[1], left, top, STORED, PALETTE[3])
        square = small[top : top + STORED, left : left + STORED]
        _show(axes[2], square, f"stored: {STORED} x {STORED}")
    return figure


def crops() -> Figure:
    """Draw the five crops of a test image and their reflections: section 4.1's ten views."""
    square = _square()
    with style():
        figure = plt.figure(figsize=(WIDTH, 2.9), layout="constrained")
        grid = figure.add_gridspec(2, 7)
        whole = figure.add_subplot(grid[:, :2])
        _show(whole, square, f"{STORED} x {STORED}, five crops of {CROP}")
        for number, (top, left) in enumerate(offsets(STORED, CROP)):
            colour = COLOURS[number]
            _frame(whole, left, top, CROP, colour)
            crop = square[top : top + CROP, left : left + CROP]
            for row, view in enumerate((crop, crop[:, ::-1])):
                axis = figure.add_subplot(grid[row, 2 + number])
                _show(axis, view, ("crop", "reflected")[row] if number == 0 else "")
                axis.set_axis_on()
                axis.set(xticks=[], yticks=[])
                for spine in axis.spines.values():
                    spine.set(visible=True, color=colour, linewidth=2)
    return figure


def shifts() -> Figure:
    """Draw colours moved along the first principal direction of this image's RGB values."""
    square = _square()
    pixels = square.reshape(-1, 3) / 255
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    multiples = (-2, -1, 0, 1, 2)
    with style():
        figure, axes = plt.subplots(1, 5, figsize=(WIDTH, 1.8), layout="constrained")
        for axis, multiple in zip(axes, multiples, strict=True):
            # the source's scale, the root of the eigenvalue: the paper's is too small to be seen
            shift = vectors[:, -1] * multiple * np.sqrt(values[-1]) * 0.4
            moved = np.clip(square / 255 + shift * np.sign(vectors[:, -1].sum()), 0, 1)
            _show(axis, (255 * moved).astype(np.uint8), f"{multiple:+d}" if multiple else "0")
    return figure


def _square() -> np.ndarray:
    small = _shorter_side(render(LABEL, NUMBER), STORED)
    top, left = ((side - STORED) // 2 for side in small.shape[:2])
    return small[top : top + STORED, left : left + STORED]


def _shorter_side(image: np.ndarray, side: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = side / min(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _show(axis: Axes, image: np.ndarray, title: str) -> None:
    axis.imshow(image, interpolation="nearest")
    axis.set_axis_off()
    axis.set_title(title, fontsize=SMALL)


def _frame(axis: Axes, left: int, top: int, side: int, colour: object) -> None:
    corner = (left - 0.5, top - 0.5)
    axis.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=2))
