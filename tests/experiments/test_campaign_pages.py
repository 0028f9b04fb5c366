"""Pages of a campaign that has not ended: what is stored is shown, what is missing is named, and
nothing is judged with too few seeds. All results here are made up.
"""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up_runs import leave_weights, store
from typer.testing import CliRunner

from replication.base import paths
from replication.base.errors import InputError
from replication.book import execute, notebooks
from replication.book.pages import ablations as ablations_page
from replication.book.pages import deviations as deviations_page
from replication.book.pages import effect_of_data as data_page
from replication.book.pages import paper_vs_source as source_page
from replication.cli.app import app
from replication.data.sources import catalog
from replication.experiments import (
    EXPERIMENTS,
    ablation_claims,
    ablations,
    effect_of_data,
    kernels,
    lrn_cifar,
    paper_vs_source,
    relu_vs_tanh,
    tables,
)
from replication.experiments.common import baselines, beside_baseline, controls, dropout_average
from replication.experiments.common.collect import collect, missing_text, variant_of
from replication.figures import ablations as ablations_figures
from replication.figures import effect_of_data as data_figures
from replication.ledger import families
from replication.ledger.rules import MIN_SEEDS
from replication.paper.deviations import deviations
from replication.runs.store import Task


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RUNS", "RESULTS", "DATA"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))


def task(name: str, seed: int, regime: str = "first") -> Task:
    return baselines.task("quick", name, seed, regime)


# --- What is stored, and what is missing ---


def test_stored_runs_are_taken_and_the_missing_ones_named() -> None:
    asked = [task(name, seed) for name in ("baseline", "no-lrn", "tanh") for seed in (0, 1)]
    for one in asked[:3]:
        store(one, 0.3)
    found = collect(asked, only_stored=True)
    assert [run.task.name for run in found.runs] == [one.name for one in asked[:3]]
    text = missing_text(found.missing, len(asked))
    assert "3 of 6 runs" in text and "seeds 1: no-lrn" in text and "seeds 0, 1: tanh" in text
    assert missing_text([], 6) == ""


def test_a_run_that_is_not_evaluated_yet_counts_as_missing() -> None:
    one = task("baseline", 0)
    store(Task(one.profile, one.experiment, one.name, one.recipe, (("test", 1),)), 0.3)
    assert collect([one], only_stored=True).missing == [one]


CAMPAIGN = {  # experiment -> the stages of the campaign that train its runs
    effect_of_data: [effect_of_data.STAGE],
    paper_vs_source: ["baseline", paper_vs_source.STAGE],
    ablations: ["baseline", ablations.STAGE],
    kernels: ["baseline", kernels.STAGE],
    lrn_cifar: [lrn_cifar.STAGE],
    relu_vs_tanh: relu_vs_tanh.STAGES,
    tables: [],
}


@pytest.mark.parametrize("experiment", CAMPAIGN, ids=lambda one: one.EXPERIMENT)
def test_a_page_without_runs_waits_for_the_campaign_and_names_its_stages(experiment) -> None:
    name = experiment.EXPERIMENT
    reason = notebooks.waits(name, "quick", ["only_stored=true"])
    assert "only_stored=false" in reason and "\n" not in reason
    assert all(stage in reason for stage in CAMPAIGN[experiment])
    done = CliRunner().invoke(app, ["run", name, "--set", "only_stored=true"])
    assert isinstance(done.exception, InputError) and reason in str(done.exception)


def test_figure_3_waits_for_a_net_of_two_towers_if_only_a_control_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {"profile": "quick", "seeds": [0], "control_seeds": [], "early_seeds": [0]}
    settings = kernels.settings(**asked, only_stored=True)
    early, towers = (
        kernels.grouped_tasks(settings)[group][0] for group in (kernels.EARLY, kernels.TOWERS)
    )
    for one in (early, towers):
        leave_weights(one.recipe)
    store(early, 0.3)
    with pytest.raises(InputError) as error:
        kernels.run(settings)
    assert kernels.waits(settings) in str(error.value) and kernels.waits(settings)
    store(towers, 0.3)
    assert kernels.waits(settings) == ""
    monkeypatch.setattr(catalog, "available", lambda name: False)
    assert "images" in kernels.waits(settings)


