"""Tables 1 and 2: which nets an average is of, what a gain is, and what a fine-tuned net starts
from.
"""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_runs import answer, leave_weights, store

from replication.base.errors import InputError
from replication.base.files import read_json, write_json
from replication.book.notebooks import parameters
from replication.book.pages import tables as tables_report
from replication.data.sources import catalog
from replication.data.splits import selected
from replication.evaluation.predictions import Predictions
from replication.experiments import table_nets, tables
from replication.experiments.common import baselines
from replication.experiments.common.learnt import learnt_tasks
from replication.experiments.common.table_gains import LONG, SIX, gained_over, run_name
from replication.experiments.tables import FIVE, LARGER, ONE, PRE, SEVEN, gain_rows
from replication.ledger.measurement import ImageNoise
from replication.runs.facts import AVERAGES
from replication.runs.store import PER_IMAGE

GOOD = {
    "profile": "quick",
    "seeds": [0],
    "target": "synthetic",
    "target_classes": 8,
    "target_count": 160,
    "target_validation": 40,
    "target_epochs": 1,
    "target_drops": [],
    "larger": "synthetic",
    "fine_epochs": 1,
    "fine_drops": [],
    "fine_rate": 0.001,
    "groups": 1,
    "members": 2,
    "pretrained": 1,
    "jobs": 1,
}


def table() -> pd.DataFrame:
    columns = ["data", "model", "group", "seed", "split", "views", "top1", "top5"]
    rows = [
        ("table 1", ONE, 0, 0, "test", 1, 39.0, 18.3),
        ("table 1", ONE, 0, 0, "test", 10, 37.5, 17.0),
        ("table 1", ONE, 0, 0, "validation", 1, 38.0, 18.0),
        ("table 2", ONE, 0, 0, "test", 10, 41.0, 18.0),
        ("table 2", ONE, 0, 1, "test", 10, 43.0, 20.0),
        ("table 2", ONE, 1, 2, "test", 10, 42.0, 19.0),
        ("table 2", ONE, 1, 3, "test", 10, 42.0, 19.0),
        ("table 2", FIVE, 0, None, "test", 10, 38.0, 16.0),
        ("table 2", FIVE, 1, None, "test", 10, 39.0, 16.5),
        ("table 2", PRE, 0, 0, "test", 10, 39.0, 16.6),
        ("larger", LARGER, 0, 0, "test", 10, 67.0, 40.0),
        ("table 2", SEVEN, 0, None, "test", 10, 36.7, 15.0),
    ]
    return pd.DataFrame(rows, columns=columns)


def gains(name: str, k: str) -> list[float]:
    found = gain_rows(table())
    return found.loc[(found["gain"] == name) & (found["k"] == k), "value"].tolist()


def test_an_average_gains_over_the_mean_of_its_own_nets() -> None:
    assert gains("five", "top5") == pytest.approx([3.0, 2.5])
    # the group without pre-trained nets has none
    assert gains("seven", "top1") == pytest.approx([42 - 36.7])


def test_pre_training_gains_over_the_net_of_the_same_seed() -> None:
    assert gains("pre-training", "top5") == pytest.approx([18.0 - 16.6])


def test_a_pre_trained_net_without_the_net_of_its_seed_has_no_gain() -> None:
    partial = table()
    alone = pd.DataFrame([("table 2", PRE, 1, 4, "test", 10, 40.0, 17.0)], columns=partial.columns)
    found = gain_rows(pd.concat([partial, alone]))
    assert found.loc[found["gain"] == "pre-training", "unit"].tolist() == [0, 0]
    assert np.isfinite(found["value"]).all()


def test_ten_views_gain_over_one_view_of_the_same_net() -> None:
    assert gains("ten views", "top1") == pytest.approx([1.5])


@given(groups=st.integers(1, 4), members=st.integers(2, 6))
def test_no_two_averages_share_a_net(groups: int, members: int) -> None:
    settings = tables.settings(**GOOD | {"groups": groups, "members": members})
    seeds = [seed for group in range(groups) for seed in settings.seeds_of(group)]
    assert sorted(seeds) == list(range(groups * members))


def test_a_fine_tuned_net_starts_from_the_larger_set_and_sees_the_target() -> None:
    settings = tables.settings(**GOOD)
    larger, fine, alone = (table_nets.recipe(settings, model, 3) for model in (LARGER, PRE, ONE))
    assert fine.init_from == larger.id and larger.init_from is None and alone.init_from is None
    assert fine.data == alone.data != larger.data
    assert (fine.net.sixth_conv, larger.net.sixth_conv, alone.net.sixth_conv) == (True, True, False)
    assert fine.update.layer_rates == {"fc8": 10} and fine.update.rate == 0.001
    # every pre-trained net has a larger net of its own
    assert table_nets.recipe(settings, PRE, 4).init_from != fine.init_from


