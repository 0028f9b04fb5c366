"""The paper's figures as data, if they could be read off: numbers, no drawings."""

from functools import cache

import numpy as np
import pandas as pd

from replication.paper import HERE

FIRST_VERTEX = 0.99  # epochs; what is drawn before it leads there from the curve's start


@cache
def figure1() -> pd.DataFrame:
    """Return the two curves of Figure 1: activation, epoch, error (a fraction).

    ``activation`` is "relu" or "tanh". Source and limits are described in the file.
    """
    return pd.read_csv(HERE / "figure1.csv", comment="#")


@cache
def figure3() -> pd.DataFrame:
    """Return the colour share of each kernel of Figure 3: kernel, tower, colour_share.

    It is a fraction of the kernel's variance. Source and limits are described in the file.
    """
    return pd.read_csv(HERE / "figure3.csv", comment="#")


def measured_part(activation: str) -> pd.DataFrame:
    """Return the points of a curve of Figure 1 from its first measurement on, by epoch."""
    curve = figure1()
    return curve[
        (curve["activation"] == activation) & (curve["epoch"] >= FIRST_VERTEX)
    ].reset_index(drop=True)


def start(activation: str) -> float:
    """Return the error of a curve of Figure 1 at epoch 0.

    The ReLU curve is above the frame there, so its first line is extended. Both starts are well
    below the error of an untrained net, which is 90%."""
    curve = figure1()
    first, after = curve[curve["activation"] == activation].iloc[[0, 1]].itertuples()
    slope = (after.error - first.error) / (after.epoch - first.epoch)
    return first.error - slope * first.epoch


def figure1_ratio(step: float = 0.01) -> pd.DataFrame:
    """Return how many times sooner the ReLU curve of Figure 1 reaches an error than the tanh curve.

    Columns: error (a fraction, falling in steps of ``step``), ratio. The range is that of both
    curves' measured points.
    """
    relu, tanh = measured_part("relu"), measured_part("tanh")
    lowest = max(curve["error"].min() for curve in (relu, tanh))
    highest = min(curve["error"].max() for curve in (relu, tanh))
    errors = np.array(
        [error for error in np.arange(1, 0, -step).round(6) if lowest <= error <= highest]
    )
    epochs = [
        np.array([_first_reached(curve, error) for error in errors]) for curve in (relu, tanh)
    ]
    return pd.DataFrame({"error": errors, "ratio": epochs[1] / epochs[0]})


def _first_reached(curve: pd.DataFrame, error: float) -> float:
    """Return the epoch at which a curve first falls to ``error``; it is linear between points."""
    place = int(np.argmax(curve["error"].to_numpy() <= error))
    if place == 0:
        return float(curve["epoch"][0])
    after, before = curve.loc[place], curve.loc[place - 1]
    part = (before["error"] - error) / (before["error"] - after["error"])
    return float(before["epoch"] + part * (after["epoch"] - before["epoch"]))
