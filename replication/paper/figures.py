"""The paper's figures as data, where they could be read off: numbers, none of its drawings."""

from functools import cache

import pandas as pd

from replication.paper import HERE

FIRST_VERTEX = (
    0.99  # epochs; what is drawn before it leads from the untrained net to the first measurement
)


@cache
def figure1() -> pd.DataFrame:
    """The two curves of Figure 1: activation ("relu", "tanh"), epoch, error (a fraction). Source
    and limits stand in the file."""
    return pd.read_csv(HERE / "figure1.csv", comment="#")


def measured_part(activation: str) -> pd.DataFrame:
    """The points of a curve of Figure 1 from its first measurement on, by epoch."""
    curve = figure1()
    return curve[
        (curve["activation"] == activation) & (curve["epoch"] >= FIRST_VERTEX)
    ].reset_index(drop=True)