def test_a_run_whose_dropout_cannot_be_measured_without_its_images_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog, "available", lambda name: False)
    run = store(task("baseline", 0), 0.3)
    leave_weights(run.task.recipe)
    assert dropout_average.distances("quick", [run], 10, 4, only_stored=True).empty


def test_every_experiment_that_shows_stored_runs_can_wait_and_says_so_in_its_files() -> None:
    have = {one.name for one in EXPERIMENTS if "only_stored" in _defaults(one)}
    assert have == {experiment.EXPERIMENT for experiment in CAMPAIGN}
    for name in have:
        lines = (paths.PARAMS / "paper" / f"{name}.yaml").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("only_stored:")]
        value, _, meaning = line.partition("  # ")
        assert meaning.startswith("nothing is trained" if "true" in value else "trains")


def _defaults(experiment) -> dict:
    return {} if experiment.reads_results else experiment.module.Settings.model_fields


@pytest.mark.parametrize("experiment", CAMPAIGN, ids=lambda one: one.EXPERIMENT)
def test_a_dry_run_says_that_stored_runs_are_shown_and_nothing_is_trained(experiment) -> None:
    name = experiment.EXPERIMENT
    words = ["run", name, "--profile", "paper", "--dry-run", "--set", "only_stored=true"]
    text = CliRunner().invoke(app, words).output
    assert f"only_stored: {name} would show what is stored and train nothing" in text
    assert f"{name} (paper): nothing to show yet, " in text
    share = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)["experiments"][0]
    assert share["to_train"] == 0 and share["left_out"] == share["runs"] > 0


@pytest.mark.parametrize("experiment", CAMPAIGN, ids=lambda one: one.EXPERIMENT)
def test_a_run_of_stored_results_asks_for_neither_images_nor_disk(
    experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise InputError("looked for")

    monkeypatch.setattr(execute, "check_disk", fail)
    monkeypatch.setattr(notebooks.catalog, "open_index", fail)
    monkeypatch.setattr(execute, "waits", lambda *arguments: "")
    execute.check(experiment.EXPERIMENT, "paper", ["only_stored=true"])


def test_running_everything_leaves_out_a_page_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notebooks, "experiments", lambda: ["effect_of_data"])
    done = CliRunner().invoke(app, ["run", "--profile", "laptop"])
    assert done.exit_code == 0 and "effect_of_data (laptop): left out" in done.output


# --- The effect of data ---

DATA = {"profile": "quick", "images": [75, 150], "seeds": [0, 1, 2], "only_stored": True}


@pytest.mark.parametrize(
    ("images", "words"),
    [([31], "unknown number of images '31'"), ([75, 75], "images occurs twice")],
)
def test_only_amounts_of_data_that_the_campaign_has_are_accepted(images, words) -> None:
    with pytest.raises(InputError, match=words):
        effect_of_data.settings(**DATA | {"images": images})


def few_and_many(seeds: tuple[int, ...] = (0, 1, 2)) -> None:
    """Dropout takes 10 points off with 75 images and costs 10 with 150; crops do nothing."""
    for seed in seeds:
        for images, gain in ((75, 0.1), (150, -0.1)):
            for dropout in (True, False):
                for crops in (True, False):
                    error = 0.5 + gain * (not dropout) + 0.005 * seed
                    store(task(baselines.data_variant(images, dropout, crops), seed), error)


def test_a_regulariser_helps_with_few_images_and_costs_with_many() -> None:
    few_and_many()
    outcome = effect_of_data.run(effect_of_data.settings(**DATA))
    top1 = outcome.effects.query("quantity == 'test_top1'")
    dropout = top1.query("regulariser == 'dropout'").set_index(["other", "images"])
    assert dropout.loc[("with crops", 75), "mean"] == pytest.approx(10)
    assert dropout.loc[("without crops", 150), "mean"] == pytest.approx(-10)
    assert dropout.loc[("with crops", 75), "answer"] == "lower with it"
    assert dropout.loc[("without crops", 150), "answer"] == "higher with it"
    crops = top1.query("regulariser == 'crops'")
    assert set(crops["answer"]) == {"open"} and np.allclose(crops["mean"], 0)
    assert len(top1) == 8 and not outcome.missing
    # eight intervals that hold together are wider than one alone
    half = dropout["high"] - dropout["mean"]
    assert (half > 0.999 * families.tamhane(8, 4) * 0.5 * np.sqrt(2 / 3)).all()


