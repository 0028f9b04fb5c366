"""Figure 1's race: which run is wanted next, by what it is judged, and how far a curve lies from
the paper's."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.base.errors import InputError
from replication.experiments import figure1, identification, relu_vs_tanh
from replication.experiments.figure1 import CANDIDATES, RACE, Search, epochs_to, next_rate
from replication.experiments.identification import Arm, distance
from replication.ledger.scale import shortfalls
from replication.paper.figures import measured_part
from replication.runs.store import Run, Task

PARAMETERS = {
    "profile": "quick", "data": "cifar10", "count": 0, "size": 32, "batch": 128, "epochs": 48,
    "mark": 0.25, "stop_error": 0.22, "candidates": ["modern", "scaled-tanh"],
    "rates_beside": False, "selection_seed": 100, "seeds": [0, 1, 2], "candidate_seeds": [0, 1],
}  # fmt: skip
SETTINGS = relu_vs_tanh.settings(**PARAMETERS)


def _run(task: Task, errors: list[float]) -> Run:
    """A run with these exact errors; the mean of each epoch lies 3 points above."""
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


def test_every_rate_is_tried_while_none_has_reached_the_mark() -> None:
    grid, scores = (1.0, 2.0, 3.0, 4.0), {}
    while (rate := next_rate(scores, grid)) is not None:
        scores[rate] = math.inf
    assert set(scores) == set(grid)


def test_a_number_stands_where_its_images_were_seen() -> None:
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


def test_a_curve_beside_the_papers_is_excluded_and_the_nearest_is_named() -> None:
    table = identification.table(_arms())
    both = table[table["curve"] == identification.TOGETHER].set_index(["candidate", "definition"])
    assert both.loc[(RACE.name, "exact_error"), "verdict"] == "nearest"
    assert both.loc[("modern", "exact_error"), "verdict"] == "excluded"
    assert both.loc[(RACE.name, "running_error"), "verdict"] == "excluded"


def test_a_candidate_of_one_curve_takes_the_other_from_the_race() -> None:
    arms = _arms()
    other = Arm("scaled-tanh", "tanh", 0.002, arms[1].runs[:2])
    found = identification.together(identification.distances([*arms[:2], other]))
    pairs = [(RACE.name, "exact_error", 0), ("scaled-tanh", "exact_error", 0)]
    assert found[pairs[0]] == pytest.approx(found[pairs[1]])


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": "abc"}, "epochs"),
        ({"seeds": [100]}, "selection"),
        ({"candidates": ["19pct"]}, "candidate"),
        ({"stop_error": 0.3}, "larger than mark"),
        ({"epochz": 3}, "epochz"),
    ],
)
def test_a_bad_parameter_is_named_in_one_line(change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        relu_vs_tanh.settings(**PARAMETERS | change)
    assert "\n" not in str(caught.value)
