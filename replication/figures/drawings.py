"""Small drawings of the paper's ideas, one per chapter: invented inputs, its formulas.

They are drawn when the book is built (directive ``plate``). None of them shows a result."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from replication.base.text import counted
from replication.figures import PALETTE, PAPER, SMALL, WIDTH, ink, style
from replication.figures.photographs import crops, reduction, shifts
from replication.paper import tables

BLUE, ORANGE, GREEN, RED = PALETTE[:4]
K, N, ALPHA, BETA = 2.0, 5, 1e-4, 0.75  # section 3.3
PHONE = 4.0  # inches; a drawing of this width fits a phone's screen with labels of 8 points
NARROW = frozenset({"contest", "contest_steps"})  # drawings of that width


def nonlinearities() -> Figure:
    """Draw saturating and rectified functions, and their slopes."""
    x = np.linspace(-4, 4, 401)
    logistic = 1 / (1 + np.exp(-x))
    curves = {
        "ReLU": (np.maximum(0, x), (x > 0).astype(float), BLUE, "-"),
        "tanh": (np.tanh(x), 1 - np.tanh(x) ** 2, ORANGE, "--"),
        "logistic": (logistic, logistic * (1 - logistic), GREEN, ":"),
    }
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.7), layout="constrained")
        for name, (value, slope, colour, line) in curves.items():
            left.plot(x, value, line, color=colour, label=name)
            right.plot(x, slope, line, color=colour)
        left.set(xlabel="input x", ylabel="output f(x)", ylim=(-1.2, 2.6), title="the function")
        right.set(xlabel="input x", ylabel="slope f'(x)", ylim=(-0.06, 1.12), title="its slope")
        right.annotate(
            "saturated: almost\nno gradient", (3.1, 0.03), (1.1, 0.36), fontsize=SMALL,
            arrowprops={"arrowstyle": "->", "color": PAPER},
        )  # fmt: skip
        left.legend()
    return figure


def crossings() -> Figure:
    """Draw which layer reads which tower."""
    layers = ["image", "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    crossing = {"conv3", "fc6", "fc7", "fc8"}
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 2.3), layout="constrained")
        axis.set(xlim=(-0.6, len(layers) - 0.4), ylim=(-1.1, 1.25))
        axis.axis("off")
        for place, name in enumerate(layers):
            heights = (0.0,) if name in ("image", "fc8") else (0.62, -0.62)
            for height in heights:
                colour = "0.6" if name == "image" else BLUE if height >= 0 else ORANGE
                axis.add_patch(
                    Rectangle((place - 0.3, height - 0.2), 0.6, 0.4, facecolor=(colour, 0.35))
                )
                axis.text(place, height, name, ha="center", va="center", fontsize=SMALL)
            if place:
                before = (0.0,) if layers[place - 1] == "image" else (0.62, -0.62)
                for start in before:
                    for end in heights:
                        apart = len(before) == 2 and len(heights) == 2 and start != end
                        if not apart or name in crossing:
                            # fc8 is on tower 0, and drawn between the two
                            own = start > 0 if name == "fc8" else start == end
                            other = name in crossing and not own
                            _arrow(axis, (place - 0.7, start), (place - 0.3, end), other)
        axis.text(-0.55, 0.75, "tower 0", color=ink(BLUE), fontweight="bold")
        axis.text(-0.55, -0.85, "tower 1", color=ink(ORANGE), fontweight="bold")
    return figure


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], other: bool) -> None:
    colour = RED if other else "0.4"
    axis.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=8,
            color=colour,
            linewidth=1,
            linestyle="--" if other else "-",  # told apart in grey too
        )
    )


def normalisation() -> Figure:
    """Draw one position of sixteen maps, and one map, before and after normalisation.

    The formula is section 3.3's.
    """
    rng = np.random.default_rng(0)
    side, maps = 24, 16
    y, x = np.mgrid[:side, :side] / side
    waves = [
        np.cos(2 * np.pi * (f * (x * np.cos(t) + y * np.sin(t))) + p)
        for f, t, p in zip(
            rng.uniform(1, 4, maps), rng.uniform(0, np.pi, maps), rng.uniform(0, 6, maps),
            strict=True,
        )
    ]  # fmt: skip
    strength = rng.uniform(20, 60, maps)
    strength[9] = 400  # one kernel responds much more than its neighbours
    before = np.maximum(0, np.stack(waves) * strength[:, None, None])
    after = before / _denominators(before)
    row, column = np.unravel_index(before[9].argmax(), before[9].shape)
    with style():
        figure, axes = plt.subplots(
            1, 4, figsize=(WIDTH, 2.3), width_ratios=[1, 1, 1.5, 1.5], layout="constrained"
        )
        for axis, image, title in (
            (axes[0], before[8], "map 8"),
            (axes[1], after[8], "normalised"),
        ):
            axis.imshow(image / image.max(), cmap="Blues", vmin=0, vmax=1)
            axis.set(title=title, xticks=[], yticks=[])
            axis.grid(visible=False)
        for axis, stack, title in (
            (axes[2], before, "one position, before"),
            (axes[3], after, "and after"),
        ):
            near = [abs(i - 9) <= N // 2 for i in range(maps)]
            colours = [RED if i == 9 else ORANGE if close else BLUE for i, close in enumerate(near)]
            axis.bar(range(maps), stack[:, row, column], color=colours)
            axis.set(title=title, xlabel="map", xticks=[0, 5, 9, 15])
            axis.grid(visible=False, axis="x")
    return figure


def _denominators(a: np.ndarray) -> np.ndarray:
    """Return (k + alpha * sum of squares over N neighbouring maps) ** beta; (maps, H, W)."""
    sums = [np.square(a[max(0, i - N // 2) : i + N // 2 + 1]).sum(0) for i in range(len(a))]
    return (K + ALPHA * np.stack(sums)) ** BETA


def windows() -> Figure:
    """Draw pooling windows over one row of units, of 3 and of 2, both at a stride of 2."""
    values = np.array([1, 5, 2, 4, 9, 3, 1, 6, 2])
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.5), layout="constrained")
        for axis, size, title in (
            (axes[0], 3, "z = 3, s = 2: the windows overlap"),
            (axes[1], 2, "z = 2, s = 2: they do not"),
        ):
            _row(axis, values, size)
            axis.set_title(title)
    return figure


def _row(axis: Axes, values: np.ndarray, size: int) -> None:
    axis.set(xlim=(-0.7, len(values) - 0.3), ylim=(-2.5, 0.8))
    axis.axis("off")
    for place, value in enumerate(values):
        axis.add_patch(Rectangle((place - 0.5, -0.5), 1, 1, facecolor="0.95", edgecolor="0.5"))
        axis.text(place, 0, str(value), ha="center", va="center")
    for number, start in enumerate(range(0, len(values) - size + 1, 2)):
        colour = (BLUE, ORANGE)[number % 2]
        height = -0.75 - 0.3 * (number % 2)
        axis.plot([start - 0.42, start + size - 0.58], [height] * 2, color=colour, linewidth=3)
        middle = start + (size - 1) / 2
        axis.text(
            middle, -1.9, str(values[start : start + size].max()), ha="center", va="center",
            bbox={"boxstyle": "square,pad=0.4", "facecolor": (colour, 0.3), "edgecolor": colour},
        )  # fmt: skip
        axis.plot([middle] * 2, [height, -1.5], color=colour, linewidth=1)


def masks() -> Figure:
    """Draw dropout's masks of one layer, and the mean over masks beside the halved outputs."""
    rng = np.random.default_rng(1)
    units, drawn = 12, 400
    output = np.maximum(0, rng.normal(0.6, 1, units))
    kept = rng.random((drawn, units)) < 0.5
    mean = (kept * output).cumsum(0) / np.arange(1, drawn + 1)[:, None]
    with style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(WIDTH, 2.7), width_ratios=[1, 1.35], layout="constrained"
        )
        left.imshow(kept[:8], cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
        left.set(xlabel="unit", ylabel="training example", title="kept units are blue")
        left.set(xticks=range(0, units, 2), yticks=range(8))
        left.grid(visible=False)
        for count, marker, colour in ((1, "x", ORANGE), (10, "^", GREEN), (drawn, "o", BLUE)):
            name = f"mean of {counted(count, 'mask')}"
            right.plot(range(units), mean[count - 1], marker, color=colour, label=name)
        right.bar(range(units), output / 2, color="0.85", label="half of the output", zorder=0)
        right.set(xlabel="unit", ylabel="output", xticks=range(0, units, 2))
        right.set_ylim(0, 1.75 * output.max() / 1.3)
        right.legend(ncols=2, loc="upper left")
    return figure


def plateau() -> Figure:
    """Draw section 5's rule on an invented validation error: a stall divides the rate by 10."""
    rng = np.random.default_rng(3)
    error, floor, rates, drops = [0.9], 0.40, [0.01], []
    while len(error) < 90:
        error.append(floor + (error[-1] - floor) * 0.82 + rng.normal(0, 0.0012))
        stalled = len(error) - (drops[-1] if drops else 0) > 12 and error[-1] - floor < 0.004
        if stalled and len(drops) < 3:
            drops.append(len(error))
            floor -= (0.09, 0.02, 0.005)[len(drops) - 1]
        rates.append(0.01 / 10 ** len(drops))
    epochs = range(1, len(error) + 1)
    with style():
        figure, (above, below) = plt.subplots(
            2, 1, figsize=(WIDTH, 3.3), sharex=True, height_ratios=[1.7, 1], layout="constrained"
        )
        above.plot(epochs, [100 * one for one in error], color=BLUE)
        above.set(ylabel="validation error, %")
        below.step(epochs, rates, where="post", color=ORANGE)
        below.set(yscale="log", ylabel="learning rate", xlabel="epochs", ylim=(4e-6, 3e-2))
        for epoch in drops:
            for axis in (above, below):
                axis.axvline(epoch, color=PAPER, linestyle=":", linewidth=1)
    return figure


def removed_layer() -> Figure:
    """Draw the net without a middle layer: the next layer reads what that layer read."""
    layers = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 1.5), layout="constrained")
        axis.set(xlim=(-0.5, len(layers) - 0.5), ylim=(-0.5, 1.0))
        axis.axis("off")
        for place, name in enumerate(layers):
            gone = name == "conv4"
            axis.add_patch(
                Rectangle(
                    (place - 0.34, -0.22), 0.68, 0.44, facecolor="white" if gone else (BLUE, 0.3),
                    edgecolor="0.6" if gone else BLUE, linestyle="--" if gone else "-",
                )
            )  # fmt: skip
            axis.text(place, 0, name, ha="center", va="center", color=PAPER if gone else "black")
            if place and not gone and layers[place - 1] != "conv4":
                _arrow(axis, (place - 0.69, 0), (place - 0.31, 0), other=False)
        axis.add_patch(
            FancyArrowPatch(
                (2, 0.24), (4, 0.24), connectionstyle="arc3,rad=-0.45", arrowstyle="-|>",
                mutation_scale=9, color=RED,
            )
        )  # fmt: skip
        axis.text(3, 0.83, "conv5 reads conv3's maps", ha="center", color=ink(RED), fontsize=SMALL)
    return figure