def test_too_few_seeds_have_no_answer_and_a_lonely_cell_no_effect() -> None:
    few_and_many((0,))
    store(task(baselines.data_variant(75, True, True), 1), 0.5)
    outcome = effect_of_data.run(effect_of_data.settings(**DATA))
    assert set(outcome.effects["answer"]) == {"too few seeds"}
    text = data_page.stored_text(effect_of_data.settings(**DATA), outcome)
    assert "runs shown: 9" in text and "15 of 24 runs" in text
    cells = data_page.cells_html(outcome)
    assert cells.count("<tr>") == 1 + 8 and "not run yet" not in cells
    alone = effect_of_data.cells([run for run in outcome.runs if run.task.recipe.seed == 1])
    assert effect_of_data.effects(alone, list(outcome.runs)).empty


def test_a_lonely_cell_is_a_page_that_says_so() -> None:
    store(task(baselines.data_variant(75, True, True), 0), 0.5)
    settings = effect_of_data.settings(**DATA)
    assert effect_of_data.waits(settings) == ""
    outcome = effect_of_data.run(settings)
    assert "No two nets" in data_page.effects_html(outcome)
    assert "no effect" in data_figures.effects(outcome.effects).axes[0].texts[0].get_text()
    assert "recomputed from the runs: 0" in data_page.checks(outcome)
    assert data_page.cells_html(outcome).count("not run yet") == 7
    assert data_page.found_html(settings, outcome).count("are stored yet") == 2
    data_figures.errors(outcome.table).canvas.draw()
    stored = paths.experiment("quick", "effect_of_data") / "effects.csv"
    assert list(pd.read_csv(stored)) == list(outcome.effects)  # other pages read it


def test_the_baselines_own_number_of_images_is_a_point_of_the_figure() -> None:
    for seed in (0, 1):
        for name, error in (("baseline", 0.5), ("no-dropout", 0.6), ("no-crops", 0.4)):
            store(task(name, seed), error)
    own = {"images": [], "own_seeds": [0, 1]}
    settings = effect_of_data.settings(**DATA | own)
    outcome = effect_of_data.run(settings)
    top1 = outcome.effects.query("quantity == 'test_top1'").set_index("regulariser")
    assert top1["mean"].to_dict() == pytest.approx({"dropout": 10, "crops": -10})
    assert set(top1["images"]) == {30}
    data_figures.effects(outcome.effects).canvas.draw()
    assert "too few seeds" in data_page.effects_html(outcome)
    assert "off" in data_page.cells_html(outcome)
    assert "equal" in data_page.checks(outcome)


def test_a_run_at_the_baselines_own_number_of_images_is_counted_once() -> None:
    both = effect_of_data.settings(**DATA | {"images": [30], "own_seeds": [0, 1]})
    tasks = effect_of_data.tasks(both)  # the quick baseline has 30 images of each class
    assert len({one.recipe.id for one in tasks}) == len(tasks) == 4 * 3
    assert [variant_of(one) for one in tasks[:3]] == ["baseline", "no-dropout", "no-crops"]


