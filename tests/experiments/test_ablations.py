"""The ablations: what is compared with what, on which side, and what a run that was cut off
says.
"""

from pathlib import Path

import pandas as pd
import pytest

from replication.base import paths
from replication.base.errors import InputError
from replication.book.pages import ablations as ablations_report
from replication.experiments import ablations
from replication.experiments.ablation_claims import ALL_MIDDLE, MIDDLE, measure
from replication.experiments.common import dropout_average, step_time
from replication.experiments.common.baselines import VARIANTS, baseline, task
from replication.ledger.measurement import Measurement, read_measurements
from replication.ledger.rules import excluded_side
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.runs.store import Run

SEEDS = (0, 1, 2)
GOOD = {
    "profile": "quick",
    "variants": list(VARIANTS),
    "seeds": list(SEEDS),
    "mark": 2.0,
    "early_mark": 2.2,
    "images": 8,
    "masks": 4,
    "jobs": 1,
}


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of runs for the tests that need images, which are made in it once."""
    return tmp_path_factory.mktemp("runs")


def made_up(variants: tuple[str, ...] = tuple(VARIANTS)) -> tuple[pd.DataFrame, list[Run]]:
    """Every change costs 2 points of top-1, 1 of top-5 and 0.5 of training error, with a little
    spread over the seeds; those of sections 3.1 to 3.3 cost more, in the paper's order.
    """
    rows, runs = [], []
    for seed in SEEDS:
        for name in variants:
            harm = (name != "baseline") * (1 + 0.01 * seed)
            more = {"tanh": 3.0, "one-gpu": 2.0, "no-lrn": 1.0}.get(name, 0.0) * (1 + 0.01 * seed)
            test, train = 40 + 0.1 * seed + 2 * harm + more, 30 + 0.1 * seed + 0.5 * harm
            rows.append(
                {
                    "variant": name,
                    "seed": seed,
                    "test_top1": test,
                    "test_top5": 20 + harm,
                    "train_top1": train,
                }
            )
            rows[-1] |= {"gap": test - train, "iterations_to_halfway": 250.0}
            rows[-1] |= {"epochs": 10, "iterations": 1000}
            rows[-1] |= {"iterations_to_mark": 300.0, "iterations_to_early_mark": 100.0}
            data = {
                "images": 300,
                "classes": 10,
                "name": "synthetic",
                "note": "",
                "fingerprint": "0",
            }
            runs.append(
                Run(
                    task("quick", name, seed),
                    pd.DataFrame(),
                    {"ended": "epochs"},
                    {"data": data},
                    {},
                )
            )
    table = pd.DataFrame(rows)
    table.loc[table["variant"] == "no-dropout", ["iterations_to_mark", "iterations_to_halfway"]] = [
        150.0,
        100.0,
    ]
    table.loc[table["variant"] == "biases-zero", "iterations_to_early_mark"] = 130.0
    return table, runs


def measured(variants: tuple[str, ...] = tuple(VARIANTS)) -> dict[tuple[str, str], Measurement]:
    table, runs = made_up(variants)
    settings = ablations.settings(**GOOD | {"variants": list(variants)})
    dropout = pd.DataFrame({"seed": SEEDS, "halved": [0.1, 0.11, 0.12], "single": [0.4, 0.4, 0.4]})
    return {(m.claim, m.variant): m for m in measure(settings.profile, table, dropout, runs)}


def test_harm_on_the_claimed_side_is_that_direction_reproduced() -> None:
    found = measured()
    for key, measurement in found.items():
        assert excluded_side(measurement) == measurement.target.side, key
    # 2 x (1 + the mean of 0, 0.01, 0.02)
    assert found["lrn-gain", "top-1"].mean == pytest.approx(2.02 + 1.01)
    assert found["importance-order", ""].mean == pytest.approx(1.01)
    # 2 points of test minus 0.5 of training error
    assert found["crop-overfit", ""].mean == pytest.approx(1.5 * 1.01)
    assert found["dropout-iterations", "validation error"].mean == pytest.approx(2.5)
    assert found["dropout-iterations", "training loss"].mean == pytest.approx(2.0)
    assert found["bias-one", ""].mean == pytest.approx(1.3)
    assert found["dropout-average", ""].mean == pytest.approx((0.1 * 0.11 * 0.12) ** (1 / 3) / 0.4)


def test_every_claim_of_the_chapter_is_measured_or_needs_two_gpus() -> None:
    assert {name for name, _ in measured()} == set(ablations_report.CLAIMS) - {
        "two-gpu-time",
        "bigger-longer",  # nets of other sizes are no variant of sections 3 to 7
    }


def test_depth_is_the_mean_of_all_middle_layers_or_is_not_measured() -> None:
    whole = measured()
    layers = [m for (name, variant), m in whole.items() if name == "depth" and variant in MIDDLE]
    assert len(layers) == 4
    assert whole["depth", ALL_MIDDLE].mean == pytest.approx(sum(m.mean for m in layers) / 4)
    few = measured(("baseline", "without-conv3"))
    assert ("depth", ALL_MIDDLE) not in few and few["depth", "without-conv3"].n == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"variants": ["no-lrn"]}, "baseline"),
        ({"variants": ["baseline", "none"]}, "unknown variant 'none'"),
        ({"variants": ["baseline", "tanh", "tanh"]}, "one variant occurs twice"),
        ({"marks": 1}, "marks"),
        ({"seeds": [1, 1]}, "twice"),
        ({"masks": 5}, "masks: .*multiple of 2"),
    ],
)
def test_a_bad_parameter_is_named_in_one_line(change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        ablations.settings(**GOOD | change)
    assert "\n" not in str(caught.value)


def test_a_step_is_timed_in_turns() -> None:
    recipe = baseline("quick", 0, net={"classes": 10})
    found = step_time.ratios(recipe, ("cpu", "cpu"), steps=1, rounds=2)
    assert len(found) == 2 and min(found) > 0


def test_images_are_evenly_spaced_over_the_split(
    monkeypatch: pytest.MonkeyPatch, runs_folder: Path
) -> None:
    monkeypatch.setenv("REPLICATION_RUNS", str(runs_folder))
    recipe = Recipe(
        data=Data(name="synthetic", size=32, crop=24),
        net=AlexNetSpec(side=24, width=0.0625),
        update=Update(rate=0.01),
        epochs=1,
    )
    every = dropout_average.some_images(recipe, 10**6, "cpu")
    some = dropout_average.some_images(recipe, 4, "cpu")
    assert some.equal(every[:: len(every) // 4])


def test_the_chapter_runs_and_reads_its_own_results_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs_folder: Path
) -> None:
    monkeypatch.setenv("REPLICATION_RUNS", str(runs_folder))
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    settings = ablations.settings(**GOOD | {"variants": ["baseline", "no-dropout"], "seeds": [0]})
    first = ablations.run(settings)
    for weights in runs_folder.glob("*/weights.safetensors"):
        weights.unlink()  # they are not published: the stored facts have to do
    again = ablations.run(settings)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert ablations_report.checks(settings, again).startswith("stored runs: 2")
    assert len(again.dropout) == 1 and 0 < again.dropout["halved"][0] < 1
    assert (
        list(read_measurements(paths.results() / "quick" / "ablations" / "measurements.json"))
        == first.measurements
    )


def test_further_seeds_of_the_baseline_are_run_once_and_narrow_the_intervals() -> None:
    settings = ablations.settings(**GOOD | {"baseline_seeds": [1, 7, 8]})
    every = ablations.wanted(settings)
    assert len(set(every)) == len(every) == len(settings.variants) * len(settings.seeds) + 2
    assert every[-2:] == [("baseline", 7), ("baseline", 8)]
    assert "the baseline also on 1, 7, 8" in ablations.plan(settings)
