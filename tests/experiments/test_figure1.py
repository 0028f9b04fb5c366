"""Figure 1's race: which run is wanted next, by what it is judged, and how far a curve is from
the paper's."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import stored_runs
from hypothesis import given
from hypothesis import strategies as st

from replication.base.errors import InputError
from replication.book.notebooks import parameters
from replication.book.pages import relu_vs_tanh as report
from replication.experiments import figure1, first_fifths, identification, relu_vs_tanh, speedup
from replication.experiments.candidates import CANDIDATES, RACE
from replication.experiments.figure1 import (
    DEFINITIONS,
    FIRST_FIFTH,
    READINGS,
    Search,
    epochs_to,
    next_rate,
)
from replication.experiments.identification import TOGETHER, Arm, distance
from replication.figures import learning
from replication.ledger.scale import shortfalls
from replication.paper.figures import figure1_ratio, measured_part, start
from replication.runs.store import Run, Task

PARAMETERS = {
    "profile": "quick", "data": "cifar10", "count": 0, "size": 32, "batch": 128, "epochs": 48,
    "mark": 0.25, "stop_error": 0.22, "candidates": ["modern", "scaled-tanh"],
    "rates_beside": False, "selection_seed": 100, "seeds": [0, 1, 2], "candidate_seeds": [0, 1],
}  # fmt: skip
SETTINGS = relu_vs_tanh.settings(**PARAMETERS)


def _run(task: Task, errors: list[float]) -> Run:
    """A run with these exact errors; the mean of each epoch is 3 points above."""
    history = pd.DataFrame({"exact_error": errors})
    history["running_error"] = history["last_fifth_error"] = history["exact_error"] + 0.03
    data = {"name": "cifar10", "note": "", "images": 50_000, "classes": 10}
    data["fingerprint"] = "959a45022370f44a"  # of the original files
    summary = {"iterations_per_epoch": 390, "epochs": len(errors), "ended": "stop_error"}
    return Run(task, history, summary | {"exact_error": errors[-1]}, {"data": data}, {})


def _falling(task: Task, epochs: float) -> Run:
    """A run whose exact error falls evenly from 90% and meets 25% after ``epochs``."""
    length = min(task.recipe.epochs, int(epochs) + 1)
    return _run(task, [0.9 - 0.65 * epoch / epochs for epoch in range(1, length + 1)])


def test_the_search_walks_to_the_fastest_rate_and_lets_no_slower_run_go_on() -> None:
    speed = {0.002: 8.5, 0.00283: 7.5, 0.004: 9.0}
    search, asked = Search(SETTINGS, RACE, "relu"), []
    while (task := search.next_task()) is not None:
        assert not search.ended
        asked.append((task.recipe.update.rate, task.recipe.epochs, task.recipe.seed))
        search.add(_falling(task, speed[task.recipe.update.rate]))
    assert asked == [(0.002, 48, 100), (0.00283, 9, 100), (0.004, 8, 100)]
    assert search.ended and search.rate == 0.00283 and search.beside == (0.002, 0.004)


@given(
    st.lists(st.floats(1, 50), min_size=3, max_size=8, unique=True),
    st.randoms(use_true_random=False),
)
def test_the_search_ends_at_a_rate_that_no_neighbour_beats(
    times: list[float], random: object
) -> None:
    grid = tuple(float(2**i) for i in range(len(times)))
    truth = dict(zip(grid, times, strict=True))
    scores: dict[float, float] = {}
    while (rate := next_rate(scores, grid)) is not None:
        assert rate not in scores
        scores[rate] = truth[rate]
    best = grid.index(min(scores, key=scores.get))
    beside = (best - 1, best + 1)
    assert all(truth[grid[i]] > truth[grid[best]] for i in beside if 0 <= i < len(grid))


def test_every_rate_is_tried_while_none_has_reached_the_target() -> None:
    grid, scores = (1.0, 2.0, 3.0, 4.0), {}
    while (rate := next_rate(scores, grid)) is not None:
        scores[rate] = math.inf
    assert set(scores) == set(grid)


def test_a_training_error_is_placed_when_its_images_were_seen() -> None:
    """The same numbers read as means over whole epochs are met half an epoch earlier."""
    task = figure1.reporting(SETTINGS, RACE, "relu", 0.002)[0]
    run = _run(task, [0.5, 0.3, 0.2])
    assert epochs_to(run, 0.25) == pytest.approx(2.5)
    run.history["running_error"] = run.history["last_fifth_error"] = run.history["exact_error"]
    assert epochs_to(run, 0.25, "running_error") == pytest.approx(2.0)
    assert epochs_to(run, 0.25, "last_fifth_error") == pytest.approx(2.4)
    assert math.isnan(epochs_to(run, 0.1))


def test_runs_of_the_race_are_judged_by_the_exact_error_on_all_images() -> None:
    for task in figure1.planned(SETTINGS):
        assert task.recipe.stop_on == "exact" and task.recipe.exact_error
        assert task.recipe.data.count is None and not task.recipe.data.augment
        assert task.recipe.update.weight_decay == 0


@pytest.mark.parametrize("candidate", [RACE, *CANDIDATES.values()], ids=lambda one: one.name)
def test_the_grids_have_steps_of_the_root_of_two(candidate: figure1.Candidate) -> None:
    for kind in candidate.kinds:
        ratios = np.divide(candidate.grid(kind)[1:], candidate.grid(kind)[:-1])
        assert ratios == pytest.approx(2**0.5, rel=3e-3)


def test_a_candidates_products_are_those_that_the_plan_names() -> None:
    text = relu_vs_tanh.plan(PAPER)
    for name in PAPER.candidates:
        candidate = CANDIDATES[name]
        (task, *_) = figure1.reporting(PAPER, candidate, candidate.kinds[0], 0.002)
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {name}: ")]
        assert ("bf16" in line) == (task.recipe.precision == "bf16")


def test_the_papers_own_points_lie_at_no_distance() -> None:
    for kind, epochs in (("relu", 6), ("tanh", 36)):
        points = measured_part(kind)
        curve = np.interp(np.arange(1, epochs + 1), points["epoch"], points["error"])
        assert distance(curve, kind) < 0.3  # between whole epochs the dashes bend a little
        assert distance(curve + 0.02, kind) == pytest.approx(2, abs=0.1)


def _arms() -> list[Arm]:
    """The race on the paper's curves with a little noise; "modern" ten points beside them."""
    arms = []
    for candidate, shift in ((RACE, 0.0), (CANDIDATES["modern"], 0.1)):
        for kind, epochs in (("relu", 7), ("tanh", 40)):
            points = measured_part(kind)
            curve = np.interp(np.arange(1, epochs + 1), points["epoch"], points["error"])
            runs = [
                _run(task, (curve + shift - 0.002 * (seed + 1)).tolist())
                for seed, task in enumerate(figure1.reporting(SETTINGS, candidate, kind, 0.002))
            ]
            arms.append(Arm(candidate.name, kind, 0.002, tuple(runs)))
    return arms