def test_a_run_without_a_training_error_leaves_the_other_runs_their_gaps() -> None:
    few_and_many()
    runs = effect_of_data.run(effect_of_data.settings(**DATA)).runs
    whole = effect_of_data.effects(effect_of_data.cells(runs), runs)
    answers = {key: of for key, of in runs[0].evaluation.items() if key != "train/1"}
    lacking = [replace(runs[0], evaluation=answers), *runs[1:]]
    part = effect_of_data.effects(effect_of_data.cells(lacking), lacking)
    assert not part[["mean", "low", "high"]].isna().any(axis=None) and len(part) == len(whole)
    same = whole["quantity"].str.startswith("test")
    pd.testing.assert_frame_equal(part[same], whole[same])
    # of a cell without any training error the gap has no effect and no answer
    bare = [
        replace(run, evaluation={k: of for k, of in run.evaluation.items() if k != "train/1"})
        if variant_of(run.task) == "images75"
        else run
        for run in runs
    ]
    none = effect_of_data.effects(effect_of_data.cells(bare), bare)
    none = none[none["mean"].isna()]
    assert set(none["quantity"]) == {"gap", "train_top1"} and set(none["images"]) == {75}
    assert set(none["answer"]) == {"too few seeds"} and len(none) == 2 * 2
    assert none[["low", "high", "images_low", "images_high"]].isna().all(axis=None)


# --- The paper against its source ---


def sides(seeds: int, names: tuple[str, ...] = ("paper-lrn-alpha", "paper-all")) -> None:
    for seed in range(seeds):
        store(task("baseline", seed), 0.3 + 0.005 * seed)
        for place, name in enumerate(names):
            store(task(name, seed), 0.3 + 0.1 * place + 0.005 * seed)


def source_settings(**changes: object) -> paper_vs_source.Settings:
    parameters = {"profile": "quick", "seeds": range(5), "only_stored": True}
    return paper_vs_source.settings(**parameters | changes)


def test_every_switch_has_a_row_and_only_what_is_stored_has_a_number() -> None:
    sides(5)
    outcome = paper_vs_source.run(source_settings())
    top1 = outcome.effects.query("quantity == 'test_top1'").set_index("variant")
    assert list(top1.index) == list(baselines.FIDELITY)
    assert top1["n"].sum() == 10 and top1["mean"].notna().sum() == 2
    assert top1.loc["paper-all", "mean"] == pytest.approx(10)
    assert top1.loc["paper-all", "low"] > 0 > top1.loc["paper-lrn-alpha", "low"]
    assert len(top1.loc["paper-all", "values"]) == 5
    assert source_page.answer(top1.loc["paper-all"], "quick") == "the higher error"
    assert source_page.answer(top1.loc["paper-lrn-alpha"], "quick") == "open"
    assert source_page.answer(top1.loc["paper-spread"], "quick") == "not measured yet"
    assert source_page.effects_html(outcome.effects, "quick").count("not measured yet") == 8 * 5
    assert "not stored yet: 40 of 55" in source_page.stored_text(source_settings(), outcome)
    assert "equal" in source_page.checks(outcome)
    ablations_figures.effects(outcome.differences, {"test_top1": "x"}, {}).canvas.draw()


def test_the_page_says_how_much_one_variant_widens_the_intervals_of_the_others() -> None:
    sides(1)
    one_seed = paper_vs_source.run(source_settings())
    assert "no spread over seeds yet" in source_page.spreads_text(one_seed)
    sides(5)
    for seed in range(5):
        store(task("paper-spread", seed), 0.5 + 0.05 * seed)  # ten times as far apart
    text = source_page.spreads_text(paper_vs_source.run(source_settings()))
    assert "smaller initial weights in conv3 to conv5, with top-1 errors of 50.0 to 70.0%" in text
    assert "released net are 30.0 to 32.0%" in text
    found = re.search(r"are (\d\.\d) to (\d\.\d) times as wide", text)
    # one group ten times as wide beside three: the pooled variance is (100 + 3) / 4
    without = max(families.dunnett((5, 5), 5, 12), families.tamhane(2, 8))
    critical = families.dunnett((5, 5, 5), 5, 16) / without
    assert found and found[1] == found[2] == f"{critical * math.sqrt(103 / 4):.1f}"


