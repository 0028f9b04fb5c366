"""The paper's figures as data, if they could be read off: numbers, no drawings."""

from functools import cache

import pandas as pd

from replication.paper import HERE

FIRST_VERTEX = (
    0.99  # epochs; what is drawn before it leads from the untrained net to the first measurement
)


@cache
def figure1() -> pd.DataFrame:
    """Return the two curves of Figure 1: activation, epoch, error (a fraction).

    ``activation`` is "relu" or "tanh". Source and limits are described in the file.
    """
    return pd.read_csv(HERE / "figure1.csv", comment="#")


def measured_part(activation: str) -> pd.DataFrame:
    """Return the points of a curve of Figure 1 from its first measurement on, by epoch."""
    curve = figure1()
    return curve[
        (curve["activation"] == activation) & (curve["epoch"] >= FIRST_VERTEX)
    ].reset_index(drop=True)