@pytest.mark.parametrize(("candidates", "seeds"), [(9, 3), (27, 5)])
def test_equal_distances_seldom_exclude_a_candidate(candidates: int, seeds: int) -> None:
    draws = np.random.default_rng(1).normal(1.2, 0.2, (100, candidates, seeds))
    wrong = sum("excluded" in identification.verdicts(world.tolist()) for world in draws)
    assert wrong <= 5
    far = [*draws[0].tolist(), (draws[0, 0] + 5).tolist()]
    assert identification.verdicts(far)[-1] == "excluded"


def test_a_curve_beside_the_papers_is_excluded_and_the_nearest_is_named() -> None:
    table = identification.table(_arms())
    both = table[table["curve"] == TOGETHER].set_index(["candidate", "definition"])
    assert both.loc[(RACE.name, "exact_error"), "verdict"] == "nearest"
    assert both.loc[("modern", "exact_error"), "verdict"] == "excluded"
    assert both.loc[(RACE.name, "running_error"), "verdict"] == "excluded"


def test_the_race_is_compared_at_every_place_where_an_epochs_number_may_be_drawn() -> None:
    points = measured_part("relu")
    curve = np.interp(np.arange(0.5, 7), points["epoch"], points["error"])
    late = np.interp(np.arange(1, 8), points["epoch"], points["error"])
    run = _run(figure1.reporting(SETTINGS, RACE, "relu", 0.002)[0], late.tolist())
    run.history["running_error"] = curve  # the paper's, in the middle of each epoch
    other = Arm("modern", "relu", 0.02, (run,))
    table = identification.placements([Arm(RACE.name, "relu", 0.002, (run,)), other])
    means = table.set_index(["definition", "drawn"])["mean"]
    assert list(means["running_error"].index) == [0, 0.5, 1]
    assert list(means["exact_error"].index) == [0, 1]  # its own place is the end
    assert means["exact_error"].idxmin() == 1 and means["running_error"].idxmin() == 0.5
    assert set(table["n"]) == {1}
    measured = identification.distances([other]).set_index("definition")["distance"]
    assert means["running_error", 1] == pytest.approx(measured["running_error"])