@pytest.mark.parametrize(
    "errors",
    [
        {"baseline": [50.0], "paper-all": [50.0, 50.0], "paper-spread": [50.0, 60.0]},
        {"baseline": [math.nan], "paper-all": [50.0, 51.0], "paper-spread": [50.0, 60.0]},
        {"paper-all": [50.0, 51.0], "paper-spread": [50.0, 60.0]},
    ],
)
def test_without_a_spread_to_compare_the_page_says_so(errors: dict[str, list[float]]) -> None:
    rows = [
        {"variant": name, "seed": seed, "test_top1": value}
        for name, values in errors.items()
        for seed, value in enumerate(values)
    ]
    table = pd.DataFrame(rows)
    differences = beside_baseline.differences(table, "baseline", ["test_top1"])
    outcome = SimpleNamespace(table=table, differences=differences)
    assert "no spread over seeds yet" in source_page.spreads_text(outcome)


def test_a_difference_in_nets_that_have_learnt_is_shown_once_all_its_seeds_are_stored() -> None:
    for seed in range(5):
        store(baselines.task("laptop", "baseline", seed), 0.3)
        store(baselines.task("laptop", "paper-all", seed), 0.4)
        for place, name in enumerate(("baseline", "paper-all", "paper-spread")):
            if (name, seed) != ("paper-spread", 4):
                error = 0.3 + 0.2 * place + 0.001 * seed
                store(baselines.task("laptop", name, seed, "learnt"), error)
    settings = source_settings(profile="laptop", learnt_seeds=range(5))
    outcome = paper_vs_source.run(settings)
    learnt = outcome.learnt_effects.query("quantity == 'test_top1' and n > 0").set_index("variant")
    assert list(learnt.index) == ["paper-all"]
    assert learnt.loc["paper-all", "mean"] == pytest.approx(20)
    assert len(outcome.learnt_runs) == len(outcome.runs) == 10
    page = source_page.learnt_html(settings, outcome)
    assert "all of the above" in page and "the higher error" in page
    assert "not measured yet" not in page
    assert "learnt, stored runs: 10" in source_page.checks(outcome)
    # the first baseline's numbers are its own, with and without the others
    alone = paper_vs_source.run(source_settings(profile="laptop"))
    assert alone.effects.equals(outcome.effects) and alone.learnt_effects.empty
    first = alone.effects.query("quantity == 'test_top1'").set_index("variant")
    assert first.loc["paper-all", "mean"] == pytest.approx(10)
    assert "No seeds" in source_page.learnt_html(source_settings(profile="laptop"), alone)
    # where the two regimes are one, the first baseline's runs are not shown again
    assert not source_settings(learnt_seeds=range(5)).seeds_beside


def test_a_deviation_shows_its_effect_on_the_error_once_it_is_measured() -> None:
    entries = {one.id: one for one in deviations()}
    assert "not measured yet" in deviations_page.effects_text(entries["lrn-alpha"], "quick")
    sides(2)
    paper_vs_source.run(source_settings())
    text = deviations_page.effects_text(entries["lrn-alpha"], "quick")
    assert "0.00 [" in text and "] points, n = 2, too few for a verdict (quick)" in text
    assert "not measured yet" in deviations_page.effects_text(entries["initial-weights"], "quick")
    sides(MIN_SEEDS["quick"] - 2, ())  # more seeds of the baseline are no seeds of the variant
    assert "too few" in deviations_page.effects_text(entries["lrn-alpha"], "quick")


def test_the_nine_differences_are_entries_whose_effect_is_read_from_this_page() -> None:
    assert {*paper_vs_source.DEVIATIONS, paper_vs_source.ALL} == set(baselines.FIDELITY)
    read = {
        wanted.row["variant"]: one.id
        for one in deviations()
        for wanted in one.measured
        if wanted.experiment == "paper_vs_source"
    }
    assert read == paper_vs_source.DEVIATIONS


# --- Controls, sizes and rates ---


def learnt(variants: list[str], **changes: object) -> ablations.Settings:
    return ablations.settings(
        profile="quick",
        regime="learnt",
        variants=variants,
        seeds=[0, 1, 2],
        mark=2.0,
        early_mark=2.2,
        images=8,
        masks=4,
        only_stored=True,
        **changes,
    )