def test_the_controls_have_six_layers_fresh_weights_and_as_many_updates() -> None:
    settings = tables.settings(**GOOD | {"control_epochs": 4, "unused": True})
    six, long, fine = (table_nets.recipe(settings, model, 0) for model in (SIX, LONG, PRE))
    assert six.net == long.net == fine.net and six.data == long.data == fine.data
    assert six.init_from is None and long.init_from is None
    assert (six.epochs, long.epochs) == (1, 4)
    assert [one.name for one in tables.control_tasks(settings)] == [
        "six-layers-from-fresh-weights-seed0",
        "six-layers-as-many-updates-seed0",
    ]
    asked = {one.name: ("unused", 1) in one.evaluate for one in tables.tasks(settings)}
    assert asked.pop("baseline-seed0") is asked.pop("sixth-layer-seed0") is False
    assert all(asked.values())


def test_the_laptop_s_control_has_the_updates_of_pre_training_and_fine_tuning() -> None:
    chosen = tables.settings(**parameters("tables", "laptop"))
    steps = {}
    for model in (LARGER, PRE, LONG):
        recipe = table_nets.recipe(chosen, model, 0)
        images = recipe.data.count - recipe.data.validation
        steps[model] = images // recipe.batch * recipe.epochs
    assert steps[LONG] == pytest.approx(steps[LARGER] + steps[PRE], rel=0.01)


def test_no_net_is_trained_on_an_unused_image() -> None:
    settings = tables.settings(**GOOD | {"target_count": 320, "unused": True})
    one, larger = (table_nets.recipe(settings, model, 0).data for model in (ONE, LARGER))
    every = selected(one.model_copy(update={"count": None}), "train")
    unused = set(every.ids) - set(selected(one, "train").ids)
    assert unused and not unused & set(selected(larger, "train").ids)


def test_only_nets_that_averages_are_of_keep_their_probabilities() -> None:
    """Those of the larger set's nets are a file of megabytes each."""
    settings = tables.settings(**GOOD | {"control_epochs": 2})
    kept = {one.name.rpartition("-")[0] for one in tables.tasks(settings) if one.keep_probabilities}
    assert kept == {"baseline", *(run_name(model, 0).rpartition("-")[0] for model in (ONE, PRE))}