def contest() -> Figure:
    """Draw the two best entries of ILSVRC-2012, by the paper's Table 2."""
    rows = {row.model: row.test_top5 for row in tables().table2.rows}
    shown = {"second-best entry": rows["SIFT + FVs"], "the paper's nets": rows["7 CNNs*"]}
    with style():
        figure, axis = plt.subplots(figsize=(PHONE, 1.3), layout="constrained")
        _errors(axis, shown, ["0.6", BLUE], "top-5 error on the test set, per cent")
    return figure


def contest_steps() -> Figure:
    """Draw the steps from one net to the winning entry, by the paper's Table 2."""
    names = {
        "1 CNN": "one net",
        "5 CNNs": "average of five",
        "1 CNN*": "one, pre-trained",
        "7 CNNs*": "two of these and the five",
    }
    rows = {row.model: row.top5 for row in tables().table2.rows}
    shown = {name: rows[model] for model, name in names.items()}
    with style():
        figure, axis = plt.subplots(figsize=(PHONE, 1.9), layout="constrained")
        _errors(axis, shown, [BLUE] * len(shown), "top-5 error, validation, per cent")
    return figure


def _errors(axis: Axes, errors: dict[str, float | None], colours: list, label: str) -> None:
    places = range(len(errors))[::-1]
    values = [value or 0.0 for value in errors.values()]
    axis.barh(places, values, color=colours, height=0.6)
    for place, value in zip(places, values, strict=True):
        axis.text(value + 0.2, place, f"{value:g}", va="center", fontsize=SMALL)
    axis.set_yticks(places, list(errors))
    axis.set(xlabel=label, xlim=(0, 1.08 * max(values)))
    axis.grid(visible=False, axis="y")


DRAWINGS: dict[str, Callable[[], Figure]] = {
    drawing.__name__: drawing
    for drawing in (
        nonlinearities, crossings, normalisation, windows, masks, plateau, removed_layer, contest,
        contest_steps,
        reduction, crops, shifts,
    )
}  # fmt: skip