def test_controls_and_sizes_stand_beside_the_variants_with_their_parameters() -> None:
    costs = {"baseline": 0.0, "no-lrn": 0.1, "lrn-as-gain": 0.02, "half-width": 0.05}
    costs |= {"twice-width": -0.05}
    for seed in (0, 1, 2):
        for name, more in costs.items():
            count = 500 if name == "half-width" else 1000
            store(task(name, seed, "learnt"), 0.4 + more + 0.005 * seed, parameters=count)
    settings = learnt(["baseline", "no-lrn"])
    outcome = ablations.run(settings)
    beside = outcome.controls.differences.query("quantity == 'test_top1'").set_index("variant")
    assert beside["mean"].to_dict() == pytest.approx(
        {"lrn-as-gain": 2, "half-width": 5, "twice-width": -5}
    )
    assert beside.loc["half-width", "parameters"] == 500
    found = {(one.claim, one.variant): one for one in outcome.measurements}
    assert found["bigger-longer", "width"].mean == pytest.approx(5)
    assert found["bigger-longer", "twice the width"].mean == pytest.approx(-5)
    assert ("bigger-longer", "length") not in found and found["lrn-gain", "top-1"].n == 3
    # the sizes are a family of their own, so more variants do not widen their intervals
    assert set(found["bigger-longer", "width"].family.groups) == {
        "baseline",
        "half-width",
        "twice-width",
    }
    page = ablations_page.controls_html(settings, outcome)
    assert "not run yet" in page and "500" in page
    assert "not stored yet" in ablations_page.stored_text(settings, outcome)
    assert ablations_page.checks(settings, outcome).startswith("stored runs: 6")
    assert ablations_page.rates_html(outcome) == ""  # no variant has a second rate
    for seed in (0, 1, 2):
        store(task("no-lrn-rate0.5", seed, "learnt"), 0.45)
    outcome = ablations.run(settings)
    assert "half" in ablations_page.rates_html(outcome)
    assert ablations_figures.rates(outcome.controls.rates)

    def remark() -> dict[str, str]:
        return {one.variant: one.reason for one in ablations.run(settings).measurements}

    assert "rate" not in remark()["top-1"]  # one of the two nets alone is compared with none
    for seed in (0, 1, 2):
        store(task("baseline-rate0.5", seed, "learnt"), 0.4 + 0.005 * seed)
        assert ("rate" in remark()["top-1"]) == (seed > 0)  # one seed has no interval
    assert "with both nets at half the learning rate the difference is 4.5" in remark()["top-1"]
    assert "rate" not in remark()["top-5"]


def test_a_page_of_the_first_regime_shows_the_stored_sizes_of_the_learnt_one() -> None:
    for seed in (0, 1):
        for name, error in {"baseline": 0.6, "one-gpu": 0.65}.items():
            store(baselines.task("laptop", name, seed, "first"), error + 0.01 * seed)
        for name, error in {"baseline": 0.4, "half-width": 0.45, "half-length": 0.41}.items():
            store(baselines.task("laptop", name, seed, "learnt"), error + 0.01 * seed)
    settings = learnt(["baseline", "one-gpu"]).model_copy(
        update={"profile": "laptop", "regime": "first", "seeds": (0, 1), "learnt_seeds": (0, 1, 2)}
    )
    outcome = ablations.run(settings)
    found = {(one.claim, one.variant): one for one in outcome.measurements}
    # each beside the baseline of its own regime
    assert found["bigger-longer", "width"].mean == pytest.approx(5)
    assert found["bigger-longer", "length"].mean == pytest.approx(1)
    assert found["two-gpu-gain", "top-1"].mean == pytest.approx(5)
    assert ("bigger-longer", "twice the width") not in found
    assert set(outcome.table["variant"]) == {"baseline", "one-gpu"} and not outcome.missing
    page = ablations_page.controls_html(settings, outcome)
    assert "less patience" in page and "not run yet" in page  # twice the width
    assert "no control is stored" in page
    assert ablations_page.rates_html(outcome) == ""
    none = settings.model_copy(update={"learnt_seeds": ()})
    assert "bigger-longer" not in {one.claim for one in ablations.run(none).measurements}