def test_pre_training_gains_over_its_controls_and_waits_for_them() -> None:
    rows = [(ONE, 0, 20.0), (SIX, 0, 19.0), (SIX, 1, 18.0), (LONG, 0, 17.0), (PRE, 0, 16.0)]
    controls = pd.DataFrame(rows, columns=["model", "seed", "top5"])
    assert gained_over(controls, SIX) == [3.0]  # seed 1's pre-trained net is not stored
    assert gained_over(controls, LONG) == [1.0]
    assert gained_over(controls[controls["model"] != PRE], LONG) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [({"pretrained": 3}, "pretrained"), ({"members": 1}, "members"), ({"view": 1}, "view")],
)
def test_a_bad_parameter_is_named_in_one_line(change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        tables.settings(**GOOD | change)
    assert "\n" not in str(caught.value)


def test_a_net_without_a_validation_error_is_left_out_of_the_difference_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RUNS", "RESULTS", "DATA"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    settings = tables.settings(**GOOD | {"seeds": [0, 1], "only_stored": True})
    for one in tables.tasks(settings):
        if one.name == "baseline-seed1":
            kept = tuple(key for key in one.evaluate if key[0] != "validation")
            store(replace(one, evaluate=kept), 0.4)
        elif not one.name.startswith(run_name(LARGER, 0)):
            store(one, 0.4)
    outcome = tables.run(settings)
    found = {one.claim: one for one in outcome.measurements}
    assert (found["val-test"].n, found["table1-cnn"].n) == (1, 2)
    (reason,) = {one.reason for one in outcome.measurements if one.claim == "table2-1cnn-pre"}
    assert "first saw" not in reason  # it is not known what
    updates = outcome.controls.set_index("model")["updates"]
    assert updates[[ONE]].notna().all() and np.isnan(updates[PRE])  # pre-training is not stored


def test_the_paper_s_gains_are_those_of_its_tables() -> None:
    found = tables_report.paper_gains()
    assert found["five", "top5"] == pytest.approx(18.2 - 16.4)  # table 2
    assert found["seven", "top5"] == pytest.approx(18.2 - 15.4)
    assert found["ten views", "top1"] == pytest.approx(39.0 - 37.5)  # note 5


def test_the_chapter_runs_and_averages_probabilities(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RUNS", "RESULTS"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    settings = tables.settings(**GOOD)
    asked = []

    def answers(recipe: object, split: str, views: int) -> Predictions:
        asked.append((recipe.id, split, views))  # type: ignore[attr-defined]
        p = np.eye(8, dtype=np.float32)[[0, 1, 2, 3]]  # class 3 of an image of class 4: one mistake
        return Predictions(np.arange(4), np.array([0, 1, 2, 4]), p, tuple("abcdefgh"), split, "")

    monkeypatch.setattr(tables, "probabilities", answers)
    outcome = tables.run(settings)
    average = outcome.table[outcome.table["model"] == FIVE].iloc[0]
    assert (average["images"], average["top1"]) == (4, 25.0)
    # two nets; then they and the pre-trained one
    assert {views for _, _, views in asked} == {10} and len(asked) == 2 + 3
    tables.run(settings)
    assert len(asked) == 5  # averages are kept with the results
    assert {m.claim for m in outcome.measurements} == set(tables_report.CLAIMS)


def test_what_averages_gain_has_an_interval_over_images_as_far_as_they_are_stored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RUNS", "RESULTS", "DATA"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    settings = tables.settings(**GOOD | {"groups": 3, "only_stored": True})
    monkeypatch.setattr(tables, "can_evaluate", lambda recipe: True)
    for task in tables.tasks(settings):
        store(task, 0.3)
    monkeypatch.setattr(tables, "probabilities", lambda recipe, *_: answer(0.2, recipe.seed))

    def over_images() -> list[ImageNoise | None]:
        ours = {(one.claim, one.variant): one for one in tables.run(settings).measurements}
        gains = ours["table2-5cnn", "gain of five"], ours["table2-7cnn", "gain of seven"]
        for gain in gains:
            if gain.over_images:
                middle = (gain.over_images.low + gain.over_images.high) / 2
                assert middle == pytest.approx(gain.estimate.mean, abs=2)
        return [gain.over_images for gain in gains]

    def forget_images(of_each: int) -> None:
        (file,) = tmp_path.rglob(AVERAGES)
        facts = read_json(file)
        for nets in (2, 3):
            entries = [fact for fact in facts.values() if len(fact["runs"]) == nets]
            for entry in entries[:of_each]:
                entry.pop(tables.PER_IMAGE, None)
        write_json(file, facts)

    assert all(noise.images == 200 for noise in over_images())
    forget_images(1)
    assert all(over_images())
    forget_images(2)  # one group tells nothing of the spread
    assert over_images() == [None, None]


@pytest.mark.parametrize("weights", [False, True], ids=["no weights", "no images"])
def test_an_average_that_needs_weights_or_images_which_are_not_here_is_left_out_and_named(
    weights: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RUNS", "RESULTS", "DATA"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    settings = tables.settings(**GOOD | {"only_stored": True})
    for task in tables.tasks(settings):
        store(task, 0.3)  # as on the machine of a reader: results alone
        if weights:
            leave_weights(task.recipe)
    if weights:
        monkeypatch.setattr(catalog, "available", lambda name: False)
    outcome = tables.run(settings)
    assert set(outcome.table["model"]) == {ONE, LARGER, PRE}
    assert set(outcome.gains["gain"]) == {"ten views", "pre-training"}
    assert outcome.left_out == (f"{FIVE}, group 0", f"{SEVEN}, group 0")
    assert f"not available: {FIVE}, group 0; {SEVEN}" in tables_report.scales(settings, outcome)
    assert outcome.missing == ()
    ours = {(one.claim, one.variant): one for one in outcome.measurements}
    gains = [
        ("ten-views", "top-1"),
        ("ten-views", "top-5"),
        ("table2-1cnn-pre", "gain of pre-training"),
    ]
    assert all(ours[gain].over_images.images == 200 for gain in gains)


def test_ten_views_are_measured_in_nets_that_have_learnt_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RUNS", "RESULTS", "DATA"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    laptop = tables.settings(**parameters("tables", "laptop") | {"seeds": [0, 1]})
    for one in tables.tasks(laptop):
        if one.name in ("baseline-seed0", "baseline-seed1", run_name(ONE, 0)):
            store(one, 0.3)
    measured = {(m.claim, m.variant): m for m in tables.run(laptop).measurements}
    assert ("ten-views", "top-1") in measured
    assert ("ten-views", "nets that have learnt, top-1") not in measured  # none is stored
    runs = [store(baselines.task("laptop", "baseline", seed, "learnt"), 0.2) for seed in (0, 1)]
    measured = {(m.claim, m.variant): m for m in tables.run(laptop).measurements}
    for k in ("top1", "top5"):
        found = measured["ten-views", f"nets that have learnt, {k[:3]}-{k[3:]}"]
        errors = [(run.evaluation["test/1"][k], run.evaluation["test/10"][k]) for run in runs]
        assert found.values == pytest.approx([100 * (one - ten) for one, ten in errors])
        assert found.ran.epochs == runs[0].task.recipe.epochs > 20
    assert learnt_tasks("quick", "baseline", (0, 1)) == []  # its two baselines are one


def test_the_gains_over_the_controls_are_taken_in_top_1_and_in_top_5_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RUNS", "RESULTS", "DATA"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    settings = tables.settings(**GOOD | {"only_stored": True, "control_epochs": 2})
    errors = {SIX: 0.34, LONG: 0.26}
    for task in tables.tasks(settings):
        of = [e for model, e in errors.items() if task.name.startswith(run_name(model, 0)[:-1])]
        store(task, of[0] if of else 0.3)
    ours = {(one.claim, one.variant): one for one in tables.run(settings).measurements}
    for control, sign in (("over six layers", 1), ("over as many updates", -1)):
        first = ours["table2-1cnn-pre", f"{control}, top-1"]
        assert first.mean == pytest.approx(4 * sign) and first.over_images.images == 200
        assert first.ran.pretrained_classes == 10  # those of the made-up larger set
        assert sign * ours["table2-1cnn-pre", control].mean > 0
    for k in ("", "top-1, "):
        one = ours["table2-1cnn-pre", f"over as many updates, {k}one view"]
        assert one.mean < 0 and one.scale.endswith("one view") and one.over_images.images == 200


def test_a_gain_whose_nets_have_their_answers_on_other_seeds_has_an_interval_over_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over seeds alone it could get a direction that other test images would not give."""
    for name in ("RUNS", "RESULTS", "DATA"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    settings = tables.settings(**GOOD | {"groups": 4, "only_stored": True, "control_epochs": 2})
    for task in tables.tasks(settings):
        error = 0.26 if task.name.startswith(run_name(LONG, 0)[:-1]) else 0.3
        early = task.recipe.seed < 4
        store(task, error + 0.001 * task.recipe.seed)
        if early == task.name.startswith(run_name(PRE, 0)[:-1]):
            (task.folder / PER_IMAGE).unlink()
    ours = {(one.claim, one.variant): one for one in tables.run(settings).measurements}
    gain = ours["table2-1cnn-pre", "over as many updates, top-1"]
    assert gain.n == 4 and gain.mean == pytest.approx(-4)
    noise = gain.over_images
    assert noise is not None and noise.low < gain.low and noise.high > gain.high
    assert (noise.low + noise.high) / 2 == pytest.approx(-4, abs=1)


def test_fall_2009_is_a_net_of_its_own_where_there_is_a_copy() -> None:
    settings = tables.settings(**GOOD | {"fall2009": "synthetic"})
    (wanted,) = [task for task in tables.tasks(settings) if task.name.startswith("sixth-layer-on")]
    assert wanted.recipe.net.sixth_conv and wanted.recipe.data.name == "synthetic"
    without = tables.tasks(tables.settings(**GOOD))
    assert not [task for task in without if task.name.startswith("sixth-layer-on")]


def test_a_set_of_labels_with_other_classes_holds_out_no_number_of_the_baseline_s() -> None:
    """50,000 of ILSVRC's thousand classes cannot be divided among Fall 2009's 10,184."""
    sets = {"larger": "folder:/fall2011", "fall2009": "folder:/fall2009"}
    settings = tables.settings(**parameters("tables", "paper") | sets)
    elsewhere = [one for one in tables.tasks(settings) if "fall" in one.recipe.data.name]
    assert {one.recipe.data.name for one in elsewhere} == set(sets.values())
    assert not any(one.recipe.data.validation for one in elsewhere)


def test_table_1_puts_no_images_aside_where_there_is_a_validation_set() -> None:
    paper = tables.settings(**parameters("tables", "paper"))
    first = tables.tasks(paper)[0]
    assert first.recipe.data.name == "ilsvrc2010" and first.recipe.data.validation == 0
    assert ("val", 10) in first.evaluate and ("validation", 1) not in first.evaluate


def test_table_2_shows_the_paper_s_test_column_beside_that_of_the_validation_set() -> None:
    outcome = SimpleNamespace(table=table().iloc[:0])
    shown = tables_report.table2_html(outcome)
    row = next(line for line in shown.splitlines() if "SIFT" in line)
    assert "paper, test top-5" in shown and "26.2" in row
    assert "test top-5" not in tables_report.table1_html(outcome)
