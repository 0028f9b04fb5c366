"""Controls, sizes and rates: runs beside the ablations of a baseline that has learnt.

- Controls: what else a variant changes besides the part that it is about. A normalisation also
  makes its inputs smaller, and a net without a layer also starts from other weights.
- Sizes: half and twice the width, less patience (claim ``bigger-longer``).
- Rates: variants at half and at twice the baseline's rate. A variant that needs another rate looks
  worse than it is at the baseline's rate. The best rate is chosen on validation images.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from replication.base.types import Profile
from replication.experiments.common import beside_baseline
from replication.experiments.common.baselines import (
    BASELINE,
    CONTROLS,
    FACTORS,
    RATED,
    RATES,
    SEEDS,
    SIZES,
    Regime,
    baseline,
    task,
)
from replication.experiments.common.collect import variant_of
from replication.experiments.common.comparison import (
    PER_CENT,
    devices,
    error_rows,
    trained_on,
)
from replication.runs.store import Run, Task

# the variant that each control is compared with; "early-crossing" is the baseline itself, but for
# conv2, which reads both towers
CONTROL_OF = {
    "no-lrn": "lrn-as-gain",
    "one-gpu": "one-gpu-spread",
    **{f"without-{layer}": f"without-{layer}-spread" for layer in ("conv2", "conv3", "conv5")},
    BASELINE: "early-crossing",
}
SAME, OWN = 1.0, "its own best"  # the baseline's rate; each variant's rate by validation error
RATE_NAMES = {
    0.5: "half",
    SAME: "the baseline's",
    2.0: "twice",
    OWN: OWN,
}  # what a reader calls them


class Controls(NamedTuple):
    """The tables of the runs beside the ablations. A table without stored runs is empty."""

    # of the controls, then of the sizes: the columns of ``beside_baseline.differences``, and
    # parameters, of the net
    differences: pd.DataFrame
    # one row per variant and rate: variant, factor (0.5, 1, 2, or its own best by validation error
    # as text), chosen (that factor), n, trained (on which device), validation, test (per cent);
    # mean, low, high: its test error minus that of the baseline at the same factor, points
    rates: pd.DataFrame


def tasks(profile: Profile, seeds: Sequence[int], regime: Regime) -> list[Task]:
    """Return the runs of controls, sizes and rates, seed by seed, on the first of ``seeds``.

    Where the initial weights do not depend on the number of inputs, no variant changes their
    spread, and there is nothing to control."""
    scaled = baseline(profile, regime=regime).net.init != "paper"
    spreads = [name for name in CONTROLS if "init" in CONTROLS[name]["net"]]
    chosen = [name for name in CONTROLS if scaled or name not in spreads]
    families = (("controls", chosen), ("sizes", SIZES), ("rates", RATES))
    return [
        task(profile, name, seed, regime)
        for family, changes in families
        for seed in seeds[: SEEDS[family]]
        for name in changes
    ]


def compare(runs: Sequence[Run]) -> Controls:
    """Return the tables of ``runs``: those of ``tasks``, the baseline, and the variants beside."""
    table = rows(runs)
    return Controls(_differences(table, CONTROLS, SIZES), rates(table))


def _differences(table: pd.DataFrame, *families: Iterable[str]) -> pd.DataFrame:
    differences = pd.concat(
        [beside_baseline.differences(_of(table, family), BASELINE) for family in families],
        ignore_index=True,
    )
    counts = table.groupby("variant")["parameters"].first()
    return differences.assign(parameters=differences["variant"].map(counts))


def rows(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the table of errors with the net's parameters and the error of validation images.

    One row per run: the columns of ``comparison.error_rows``, parameters, trained (the device),
    validation (per cent).
    """
    if not runs:
        columns = ["variant", "seed", "parameters", "trained", "validation", "test_top1"]
        return pd.DataFrame(columns=columns)
    table = error_rows(runs, [variant_of(run.task) for run in runs])
    table["parameters"] = [run.summary["parameters"] for run in runs]
    table["trained"] = [trained_on(run) for run in runs]
    table["validation"] = [
        PER_CENT * run.evaluation["validation/1"]["top1"]
        if "validation/1" in run.evaluation
        else None
        for run in runs
    ]
    return table


def _of(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    return table[table["variant"].isin([BASELINE, *names])]


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """Return each variant at half, once and twice the rate, and at the best of these.

    ``table``: that of ``rows``. The columns are described in ``Controls``. A variant that is stored
    at the baseline's rate alone says nothing about rates, and is left out; so is the baseline if no
    other is left. The best rate has the lowest mean validation error, and is known when all three
    rates are stored.
    """
    stored, frames = set(table["variant"]), {}
    rated = [name for name in RATED if stored & {f"{name}-rate{factor:g}" for factor in FACTORS}]
    shown = [name for name in RATED if name in rated or (name == BASELINE and rated)]
    for factor in sorted((SAME, *FACTORS)):
        suffix = "" if factor == SAME else f"-rate{factor:g}"
        names = {f"{name}{suffix}": name for name in shown}
        chosen = table[table["variant"].isin(names)]
        frames[factor] = chosen.assign(variant=chosen["variant"].map(names))
    # the same seeds at every rate, so that a variant is not chosen for the luck of its seeds
    best = {}
    for name in shown:
        errors = [
            frame[frame["variant"] == name].set_index("seed")["validation"]
            for frame in frames.values()
        ]
        by_seed = pd.concat(errors, axis=1, keys=frames, join="inner").dropna()
        if len(by_seed):
            best[name] = float(by_seed.mean().idxmin())
    by_factor: dict[float | str, pd.DataFrame] = dict(frames)
    if BASELINE in best and len(best) > 1:
        own = [frames[best[name]].query("variant == @name") for name in best]
        by_factor[OWN] = pd.concat(own)
    found = [
        row | {"factor": factor, "chosen": best.get(str(row["variant"]))}
        for factor, frame in by_factor.items()
        for row in _at_one_rate(frame)
    ]
    columns = ["variant", "factor", "chosen", "n", "trained", "validation", "test"]
    return pd.DataFrame(found, columns=[*columns, "mean", "low", "high"])


def _at_one_rate(frame: pd.DataFrame) -> list[dict[str, object]]:
    compared = beside_baseline.differences(frame, BASELINE, ["test_top1"]).set_index("variant")
    found = []
    for name in (name for name in RATED if name in set(frame["variant"])):
        of = frame[frame["variant"] == name]
        row: dict[str, object] = {
            "variant": name,
            "n": len(of),
            "trained": devices(of["trained"]),
            "validation": of["validation"].mean(),
            "test": of["test_top1"].mean(),
        }
        if name in compared.index:
            row |= compared.loc[name, ["mean", "low", "high"]].to_dict()
        found.append(row)
    return found