def test_a_variant_of_the_learnt_baseline_measures_its_claim_once_it_has_all_seeds() -> None:
    for seed in (0, 1, 2):
        for name, first, later in (("baseline", 0.6, 0.4), ("no-lrn", 0.65, 0.5)):
            store(baselines.task("laptop", name, seed, "first"), first + 0.01 * seed)
            if (name, seed) != ("no-lrn", 2):
                store(baselines.task("laptop", name, seed, "learnt"), later + 0.01 * seed)
        store(baselines.task("laptop", "one-gpu", seed, "first"), 0.62 + 0.01 * seed)
    settings = learnt(["baseline", "no-lrn", "one-gpu"]).model_copy(
        update={"profile": "laptop", "regime": "first", "learnt_seeds": (0, 1, 2)}
    )

    def gains() -> dict[str, float]:
        outcome = ablations.run(settings)
        assert ablations_page.learnt_html(outcome, settings)
        return {one.claim: one.mean for one in outcome.measurements if one.variant == "top-1"}

    assert gains() == pytest.approx({"lrn-gain": 5, "two-gpu-gain": 2})  # both of the first
    store(baselines.task("laptop", "no-lrn", 2, "learnt"), 0.52)
    assert gains() == pytest.approx({"lrn-gain": 10, "two-gpu-gain": 2})
    outcome = ablations.run(settings)
    assert set(outcome.learnt["variant"]) == {"baseline", "no-lrn"}
    unused = outcome.learnt_differences.query("quantity == 'unused_top1'")
    assert unused["mean"].tolist() == pytest.approx([10])
    assert "unused training images" in ablations_page.learnt_html(outcome, settings)
    assert set(outcome.table["variant"]) == {"baseline", "no-lrn", "one-gpu"}
    claims = [(one.claim, one.variant) for one in outcome.measurements]
    assert len(claims) == len(set(claims))  # one number for each


def test_a_page_of_the_first_regime_shows_the_stored_rates_and_controls_of_the_learnt_one() -> None:
    for seed in (0, 1, 2):
        for name, error in {"baseline": 0.6, "no-lrn": 0.65}.items():
            store(baselines.task("laptop", name, seed, "first"), error + 0.01 * seed)
        for name, error in {
            "baseline": 0.4, "baseline-rate0.5": 0.41, "baseline-rate2": 0.5,
            "no-lrn": 0.48, "no-lrn-rate0.5": 0.43, "lrn-as-gain": 0.42,
        }.items():  # fmt: skip
            store(baselines.task("laptop", name, seed, "learnt"), error + 0.01 * seed)
    settings = learnt(["baseline", "no-lrn"]).model_copy(
        update={"profile": "laptop", "regime": "first", "learnt_seeds": (0, 1, 2)}
    )
    outcome = ablations.run(settings)
    rates = outcome.controls.rates.set_index(["variant", "factor"])
    assert rates.loc[("no-lrn", 0.5), "mean"] == pytest.approx(2)  # both at half the rate
    assert rates.loc[("no-lrn", 1.0), "mean"] == pytest.approx(8)
    assert rates.loc[("baseline", 1.0), "chosen"] == 1.0 and set(rates["trained"]) == {"CPU"}
    page = ablations_page.rates_html(outcome)
    assert "not known yet for no normalisation:" in page  # twice the rate is not stored
    assert "end of the range" not in page
    page = ablations_page.controls_html(settings, outcome)
    assert "normalisation as constant gains" in page and "+2.00" in page and "+8.00" in page
    store(baselines.task("laptop", "no-lrn-rate2", 0, "learnt"), 0.7)
    page = ablations_page.rates_html(ablations.run(settings))
    assert "its own best: half" in page and "end of the range for no normalisation," in page


def test_a_variant_that_is_trained_otherwise_by_design_is_named_and_not_refused() -> None:
    for seed in (0, 1):
        for name in ("baseline", "half-length", "images30"):
            store(task(name, seed, "learnt"), 0.4 + 0.01 * seed)
    settings = learnt(["baseline", "half-length", "images30"])
    text = ablations_page.checks(settings, ablations.run(settings))
    assert "except half-length, images30, which differ in these" in text


