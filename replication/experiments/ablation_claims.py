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
from replication.experiments.common.baselines import BASELINE, VARIANTS
from replication.experiments.common.collect import variant_of
from replication.experiments.common.comparison import (
    END_OF_EPOCH as END,
)
from replication.experiments.common.comparison import (
    MID_EPOCH,
    diverged,
    ran,
    scale,
)
from replication.experiments.common.image_noise import images_of, mean_of, noise
from replication.ledger.measurement import Measurement, lowest, measured
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
    (ITERATIONS, "validation error", BASELINE, NO_DROPOUT, "iterations_to_halfway", END),
    (ITERATIONS, "training loss", BASELINE, NO_DROPOUT, "iterations_to_mark", MID_EPOCH),
    (ITERATIONS, "end of the plateau rule", BASELINE, NO_DROPOUT, "iterations_to_plateau", END),
    ("bias-one", "", "biases-zero", BASELINE, "iterations_to_early_mark", MID_EPOCH),
)


def measure(
    profile: Profile,
    table: pd.DataFrame,
    dropout: pd.DataFrame,
    runs: Sequence[Run],
    sizes: pd.DataFrame | None = None,
) -> list[Measurement]:
    """Return a measurement of every claim that the stored variants can answer.

    ``sizes``: the rows of the baseline and of other sizes, which are a family of their own.
    """
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(variant_of(run.task), []).append(run)
    names = set(table["variant"])
    first = by_variant[BASELINE][0]
    one, ten = (scale(first, views) for views in ("one view", "ten views"))
    where = ran(first)
    measurements = []

    def add(
        claim: str,
        variant: str,
        compared: Mapping[str, Any],
        ours: Sequence[str],
        scale: str = one,
        note: str = "",
    ) -> None:
        if not compared:
            return
        remark = diverged([run for name in (BASELINE, *ours) for run in by_variant[name]])
        cut = "a run that ended before the target counts with its last measured iteration"
        reason = "; ".join(filter(None, (note, cut * (compared.get("bound") is not None), remark)))
        measurements.append(
            measured(
                claim,
                variant=variant,
                reason=reason,
                profile=profile,
                scale=scale,
                ran=where,
                **compared,
            )
        )

    for claim, variant, ours, column in (
        *CLAIMS,
        *(("depth", name, name, "test_top1") for name in MIDDLE),
    ):
        rows = table if ours in names or sizes is None or sizes.empty else sizes
        compared = beside_baseline.difference(rows, column, ours, BASELINE, by_variant)
        add(claim, variant, compared, [ours], ten if column in OVER_TEN else one)
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
        add("depth", ALL_MIDDLE, compared, MIDDLE, ten)
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
            add("importance-order", "", compared, IMPORTANCE, ten)
        measurements[-len(steps) :] = [lowest(measurements[-len(steps) :])]
    if len(dropout):
        add("dropout-average", "", {"values": dropout["halved"] / dropout["single"]}, [])
    recipe = first.task.recipe
    if faster := step_time.on_two_gpus(recipe):
        shown = step_time.scale(recipe)
        measurements.append(
            measured(
                "two-gpu-time",
                faster,
                profile=profile,
                scale=shown,
                reason="n counts timings, not seeds",
            )
        )
    return measurements


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