def test_runs_of_one_candidate_lie_as_far_apart_as_their_seeds_differ() -> None:
    relu, tanh = _arms()[:2]
    first, *others = (run.history["exact_error"].tolist() for run in relu.runs)
    pair = [first, [error + 0.03 for error in first]]
    assert identification.seeds_apart(pair, "relu") == pytest.approx(3)
    assert identification.seeds_apart([*pair, first], "relu") == pytest.approx(2)  # 3, 0 and 3
    assert identification.seeds_apart(pair[:1], "relu") is None
    rows = identification.table([relu, tanh._replace(runs=tanh.runs[:1])])
    by_row = rows.set_index(["curve", "definition"])["seeds_apart"]
    expected = identification.seeds_apart([first, *others], "relu")
    assert by_row["relu", "exact_error"] == pytest.approx(expected)
    assert by_row[["tanh", TOGETHER]].isna().all()


def test_a_candidate_of_one_curve_takes_the_other_from_the_race() -> None:
    arms = _arms()
    other = Arm("scaled-tanh", "tanh", 0.002, arms[1].runs[:2])
    found = identification.together(identification.distances([*arms[:2], other]))
    pairs = [(RACE.name, "exact_error", 0), ("scaled-tanh", "exact_error", 0)]
    assert found[pairs[0]] == pytest.approx(found[pairs[1]])


def test_a_rate_beside_those_of_both_curves_is_a_candidate_for_each() -> None:
    relu, tanh = _arms()[:2]
    worse = [_run(run.task, [0.4] * 7) for run in relu.runs]
    arms = [
        Arm(identification.beside("relu", 0.004), "relu", 0.004, tuple(worse)),
        Arm(identification.beside("tanh", 0.004), "tanh", 0.004, tanh.runs),
    ]
    found = identification.together(identification.distances([relu, tanh, *arms]))
    first, second = (found[arm.candidate, "exact_error", 0] for arm in arms)
    # each with the other curve of the race, not with one another
    assert second == pytest.approx(found[RACE.name, "exact_error", 0]) and first > second + 1


def test_claims_are_measured_from_the_race_and_the_least_favourable_net() -> None:
    curves = [
        SimpleNamespace(
            candidate=RACE if arm.candidate == RACE.name else CANDIDATES[arm.candidate],
            kind=arm.kind, runs=arm.runs, arm=arm, search=SimpleNamespace(ended=True),
        )
        for arm in _arms()
    ]  # fmt: skip
    for curve in curves[2:]:  # the modern net gets there at once, so that its ratio is small
        curve.arm = curve.arm._replace(
            runs=tuple(_run(run.task, [0.3, 0.2]) for run in curve.arm.runs)
        )
    found = {(one.claim, one.variant): one for one in relu_vs_tanh.measure(SETTINGS, curves)}
    assert found["relu-tanh", "source2012"].mean == pytest.approx(36 / 6, rel=0.1)
    assert found["relu-several", "smallest ratio"].mean == pytest.approx(1)
    assert found["fig1-curves", "relu"].mean < 1
    for claim in ("relu-tanh", "relu-several", "fig1-curves"):
        made = [one for (name, _), one in found.items() if name == claim]
        assert all(shortfalls(claim, one.ran) == () for one in made)


def test_a_run_that_diverged_in_its_first_epoch_gives_no_ratio() -> None:
    relu, tanh = _arms()[:2]
    none = tanh.runs[0].history.iloc[:0]
    diverged = replace(tanh.runs[0], history=none, summary=tanh.runs[0].summary | {"epochs": 0})
    assert speedup.measure(SETTINGS, [relu, tanh])
    assert not speedup.measure(SETTINGS, [relu, tanh._replace(runs=(diverged, *tanh.runs[1:]))])


