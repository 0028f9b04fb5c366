"""The learning curves of an experiment's runs, for its figures."""

from collections.abc import Sequence

import pandas as pd

from replication.experiments.common.collect import variant_of
from replication.runs.store import Run

COLUMNS = ("variant", "seed", "epoch", "loss", "running_error", "rate")  # without runs


def curves(runs: Sequence[Run], names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row per epoch of every run: what it logged, with its variant and seed.

    ``names``: the runs' variants; default: as in the names of their folders."""
    if not runs:
        return pd.DataFrame(columns=COLUMNS)
    names = [variant_of(run.task) for run in runs] if names is None else names
    return pd.concat(
        [
            run.history.assign(variant=name, seed=run.task.recipe.seed)
            for run, name in zip(runs, names, strict=True)
        ]
    )
