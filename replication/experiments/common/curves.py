"""The learning curves of an experiment's runs, for its figures."""

from collections.abc import Sequence

import pandas as pd

from replication.experiments.common.collect import variant_of
from replication.runs.store import Run


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row per epoch of every run: what it logged, with its variant and seed.

    Raises ValueError without runs."""
    return pd.concat(
        [
            run.history.assign(variant=variant_of(run.task), seed=run.task.recipe.seed)
            for run in runs
        ]
    )