def test_the_larger_distance_is_of_the_two_runs_of_one_seed() -> None:
    relu, tanh = _arms()[:2]
    partial = (
        relu._replace(runs=(relu.runs[0], _run(relu.runs[2].task, [0.4] * 7))),
        tanh._replace(runs=tanh.runs[:2]),
    )
    curves = [
        SimpleNamespace(
            candidate=RACE, kind=arm.kind, runs=arm.runs, arm=arm,
            search=SimpleNamespace(ended=True),
        )
        for arm in partial
    ]  # fmt: skip
    found = {one.variant: one for one in relu_vs_tanh.measure(SETTINGS, curves)}
    assert (found["relu"].n, found["tanh"].n, found["both"].n) == (2, 2, 1)
    assert found["both"].mean < 1 < found["relu"].mean


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": "abc"}, "epochs"),
        ({"seeds": [100]}, "selection"),
        ({"candidates": ["19pct"]}, "unknown candidate '19pct'"),
        ({"candidates": ["modern", "modern"]}, "one candidate occurs twice"),
        ({"stop_error": 0.3}, "larger than mark"),
        ({"mark": 0.9}, "mark: .*less than 0.9"),  # met before any training
        ({"epochz": 3}, "epochz"),
    ],
)
def test_a_bad_parameter_is_named_in_one_line(change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        relu_vs_tanh.settings(**PARAMETERS | change)
    assert "\n" not in str(caught.value)


# --- what is shown while the campaign is not finished --------------------------------------------

PAPER = relu_vs_tanh.settings(**parameters("relu_vs_tanh", "paper"))


@pytest.fixture
def nothing_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))


def _write(task: Task, above: float) -> None:
    """Store a run that is on the paper's curve, plus ``above``."""
    kind = "relu" if task.recipe.net.activation == "relu" else "tanh"
    points = measured_part(kind)
    last = 6 if kind == "relu" else 36
    epochs = np.arange(1, min(task.recipe.epochs, last + 6) + 1)
    curve = np.interp(epochs, points["epoch"], points["error"]) - 0.002 * (task.recipe.seed % 5)
    curve += above - 0.0005 * epochs - 0.02 * np.maximum(0, epochs - last)
    rows = [
        {
            "exact_error": error,
            "last_fifth_error": error + 0.02,
            "running_error": error + 0.03,
            "loss": 1.0,
        }
        for error in curve.tolist()
    ]
    stored_runs.write(task, rows, {"exact_error": rows[-1]["exact_error"]})


def _run_curve(candidate: figure1.Candidate, kind: str, seeds: int, above: float = 0.0) -> None:
    """Store the whole choice of a rate, and some reporting seeds."""
    search = Search(PAPER, candidate, kind)
    while (task := search.next_task()) is not None:
        _write(task, above if not search.tried else above + 0.05)
        search.add(relu_vs_tanh.complete([task])[0])
    for task in figure1.reporting(PAPER, candidate, kind, search.rate)[:seeds]:
        _write(task, above)


def _shown(outcome: relu_vs_tanh.Outcome) -> str:
    """Build every part of the page, and return its text."""
    learning.figure1(outcome.curves, RACE.name, PAPER.mark, fifths=outcome.fifths)
    learning.regimes(outcome.curves, PAPER.mark)
    learning.distances(outcome.distances)
    learning.ratios(outcome.ratios, "exact_error", 6.0, 0.25)
    learning.rate_search(outcome.selection, PAPER.mark)
    tables = (
        report.progress_html, report.race_html, report.definitions_html, report.several_html,
        report.several_text, report.identified_html, report.placements_html, report.starts_html,
        report.verdicts_html, report.selection_html,
    )  # fmt: skip
    parts = [table(outcome) for table in tables]
    return "\n".join([*parts, report.checks(PAPER, outcome), report.stored_text(PAPER, outcome)])


def test_with_nothing_stored_every_candidate_is_not_run_yet(nothing_stored: None) -> None:
    outcome = relu_vs_tanh.run(PAPER)
    text = _shown(outcome)
    assert not outcome.runs and not outcome.measurements and report.NOTHING in text
    assert report.missing(outcome, "relu")[0] == RACE.name
    assert {"80sec", "modern"} <= set(report.missing(outcome, TOGETHER))


