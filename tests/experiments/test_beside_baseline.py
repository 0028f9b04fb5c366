"""A variant beside the baseline: every seed counts, and a run cut at the cap makes a bound."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from replication.evaluation.per_image import packed
from replication.evaluation.predictions import Predictions
from replication.experiments.common import beside_baseline
from replication.experiments.common.baselines import task
from replication.experiments.common.comparison import MID_EPOCH
from replication.experiments.common.image_noise import Images, images_of, mean_of, minus, noise
from replication.ledger.measurement import measured
from replication.runs.store import Run

TABLE = pd.DataFrame(
    [
        *(("whole", seed, 60.0 + seed) for seed in range(8)),
        *(("less", seed, 65.0 + seed) for seed in range(5)),
        ("once", 0, 70.0),
    ],
    columns=["variant", "seed", "test_top1"],
)


def test_every_seed_of_the_baseline_and_of_all_variants_is_used() -> None:
    found = measured(
        "lrn-gain",
        variant="top-1",
        profile="laptop",
        scale="as in the table",
        **beside_baseline.difference(TABLE, "test_top1", "less", "whole"),
    )
    assert (found.n, found.mean) == (5, pytest.approx(67.0 - 63.5))
    assert found.family.freedom == 7 + 4 and set(found.family.groups) == {"whole", "less", "once"}


def test_the_table_of_differences_has_the_simultaneous_intervals() -> None:
    rows = beside_baseline.differences(TABLE, "whole", ("test_top1",)).set_index("variant")
    assert list(rows.index) == ["less", "once"]
    assert rows.loc["less", "values"] == pytest.approx([1.5, 2.5, 3.5, 4.5, 5.5])
    one, five = (rows.loc[name, "high"] - rows.loc[name, "low"] for name in ("once", "less"))
    # one seed has an interval too, from the spread of the others
    assert one / five == pytest.approx(math.sqrt((1 + 1 / 8) / (1 / 5 + 1 / 8)))


def test_a_variant_that_varies_more_than_the_others_has_the_wider_interval_of_the_verdict() -> None:
    wild = pd.DataFrame(
        [("wild", seed, 65.0 + 6 * seed) for seed in range(5)], columns=TABLE.columns
    )
    table = pd.concat([TABLE, wild], ignore_index=True)
    row = beside_baseline.differences(table, "whole", ("test_top1",)).set_index("variant").loc
    found = measured(
        "lrn-gain",
        variant="top-1",
        profile="laptop",
        scale="as in the table",
        **beside_baseline.difference(table, "test_top1", "wild", "whole"),
    )
    assert found.separate.high - found.separate.low > found.high - found.low
    assert (row["wild", "low"], row["wild", "high"]) == pytest.approx(found.reach)


def test_one_seed_of_everything_has_a_difference_and_no_interval() -> None:
    single = TABLE[TABLE["seed"] == 0]
    row = beside_baseline.differences(single, "whole", ("test_top1",)).iloc[0]
    assert row["mean"] == 5.0 and row["low"] is None


def test_a_variant_that_was_not_run_has_no_difference() -> None:
    assert beside_baseline.difference(TABLE, "test_top1", "none", "whole") == {}


@pytest.mark.parametrize(
    ("slow", "fast", "mean", "bound"),
    [
        ([400, 300], [200, 100], math.sqrt(120_000 / 20_000), None),
        # cut at 1000 iterations: the ratio is at least this
        ([math.nan, 300], [200, 100], math.sqrt(300_000 / 20_000), "lower"),
        ([400, 300], [200, math.nan], math.sqrt(120_000 / 200_000), "upper"),
        ([math.nan, 300], [200, math.nan], None, None),
        # the target is above the loss of an untrained net
        ([400, 300], [0, 100], None, None),
    ],
)
def test_a_run_cut_before_the_target_makes_the_ratio_a_bound(slow, fast, mean, bound) -> None:
    rows = [("a", seed, value, 1000, 10) for seed, value in enumerate(slow)]
    rows += [("b", seed, value, 1000, 10) for seed, value in enumerate(fast)]
    table = pd.DataFrame(rows, columns=["variant", "seed", "to", "iterations", "epochs"])
    found = beside_baseline.ratio(table.astype({"to": float}), "to", "a", "b", baseline="b")
    if mean is None:
        assert found == {}
        return
    made = measured("bias-one", profile="laptop", scale="as in the table", **found)
    assert (made.mean, made.bound) == (pytest.approx(mean), bound)


def test_a_cut_run_bounds_a_loss_from_the_middle_of_its_last_epoch() -> None:
    rows = [("a", 0, math.nan, 1000, 10), ("a", 1, math.nan, 1000, 10)]
    rows += [("b", 0, 100.0, 800, 8), ("b", 1, 100.0, 800, 8)]
    table = pd.DataFrame(rows, columns=["variant", "seed", "to", "iterations", "epochs"])
    found = beside_baseline.ratio(table, "to", "a", "b", "b", MID_EPOCH)
    # an epoch is 100 iterations; the target may have been met from 950 on
    assert found["values"] == [950.0, 950.0] and found["bound"] == "lower"


def test_a_run_that_diverged_in_its_first_epoch_bounds_nothing() -> None:
    rows = [("a", 0, math.nan, 0, 0), ("b", 0, 100.0, 800, 8)]
    table = pd.DataFrame(rows, columns=["variant", "seed", "to", "iterations", "epochs"])
    assert beside_baseline.ratio(table, "to", "a", "b", "b", MID_EPOCH) == {}


def _run(name: str, seed: int, wrong: np.ndarray, fingerprint: str = "data") -> Run:
    p = np.tile(np.array([0.6, 0.4], np.float32), (len(wrong), 1))
    p[wrong] = p[wrong, ::-1]
    labels = np.zeros(len(wrong), int)
    answer = Predictions(np.arange(len(wrong)), labels, p, ("a", "b"), "test", fingerprint)
    return Run(task("quick", name, seed), pd.DataFrame(), {}, {}, {}, {"test/10": packed(answer)})


def test_the_noise_of_the_images_is_added_where_every_run_has_its_results() -> None:
    random = np.random.default_rng(5)
    runs = {
        "whole": [_run("baseline", seed, random.random(400) < 0.4) for seed in range(3)],
        "less": [_run("no-lrn", seed, random.random(400) < 0.5) for seed in range(3)],
    }
    found = beside_baseline.difference(TABLE, "test_top1", "less", "whole", runs)["over_images"]
    assert found.low < 10 < found.high and found.images == 400  # percentage points
    other = runs | {"less": [_run("no-lrn", 0, random.random(400) < 0.5, "other images")]}
    assert (
        beside_baseline.difference(TABLE, "test_top1", "less", "whole", other)["over_images"]
        is None
    )


def _images(rate: float, seed: int) -> Images:
    return Images("data", (np.random.default_rng(seed).random(400) < rate).astype(float))


def test_the_gap_has_the_noise_of_the_test_images_and_the_seeds_own_training_errors() -> None:
    wrong = np.random.default_rng(7).random(400) < 0.4
    runs = [
        replace(_run("baseline", seed, wrong), evaluation={"train/1": {"top1": train}})
        for seed, train in enumerate((0.1, 0.3))
    ]
    runs = [replace(run, per_image={"test/1": run.per_image["test/10"]}) for run in runs]
    gaps = [images_of(run, "gap").values.mean() for run in runs]
    assert gaps == pytest.approx([wrong.mean() - 0.1, wrong.mean() - 0.3])
    assert images_of(runs[0], "train_top1") is None and images_of(runs[0], "test_top1") is None


def test_differences_within_a_seed_have_no_more_noise_than_the_seeds_and_images_give() -> None:
    hard = [_images(0.4, seed) for seed in range(6)]
    easy = [Images("data", one.values * _images(0.9, 9).values) for one in hard]
    apart, paired = noise(hard, easy), noise([minus(a, b) for a, b in zip(hard, easy, strict=True)])
    assert apart.low < paired.low < paired.high < apart.high
    assert noise([minus(hard[0], None)]) is None and mean_of([hard[0], None]) is None
    # old runs have no such results: the interval is that of the others, around the mean of all
    half, whole = [*hard[:3], None, None], [*easy[:3], None]
    some = noise(half, whole, mean=7.0)
    known = noise(hard[:3], easy[:3])
    assert some.high - some.low == pytest.approx(known.high - known.low)
    assert (some.low + some.high) / 2 == pytest.approx(7.0, abs=1.0)
    assert noise(half, whole) is None and noise([hard[0], None], whole, mean=7.0) is None
    other = Images("other data", hard[0].values)
    assert minus(hard[0], other) is None and noise(hard, [other]) is None
    mean = mean_of(hard)
    assert mean.values.mean() == pytest.approx(np.mean([one.values.mean() for one in hard]))


def test_variants_that_were_all_cut_do_not_shrink_the_spread_of_a_ratio() -> None:
    rows = [
        (name, seed, value, 1000, 10)
        for name, values in {
            "b": [500, 540, 470],
            "a": [800, 900, 700],
            "cut": [math.nan] * 3,
        }.items()
        for seed, value in enumerate(values)
    ]
    table = pd.DataFrame(rows, columns=["variant", "seed", "to", "iterations", "epochs"])
    alone = table[table["variant"] != "cut"]
    families = [
        beside_baseline.ratio(one.astype({"to": float}), "to", "a", "b", baseline="b")["family"]
        for one in (table, alone)
    ]
    assert families[0].error("a") == families[1].error("a")
