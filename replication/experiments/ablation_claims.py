"""The claims that the ablations measure, and the difference or ratio for each.

A difference is that of the means over all seeds of a variant and of the baseline, in percentage
points; a ratio compares iterations. The depth claim is about the mean of the four nets without a
middle layer, and the order of importance about four gains of each seed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from replication.base.types import Profile
from replication.experiments.common import beside_baseline, step_time
from replication.experiments.common.baselines import BASELINE, FACTORS, SIZES, VARIANTS
from replication.experiments.common.collect import variant_of
from replication.experiments.common.comparison import (
    END_OF_EPOCH,
    MID_EPOCH,
    diverged,
    ran,
    scale,
)
from replication.experiments.common.controls import RATE_NAMES, rows
from replication.experiments.common.image_noise import images_of, mean_of, noise
from replication.ledger.measurement import Measurement, lowest, measured
from replication.ledger.units import numbers
from replication.paper import claim as find_claim
from replication.runs.store import Run

NO_DROPOUT = "no-dropout"
# section 7: "any of the middle layers"
MIDDLE = tuple(name for name in VARIANTS if name.startswith("without-"))

# claim, its variant in claims.toml, our variant, the column whose difference (variant minus
# baseline) is measured
CLAIMS = (
    ("two-gpu-gain", "top-1", "one-gpu", "test_top1"),
    ("two-gpu-gain", "top-5", "one-gpu", "test_top5"),
    ("lrn-gain", "top-1", "no-lrn", "test_top1"),
    ("lrn-gain", "top-5", "no-lrn", "test_top5"),
    ("overlap-gain", "top-1", "non-overlapping", "test_top1"),
    ("overlap-gain", "top-5", "non-overlapping", "test_top5"),
    ("overlap-overfit", "", "non-overlapping", "gap"),
    ("crop-overfit", "", "no-crops", "gap"),
    ("colour-gain", "", "no-colour", "test_top1"),
    ("dropout-overfit", "", NO_DROPOUT, "gap"),
    ("weight-decay", "", "no-weight-decay", "train_top1"),
    ("lrn-generalises", "", "no-lrn", "gap"),
)
SIZE_CLAIMS = (
    ("bigger-longer", "width", "half-width", "test_top1"),
    ("bigger-longer", "length", "half-length", "test_top1"),
    ("bigger-longer", "twice the width", "twice-width", "test_top1"),
)
# sections 3.1 to 3.4, in the paper's order of importance
IMPORTANCE = ("tanh", "one-gpu", "no-lrn", "non-overlapping")
ALL_MIDDLE = "mean of the middle layers"  # the depth claim's variant in claims.toml
OVER_TEN = ("test_top1", "test_top5")
MASKED = (
    "with dropout the loss is that of masked nets, which is above the whole net's, so a part of"
    " the ratio is not slower learning"
)
# claim, its variant, the variants above and below, the column whose ratio is measured, and where in
# its epoch a value behind that column belongs
ITERATIONS = "dropout-iterations"
RATIOS = (
    (ITERATIONS, "validation error", BASELINE, NO_DROPOUT, "iterations_to_halfway", END_OF_EPOCH),
    (ITERATIONS, "training loss", BASELINE, NO_DROPOUT, "iterations_to_mark", MID_EPOCH),
    (
        ITERATIONS,
        "end of the plateau rule",
        BASELINE,
        NO_DROPOUT,
        "iterations_to_plateau",
        END_OF_EPOCH,
    ),
    ("bias-one", "", "biases-zero", BASELINE, "iterations_to_early_mark", MID_EPOCH),
)


def measure(
    profile: Profile, table: pd.DataFrame, dropout: pd.DataFrame, runs: Sequence[Run]
) -> list[Measurement]:
    """Return a measurement of every claim that the stored variants can answer.

    Other sizes of the net are not among these: see ``measure_sizes``."""
    by_variant = _by_variant(runs)
    names = set(table["variant"])
    claims = (*CLAIMS, *(("depth", name, name, "test_top1") for name in MIDDLE))
    measurements = _differences(profile, table, by_variant, claims)

    def add(
        claim: str,
        variant: str,
        compared: Mapping[str, Any],
        ours: Sequence[str],
        views: str = "one view",
        note: str = "",
    ) -> None:
        if compared:
            measurements.append(
                _measured(profile, by_variant, claim, variant, compared, ours, views, note)
            )

    by_seed = table.pivot(index="seed", columns="variant", values="test_top1")
    if set(MIDDLE) <= names and len(whole := by_seed[[*MIDDLE]].dropna()):
        layers = table[table["variant"].isin(MIDDLE) & table["seed"].isin(whole.index)]
        images = {
            (name, run.task.recipe.seed): images_of(run, "test_top1")
            for name in (BASELINE, *MIDDLE)
            for run in by_variant[name]
        }
        values = layers.groupby("seed")["test_top1"].mean().tolist()
        whole_net = table.loc[table["variant"] == BASELINE, "test_top1"].tolist()
        compared = {
            "values": values,
            "subtracted": whole_net,
            "over_images": noise(
                [mean_of([images[name, seed] for name in MIDDLE]) for seed in whole.index],
                [of for (name, _), of in images.items() if name == BASELINE],
                mean=float(np.mean(values) - np.mean(whole_net)),
            ),
        }
        add("depth", ALL_MIDDLE, compared, MIDDLE, "ten views")
    for claim, variant, slow, fast, column, place in RATIOS:
        compared = (
            beside_baseline.ratio(table, column, slow, fast, BASELINE, place)
            if column in table
            else {}
        )
        note = MASKED if column == "iterations_to_mark" else ""
        ours = slow if fast == BASELINE else fast
        add(claim, variant, compared, [ours], note=note)
    if set(IMPORTANCE) <= names and len(gains := by_seed[[*IMPORTANCE]].dropna()):
        # each seed's own gain: by how much its variant's error is higher
        steps = -np.diff(gains.to_numpy(), axis=1).T
        for values in steps.tolist():
            compared = {"values": values, "comparisons": len(steps)}
            add("importance-order", "", compared, IMPORTANCE, "ten views")
        measurements[-len(steps) :] = [lowest(measurements[-len(steps) :])]
    if len(dropout):
        add("dropout-average", "", {"values": dropout["halved"] / dropout["single"]}, [])
    recipe = by_variant[BASELINE][0].task.recipe
    if faster := step_time.on_two_gpus(recipe):
        shown = step_time.scale(recipe)
        measurements.append(
            measured(
                "two-gpu-time",
                faster,
                profile=profile,
                scale=shown,
                ran=ran(by_variant[BASELINE][0]),
                reason="n counts timings, not seeds",
            )
        )
    return measurements


def with_rates(measurements: Sequence[Measurement], rates: pd.DataFrame) -> list[Measurement]:
    """Return the measurements of top-1 error, with what other learning rates give as a remark.

    ``rates``: that of ``controls.Controls``, of the baseline whose variants were measured."""
    ours = {
        (claim, variant): name for claim, variant, name, column in CLAIMS if column == "test_top1"
    }
    seeds = rates[rates["variant"] == BASELINE].set_index("factor")["n"]
    found = []
    for one in measurements:
        others = rates[
            (rates["variant"] == ours.get((one.claim, one.variant)))
            & rates["factor"].isin(FACTORS)
            & rates["low"].notna()
        ]
        remarks = [one.reason] if one.reason else []
        for row in others.to_dict("records"):
            n = min(row["n"], seeds[row["factor"]])
            if n < 2:
                continue
            mean, low, high = numbers(row["mean"], row["low"], row["high"])
            remarks.append(
                f"with both nets at {RATE_NAMES[row['factor']]} the learning rate the difference is"
                f" {mean} [{low}, {high}] points, n = {n}"
            )
        found.append(one.model_copy(update={"reason": "; ".join(remarks)}))
    return found


def measure_sizes(profile: Profile, runs: Sequence[Run]) -> list[Measurement]:
    """Return the measurements of the claim that larger nets and longer training lower the error.

    Of ``runs`` those of the baseline and of its other sizes are compared, a family of their own."""
    by_variant = {name: of for name, of in _by_variant(runs).items() if name in (BASELINE, *SIZES)}
    table = rows([run for of in by_variant.values() for run in of])
    return _differences(profile, table, by_variant, SIZE_CLAIMS)


def _by_variant(runs: Sequence[Run]) -> dict[str, list[Run]]:
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(variant_of(run.task), []).append(run)
    return by_variant


def _differences(
    profile: Profile,
    table: pd.DataFrame,
    by_variant: Mapping[str, Sequence[Run]],
    claims: Sequence[tuple[str, str, str, str]],
) -> list[Measurement]:
    """Return the measurements of ``claims``, each a difference between a variant and the baseline.

    Claims about variants that are not stored are left out."""
    measurements = []
    for claim, variant, ours, column in claims:
        if compared := beside_baseline.difference(table, column, ours, BASELINE, by_variant):
            views = "ten views" if column in OVER_TEN else "one view"
            measurements.append(
                _measured(profile, by_variant, claim, variant, compared, [ours], views)
            )
    return measurements


def _measured(
    profile: Profile,
    by_variant: Mapping[str, Sequence[Run]],
    claim: str,
    variant: str,
    compared: Mapping[str, Any],
    ours: Sequence[str],
    views: str,
    note: str = "",
) -> Measurement:
    """Return the measurement of a comparison of the variants ``ours`` with the baseline."""
    first = by_variant[BASELINE][0]
    remark = diverged([run for name in (BASELINE, *ours) for run in by_variant[name]])
    cut = "a run that ended before the target counts with its last measured iteration"
    reason = "; ".join(filter(None, (note, cut * (compared.get("bound") is not None), remark)))
    return measured(
        claim,
        variant=variant,
        reason=reason,
        profile=profile,
        scale=scale(first, views),
        ran=ran(first),
        **compared,
    )


def paper_differences() -> dict[str, dict[str, float]]:
    """Return the paper's differences in percentage points, by quantity and variant.

    Variants for which the paper gives no number are left out.
    """
    by_quantity: dict[str, dict[str, float]] = {}
    for claim, variant, ours, column in (
        *CLAIMS,
        *(("depth", ALL_MIDDLE, name, "test_top1") for name in MIDDLE),
    ):
        if (target := find_claim(claim).target(variant)) is not None and target.value is not None:
            by_quantity.setdefault(column, {})[ours] = target.value
    return by_quantity