def test_the_relu_sides_alone_identify_the_relu_curve(nothing_stored: None) -> None:
    _run_curve(RACE, "relu", 5)
    _run_curve(CANDIDATES["80sec"], "relu", 3, above=0.06)
    outcome = relu_vs_tanh.run(PAPER)
    _shown(outcome)
    shown = report.identified_html(outcome)
    relu, tanh, both = (part for part in shown.split("<p>") if part)
    assert "nearest of 6 readings is 19pct at rate 0.002" in relu
    words = outcome.distances["verdict"].value_counts()
    assert f"excludes {words['excluded']} readings" in relu and words["excluded"]
    assert relu.count("</span> excluded</td>") == words["excluded"]
    assert relu.count("</span> nearest</td>") == 1 and "<td>80sec</td>" in relu
    assert "No distance is known yet" in tanh and "No distance is known yet" in both
    assert set(outcome.distances["curve"]) == {"relu"}
    assert [one.variant for one in outcome.measurements] == ["relu"]  # its distance


def test_the_first_fifth_of_the_next_epoch_is_a_reading_on_seeds_of_its_own(
    nothing_stored: None,
) -> None:
    """It starts at epoch 0, so its first number is no epoch's end."""
    for kind in ("relu", "tanh"):
        _run_curve(RACE, kind, 3)
    planned = first_fifths.tasks(PAPER)
    assert {one.recipe.seed for one in planned} == set(PAPER.first_fifth_seeds)
    # without a rate of its own yet, the net that sees the images in stored order has the race's
    assert len(planned) == 2 * 2 * len(PAPER.first_fifth_seeds)
    assert {one.name for one in planned} <= {one.name for one in relu_vs_tanh.tasks(PAPER)}
    for one in planned:
        kind = "relu" if one.recipe.net.activation == "relu" else "tanh"
        points = measured_part(kind)
        above = 0.01 if one.recipe.order == "stored" else 0.0
        epochs = np.arange(one.recipe.epochs)
        after = np.interp(epochs, points["epoch"], points["error"])
        after -= 0.01 * np.maximum(0, epochs - points["epoch"].max())  # beyond the printed curve
        errors = [0.9, *after[1:].tolist()]
        rows = [
            {"first_fifth_error": error + above + 0.001 * (one.recipe.seed - 6), "loss": 1.0}
            | dict.fromkeys(DEFINITIONS, error)
            for error in errors
        ]
        stored_runs.write(one, rows, {"exact_error": rows[-1]["exact_error"]})
    outcome = relu_vs_tanh.run(PAPER)
    text = _shown(outcome)
    rows = outcome.distances.set_index(["curve", "candidate", "definition"])
    for curve in ("relu", "tanh", TOGETHER):
        assert rows.loc[(curve, RACE.name, FIRST_FIFTH), "verdict"] == "nearest"
        assert rows.loc[(curve, "stored-order", FIRST_FIFTH), "mean"] == pytest.approx(1, abs=0.05)
    assert (rows.xs(FIRST_FIFTH, level="definition")["n"] == 3).all()
    assert "next epoch" in text
    at_0 = outcome.starts.set_index(["candidate", "curve"])
    assert at_0.loc[(RACE.name, "relu"), "mean"] == pytest.approx(0.9)
    assert at_0.loc[("stored-order", "tanh"), "mean"] == pytest.approx(0.91)
    assert at_0.loc[(RACE.name, "tanh"), "paper"] == start("tanh")
    assert f"{100 * start('tanh'):.2f}</td>" in text
    ratio = next(one for one in outcome.measurements if "next epoch" in one.variant)
    # each number stands a tenth into the epoch of its images, which the figure draws at its start
    assert ratio.n == 3 and ratio.estimate.mean == pytest.approx(36.1 / 6.1, abs=0.3)
    starts = outcome.fifths[outcome.fifths["epoch"] == 0]
    assert starts[FIRST_FIFTH].mean() == pytest.approx(0.9) and len(starts) == 6
    drawn = learning.figure1(outcome.curves, RACE.name, PAPER.mark, fifths=outcome.fifths)
    assert len(drawn.axes) == 4 and drawn.axes[3].lines[0].get_xdata()[0] == 0


def test_a_bf16_curve_is_compared_with_a_bf16_relu_where_there_is_one() -> None:
    relu, tanh = _arms()[:2]
    half, scaled = relu._replace(candidate="bf16"), tanh._replace(candidate="scaled-tanh")
    assert speedup.pairs([relu, half, scaled])["scaled-tanh"] == (half, scaled)
    assert speedup.pairs([relu, scaled])["scaled-tanh"] == (relu, scaled)


