"""Figure 1's race: which run is wanted next, and that a plan is made from results alone."""

import pandas as pd
import pytest

from replication.experiments.figure1 import (
    CAP,
    RACE,
    SEEDS,
    SELECTION_SEED,
    Search,
    identifying,
    reporting,
)
from replication.runs.store import Run, Task


def _ended(task: Task, epochs: float) -> Run:
    """A run whose exact error falls evenly from 90% and meets 25% after ``epochs``."""
    length = min(task.recipe.epochs, int(epochs) + 1)
    errors = [0.9 - 0.65 * epoch / epochs for epoch in range(1, length + 1)]
    return Run(task, pd.DataFrame({"exact_error": errors}), {}, {}, {})


def test_the_search_walks_to_the_fastest_rate_and_lets_no_slower_run_go_on() -> None:
    speed = {0.002: 8.5, 0.00283: 7.5, 0.004: 9.0}
    search, asked = Search(RACE, "relu"), []
    while (task := search.next_task()) is not None:
        asked.append((task.recipe.update.rate, task.recipe.epochs, task.recipe.seed))
        search.add(_ended(task, speed[task.recipe.update.rate]))
    assert asked == [
        (0.002, CAP, SELECTION_SEED),
        (0.00283, 9, SELECTION_SEED),
        (0.004, 8, SELECTION_SEED),
    ]
    assert search.rate == 0.00283


def test_reporting_runs_are_apart_from_selection_and_judge_themselves_by_the_exact_error() -> None:
    recipe = reporting("tanh", 0.008, 0).recipe
    assert SELECTION_SEED not in SEEDS
    assert recipe.exact_error and recipe.stop_on == "exact" and recipe.stop_error == 0.22
    assert identifying(RACE, "tanh", 0.008, 0).recipe.stop_error is None


@pytest.mark.parametrize("kind", ["relu", "tanh"])
def test_the_grid_has_steps_of_the_root_of_two(kind: str) -> None:
    grid = RACE.grid(kind)
    assert all(
        later / earlier == pytest.approx(2**0.5, rel=3e-3)
        for earlier, later in zip(grid, grid[1:], strict=False)
    )
