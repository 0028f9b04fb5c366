"""A variant beside the baseline, for the ledger.

One linear model per quantity covers every seed of every variant. The noise of the images is added
for a difference of errors. Serves the ablations of sections 3 to 5 and section 3.3's nets for
CIFAR-10. Each function returns keywords of ``ledger.measurement.measured``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from replication.base.statistics import (
    Interval,
    Spread,
    difference_spread,
    interval,
    widened,
)
from replication.experiments.common.comparison import END_OF_EPOCH, QUANTITIES, last_measured
from replication.experiments.common.image_noise import images_of, noise
from replication.ledger.families import Family, family, separate_interval
from replication.runs.store import Run


def difference(
    table: pd.DataFrame,
    column: str,
    variant: str,
    baseline: str,
    runs: Mapping[str, Sequence[Run]] | None = None,
) -> dict[str, Any]:
    """Return a variant's difference from the baseline in ``column``; {} if either is missing.

    ``table``: columns variant, seed and ``column``, one row per run. ``runs``: the runs by variant,
    for the noise of the images, which needs the per-image results of several of each. Both
    intervals are simultaneous for the variants of ``table``."""
    groups = _groups(table, column)
    if variant not in groups or baseline not in groups:
        return {}
    keywords: dict[str, Any] = {"values": groups[variant], "subtracted": groups[baseline]}
    keywords |= _model(column, groups, variant, baseline, ratio=False)
    if runs:
        sides = ([images_of(run, column) for run in runs[name]] for name in (variant, baseline))
        mean = float(np.mean(groups[variant]) - np.mean(groups[baseline]))
        keywords["over_images"] = noise(*sides, comparisons=len(groups) - 1, mean=mean)
    return keywords


def ratio(
    table: pd.DataFrame,
    column: str,
    above: str,
    below: str,
    baseline: str,
    place: float = END_OF_EPOCH,
) -> dict[str, Any]:
    """Return the ratio of ``column`` of ``above`` over that of ``below``; one is the baseline.

    A run that ended before the target counts with the iteration of its last value, at ``place`` of
    its last epoch (``comparison.last_measured``), so the ratio is a lower bound if the upper runs
    were cut, an upper one if the lower were. {} if either is missing, both kinds were cut, or a run
    met the target at its first iteration. Of the other variants, those that were cut say nothing
    about the spread: if all runs end at one iteration, it would be 0."""
    filled = table.assign(**{column: table[column].fillna(last_measured(table, place))})
    is_cut = table[column].isna().groupby(table["variant"]).any()
    groups = {
        name: values
        for name, values in _groups(filled, column).items()
        if min(values) > 0 and (name in (above, below) or not is_cut[name])
    }
    if above not in groups or below not in groups:
        return {}
    cut = {name: bool(is_cut[name]) for name in (above, below)}
    if all(cut.values()):
        return {}
    member = below if above == baseline else above
    return {
        "values": groups[above],
        "denominators": groups[below],
        "bound": "lower" if cut[above] else "upper" if cut[below] else None,
        **_model(column, groups, member, baseline, ratio=True),
    }


def differences(
    table: pd.DataFrame, baseline: str, columns: Sequence[str] = tuple(QUANTITIES)
) -> pd.DataFrame:
    """Return all variants' differences from the baseline's mean, with simultaneous intervals.

    An interval reaches as far, too, as the simultaneous one by the spreads of its own two groups,
    as in the verdicts; with one seed there is only the first. One row per variant and column:
    variant, quantity, mean, low, high, n (seeds of the variant), values (each of its seeds minus
    the baseline's mean)."""
    rows = []
    for variant in dict.fromkeys(table["variant"]):
        for column in columns if variant != baseline else ():
            compared = difference(table, column, variant, baseline)
            if not compared:
                continue
            whole = float(np.mean(compared["subtracted"]))
            values = [value - whole for value in compared["values"]]
            model = compared.get("family")
            bounds = Interval(float(np.mean(values)), None, None)
            if model is not None:
                spread = Spread(bounds.mean, model.error(variant), model.freedom)
                own = difference_spread(compared["values"], compared["subtracted"])
                separate = separate_interval(own, model.variants)
                bounds = widened(interval(spread, model.critical), separate)
            rows.append(
                {"variant": variant, "quantity": column}
                | bounds._asdict()
                | {"n": len(values), "values": values}
            )
    return pd.DataFrame(rows, columns=["variant", "quantity", "mean", "low", "high", "n", "values"])


def _groups(table: pd.DataFrame, column: str) -> dict[str, list[float]]:
    rows = table.dropna(subset=[column])
    return {name: of[column].tolist() for name, of in rows.groupby("variant", sort=False)}


def _model(
    column: str, groups: Mapping[str, Sequence[float]], member: str, baseline: str, ratio: bool
) -> dict[str, Family | str]:
    """Return the family of all variants; {} if no variant has two seeds, so without a spread."""
    if (
        all(len(values) < 2 for values in groups.values())
        or not np.isfinite([value for values in groups.values() for value in values]).all()
    ):
        return {}
    return {"family": family(column, groups, baseline, ratio), "member": member}