def test_a_run_without_its_first_fifths_has_no_distance_by_them() -> None:
    arms = _arms()[:2]
    assert not identification.errors_of(arms[0].runs[0], FIRST_FIFTH)
    assert FIRST_FIFTH not in set(identification.table(arms)["definition"])


def test_a_curve_that_is_not_run_is_never_taken_from_the_race(nothing_stored: None) -> None:
    for kind in ("relu", "tanh"):
        _run_curve(RACE, kind, 3)
    _run_curve(CANDIDATES["80sec"], "relu", 3)
    _run_curve(CANDIDATES["modern"], "tanh", 3)
    outcome = relu_vs_tanh.run(PAPER)
    _shown(outcome)
    both = outcome.distances[outcome.distances["curve"] == TOGETHER]
    assert set(both["candidate"]) == {RACE.name}
    assert {"80sec", "modern", "stored-order"} <= set(report.missing(outcome, TOGETHER))
    assert set(outcome.ratios["candidate"]) == {RACE.name}
    variants = {one.variant for one in outcome.measurements if one.claim == "relu-tanh"}
    assert "source2012" in variants and not {"80sec", "modern"} & variants
    assert "relu-several" not in {one.claim for one in outcome.measurements}


def test_the_run_that_chose_a_rate_is_drawn_and_never_measured(nothing_stored: None) -> None:
    _run_curve(RACE, "relu", 3)
    _run_curve(RACE, "tanh", 0)
    outcome = relu_vs_tanh.run(PAPER)
    text = _shown(outcome)
    assert "100 (selection)" in text and "the selection seed alone" in text
    assert outcome.curves.loc[outcome.curves["activation"] == "tanh", "selection"].all()
    assert [one.variant for one in outcome.measurements] == ["relu"]
    assert len({run.task.folder for run in outcome.runs}) == len(outcome.runs)
    tanh = outcome.progress[outcome.progress["activation"] == "tanh"].iloc[0]
    assert (tanh["chosen"], tanh["seeds"]) == (True, 0)


def test_both_curves_of_the_runs_that_chose_rates_are_marked_as_such(nothing_stored: None) -> None:
    for kind in ("relu", "tanh"):
        _run_curve(RACE, kind, 0)
    found = relu_vs_tanh.run(PAPER).distances
    assert TOGETHER in set(found["curve"]) and found["selection"].all()


def test_a_reporting_run_that_diverged_in_its_first_epoch_leaves_the_others(
    nothing_stored: None,
) -> None:
    for kind in ("relu", "tanh"):
        _run_curve(RACE, kind, 3)
    rate = Search(PAPER, RACE, "relu")
    while (task := rate.next_task()) is not None:
        rate.add(relu_vs_tanh.complete([task])[0])
    broken = figure1.reporting(PAPER, RACE, "relu", rate.rate)[3]
    stored_runs.write(broken, [], {"exact_error": None, "ended": "diverged"})
    outcome = relu_vs_tanh.run(PAPER)
    _shown(outcome)
    distances = {one.variant: one.n for one in outcome.measurements if one.claim == "fig1-curves"}
    assert distances == {"relu": 3, "tanh": 3, "both": 3}


def test_the_seeds_of_a_candidate_are_whole_numbers_in_the_order_of_the_columns() -> None:
    """With some meanings stored on other seeds, and some not at all."""
    first, last = list(READINGS)[0], list(READINGS)[-1]
    row = {"curve": "tanh", "candidate": RACE.name, "rate": 0.01, "mean": 1.0, "selection": False}
    row |= {"low": 0.5, "high": 1.5, "verdict": "nearest", "seeds_apart": 0.1}
    rows = [row | {"definition": first, "n": 3}, row | {"definition": last, "n": 6}]
    rows.append(row | {"candidate": "bf16", "definition": first, "n": 4})
    outcome = SimpleNamespace(
        distances=pd.DataFrame(rows), progress=pd.DataFrame(columns=["candidate", "activation"])
    )
    shown = report._identified_html(outcome, "tanh")
    assert ">3, 6<" in shown and ">4<" in shown and "4.0" not in shown