def test_a_partial_seed_is_shown_and_joint_numbers_wait_for_all_their_variants() -> None:
    names = ["baseline", "tanh", "one-gpu", "no-lrn", "non-overlapping", *ablation_claims.MIDDLE]
    for seed in (0, 1, 2):
        for place, name in enumerate(names):
            if (name, seed) not in (("without-conv4", 1), ("one-gpu", 2)):
                store(task(name, seed, "learnt"), 0.4 + 0.01 * place)
    outcome = ablations.run(learnt(names))
    found = {(one.claim, one.variant): one for one in outcome.measurements}
    assert len(found["depth", ablation_claims.ALL_MIDDLE].values) == 2
    assert found["importance-order", ""].n == 2
    assert found["lrn-gain", "top-1"].n == 3
    assert found["two-gpu-gain", "top-1"].n == 2
    # a gap and a mean of several nets have the noise of the test images, as every error has
    for claim, variant in (("depth", ablation_claims.ALL_MIDDLE), ("overlap-overfit", "")):
        assert found[claim, variant].over_images.images == 200


def test_spread_is_controlled_only_where_a_variant_changes_it() -> None:
    """At full width no initial weight is scaled by the number of inputs."""
    for profile, controlled in (("laptop", True), ("gpu", False)):
        names = {variant_of(one) for one in controls.tasks(profile, [0], "learnt")}
        assert ("one-gpu-spread" in names) == ("without-conv2-spread" in names) == controlled
        assert {"lrn-as-gain", "early-crossing", "half-width"} <= names


def test_the_first_regime_has_no_controls() -> None:
    store(task("baseline", 0), 0.4)
    store(task("no-lrn", 0), 0.4)
    settings = learnt(["baseline", "no-lrn"]).model_copy(update={"regime": "first"})
    outcome = ablations.run(settings)
    assert outcome.controls.rates.empty and ablations_figures.rates(outcome.controls.rates) is None
    assert "learnt" in ablations_page.controls_html(settings, outcome)
    assert ablations_page.rates_html(outcome) == ""


def test_a_variant_that_prefers_another_rate_is_seen() -> None:
    rows = []
    for seed in (0, 1, 2):
        for name, errors in (("baseline", (44, 40, 46)), ("no-lrn", (43, 50, 60))):
            for suffix, error in zip(("-rate0.5", "", "-rate2"), errors, strict=True):
                rows.append({"variant": f"{name}{suffix}", "seed": seed})
                rows[-1] |= {"test_top1": error + seed, "validation": error - 1 + seed}
    rows.append({"variant": "tanh-rate2", "seed": 0, "test_top1": 70.0, "validation": 70.0})
    rows.append({"variant": "one-gpu", "seed": 0, "test_top1": 41.0, "validation": 41.0})
    for place, row in enumerate(rows):
        row["trained"] = "GPU" if place == 0 else "CPU"
    rates = controls.rates(pd.DataFrame(rows)).set_index(["variant", "factor"])
    assert rates.loc[("no-lrn", 1.0), "mean"] == pytest.approx(10)
    assert rates.loc[("no-lrn", controls.OWN), "mean"] == pytest.approx(3)
    assert rates.loc[("no-lrn", 1.0), "chosen"] == 0.5
    assert rates.loc[("baseline", 0.5), "chosen"] == 1.0
    assert ("tanh", controls.OWN) not in rates.index  # not all of its rates are stored
    assert "one-gpu" not in rates.index  # one rate alone says nothing about rates
    assert rates.loc[("baseline", 0.5), "trained"] == "2 CPU, 1 GPU"


def test_one_line_switches_the_ablations_to_the_regime_that_has_learnt() -> None:
    first = notebooks.settings("ablations", "laptop")
    second = notebooks.settings("ablations", "laptop", ["regime=learnt"])
    assert (first.regime, second.regime) == ("first", "learnt")
    asked = ablations.tasks(second)
    sizes = {name: len(family) for name, family in baselines.FAMILIES.items()}
    expected = sum(
        sizes[name] * baselines.SEEDS[name] for name in ("variants", "controls", "sizes", "rates")
    )
    assert len(asked) == expected + len(second.baseline_seeds)
    assert len({one.folder for one in asked}) == len(asked)
