"""Runs beside one another: crossings of a loss and paired differences."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.experiments.common.baselines import task
from replication.experiments.common.comparison import (
    crossing,
    diverged,
    halfway,
    iterations_to_validation,
)
from replication.runs.store import Run

TABLE = pd.DataFrame(
    [
        ("whole", 0, 40.0),
        ("whole", 1, 42.0),
        ("whole", 2, 41.0),
        ("less", 2, 44.0),
        ("less", 0, 41.0),
    ],
    columns=["variant", "seed", "test_top1"],
)


def test_a_crossing_is_read_on_the_line_between_two_epochs() -> None:
    assert crossing([2.0, 1.0], 1.5, start=2.3, first=1.0) == pytest.approx(1.5)
    # from what a net knows that knows nothing, at 0
    assert crossing([1.0], 1.5, start=2.0, first=1.0) == pytest.approx(0.5)
    assert crossing([2.0, 1.9], 2.5, start=2.3, first=1.0) == 0
    assert math.isnan(crossing([2.0, 1.9], 1.5, start=2.3, first=1.0))
    # the loss may rise first
    assert crossing([2.6, 2.4, 1.4], 1.9, start=2.3, first=1.0) == pytest.approx(2.5)
    # means over epochs are placed in their middles
    assert crossing([2.0, 1.0], 1.5, start=2.3, first=0.5) == pytest.approx(1.0)
    assert crossing([1.0], 1.5, start=2.0, first=0.5) == pytest.approx(0.25)


@given(st.lists(st.floats(0.1, 4), min_size=1, max_size=20), st.floats(0.2, 3), st.floats(0.2, 3))
def test_a_lower_target_is_never_met_earlier(losses: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    early, late = (crossing(losses, mark, start=3.5, first=0.5) for mark in (high, low))
    assert math.isnan(late) or early <= late + 1e-9


def test_runs_that_never_learnt_are_named_and_many_are_counted() -> None:
    def made(name: str, losses: list[float], ended: str = "epochs") -> Run:
        history = pd.DataFrame({"loss": losses})
        return Run(task("quick", name, 0), history, {"ended": ended}, {"data": {"classes": 10}}, {})

    sound, idle, broken = (
        made("baseline", [2.4, 2.2]),
        made("tanh", [2.31, 2.30]),
        made("no-lrn", [2.2], "diverged"),
    )
    assert diverged([sound]) == ""
    assert (
        diverged([sound, idle, broken])
        == "the loss was not finite in no-lrn-seed0; the training loss was never below that of"
        " chance in tanh-seed0"
    )
    assert diverged([sound, *[idle] * 5]).endswith("5 of 6 runs")


def test_halfway_is_between_guessing_and_what_all_runs_reach() -> None:
    def made(errors: list[float]) -> Run:
        history = pd.DataFrame({"loss": [1.0] * len(errors), "validation_error": errors})
        return Run(
            task("quick", "baseline", 0),
            history,
            {"iterations_per_epoch": 100},
            {"data": {"classes": 10}},
            {},
        )

    slow, fast = made([0.8, 0.7, 0.5, 0.4]), made([0.6, 0.3, 0.2, 0.25])
    # of 0.9 by guessing and 0.4, the best of the slower one
    assert halfway([slow, fast]) == pytest.approx(0.65)
    # a quarter of the way from 0.7 to 0.5, measured after 2 and 3 epochs
    assert iterations_to_validation(slow, 0.65) == pytest.approx(225)
    assert iterations_to_validation(fast, 0.65) == pytest.approx(100 * 0.25 / 0.3)
    assert math.isnan(
        halfway([slow, Run(slow.task, slow.history[["loss"]], slow.summary, slow.provenance, {})])
    )