def test_a_curve_whose_rates_all_miss_the_target_is_not_called_not_run(
    nothing_stored: None,
) -> None:
    for kind in ("relu", "tanh"):
        _run_curve(RACE, kind, 3)
    shown = report.several_html(relu_vs_tanh.run(PAPER))
    assert "not run yet" in shown and "not reached" not in shown
    _write(Search(PAPER, CANDIDATES["saturating"], "logistic").next_task(), above=0.4)
    outcome = relu_vs_tanh.run(PAPER)
    assert "target error not reached at 1 rate" in report.several_html(outcome)
    assert "target error not reached at 1 rate" in report.progress_html(outcome)


def test_the_factors_of_all_nets_have_intervals_that_hold_together(nothing_stored: None) -> None:
    for candidate in (RACE, CANDIDATES["modern"]):
        for kind in ("relu", "tanh"):
            _run_curve(candidate, kind, 3)
    outcome = relu_vs_tanh.run(PAPER)
    measured = [one for one in report._saturating(outcome).values() if one is not None]
    assert [one.comparisons for one in measured] == [2, 2]
    (smallest,) = (one for one in outcome.measurements if one.claim == "relu-several")
    assert smallest.comparisons == 2 and smallest.estimate in [one.estimate for one in measured]
    assert "no ratio yet: " in report.several_text(outcome)


def test_a_pair_whose_runs_all_ended_early_is_not_called_missing() -> None:
    settings = SETTINGS.model_copy(update={"candidates": ("modern", "80sec", "bf16")})
    race = _arms()[:2]
    modern, cut = (
        [
            arm._replace(
                candidate=name, runs=tuple(_run(run.task, [0.5, last]) for run in arm.runs)
            )
            for arm in race
        ]
        for name, last in (("modern", 0.2), ("80sec", 0.4))
    )
    smallest = speedup.measure(settings, [*race, *modern, *cut])[-1]
    assert smallest.variant == "smallest ratio"
    assert "; 1 more wait for a rate or for runs; 1 more have no ratio" in smallest.reason


def test_a_cut_run_counts_from_where_its_last_error_belongs() -> None:
    race = _arms()[:2]
    reaches, cut = (
        race[at]._replace(runs=tuple(_run(run.task, errors) for run in race[at].runs))
        for at, errors in ((0, [0.5, 0.2]), (1, [0.6, 0.5, 0.4, 0.3]))
    )
    found = {one.variant: one for one in speedup.measure(SETTINGS, [reaches, cut])}
    ends = {definition: speedup.variant(RACE.name, definition) for definition in DEFINITIONS}
    assert {one.bound for one in found.values()} == {"lower"}
    for definition, epochs in (("exact_error", 4), ("running_error", 3.5)):
        assert set(found[ends[definition]].values) == {epochs * 390}


def test_the_papers_two_curves_have_the_ratio_of_its_text() -> None:
    ratio = figure1_ratio().iloc[-1]
    assert ratio["error"] == pytest.approx(0.26) and ratio["ratio"] == pytest.approx(6, abs=1)


def test_the_papers_curves_start_at_epoch_0_below_an_untrained_net() -> None:
    assert start("relu") == pytest.approx(0.782, abs=0.001)
    assert start("tanh") == pytest.approx(0.730, abs=0.001)
    assert max(start("relu"), start("tanh")) < figure1.CHANCE - 0.1


def test_the_papers_curves_are_drawn_in_the_papers_lines() -> None:
    figure = learning.figure1(relu_vs_tanh.curve_table([]), RACE.name, 0.25)
    lines = {line.get_label(): line.get_linestyle() for line in figure.axes[0].lines}
    assert lines["ReLU, the paper"] == "-" and lines["tanh, the paper"] == "--"


def test_the_ids_of_the_stored_runs_stand() -> None:
    """A change of a recipe would orphan every result of the race."""
    names = {
        task.folder.name
        for kind in ("relu", "tanh")
        for task in figure1.reporting(PAPER, RACE, kind, {"relu": 0.00283, "tanh": 0.008}[kind])
    }
    assert "19pct-relu-rate0.00283-seed0-f9d865d81c" in names
    select = figure1.selecting(PAPER, RACE, "tanh", 0.008, PAPER.epochs)
    assert select.folder.name == "select-19pct-tanh-rate0.008-seed100-cc0f28a86a"


def test_a_reader_sees_the_net_and_the_rate_of_a_neighbouring_rate() -> None:
    assert (
        learning.reader_name(identification.beside("relu", 0.004)) == f"{RACE.net}, ReLU at 0.004"
    )
    assert all(learning.reader_name(name) == name for name in CANDIDATES)
