"""Section 5's rule on an invented validation curve, and where the rate drops in its curves."""

import math
from collections.abc import Sequence

import pandas as pd
import pytest

from replication.experiments import training
from replication.figures.training import drops
from replication.recipe import Plateau, Recipe
from replication.recipes import named
from replication.training.schedule import LOGS, ScheduleState, decide, epoch_settings

PAPER_RATE, PAPER_DROPS, PAPER_FACTOR = 0.01, 3, 10.0  # section 5
DROPPED, STOPPED = "drop", "stop"


def made_up_errors(schedule: Plateau) -> list[float]:
    """Return a validation curve that falls for a while at every rate, then stays.

    It is long enough for every drop and the stop.
    """
    errors, level = [], 0.9
    for _ in range(schedule.drops + 1):
        errors += [level - 0.02 * step for step in range(4)]
        level = errors[-1]
        errors += [level] * schedule.patience
        level -= 0.1
    return errors


def walk(recipe: Recipe, errors: Sequence[float]) -> pd.DataFrame:
    """Apply the plateau rule of ``recipe`` to a curve of validation errors.

    Returns one row per epoch: epoch, error, rate during it, decision after it.
    """
    state, rows = ScheduleState(), []
    for epoch, error in enumerate(errors):
        rate = recipe.update.rate * epoch_settings(recipe, epoch, state).weights
        rows.append(
            {
                "epoch": epoch + 1,
                "validation_error": error,
                "rate": rate,
                "decision": decide(recipe, error, state),
            }
        )
        if rows[-1]["decision"] == STOPPED:
            break
    return pd.DataFrame(rows)


def follows_section_5(rule: pd.DataFrame) -> bool:
    """Return whether the rates of ``walk`` are section 5's.

    From 0.01 down by a factor of 10 three times, each after the error stopped improving, then the
    end.
    """
    rates = list(dict.fromkeys(rule["rate"]))
    ratios = [first / second for first, second in zip(rates, rates[1:], strict=False)]
    stalled = all(
        rule["validation_error"][:place].min() <= rule["validation_error"][place]
        for place in rule.index[rule["decision"] != ""]
    )
    return (
        math.isclose(rates[0], PAPER_RATE)
        and int((rule["decision"] == DROPPED).sum()) == PAPER_DROPS
        and all(math.isclose(ratio, PAPER_FACTOR) for ratio in ratios)
        and stalled
        and rule["decision"].iloc[-1] == STOPPED
    )


def rule(**changes: object) -> pd.DataFrame:
    recipe = named("alexnet", "paper")
    schedule = Plateau(kind="plateau", **{"patience": 3} | changes)
    return walk(recipe.model_copy(update={"schedule": schedule}), made_up_errors(schedule))


def test_the_rule_of_the_paper_is_three_drops_and_the_end() -> None:
    assert follows_section_5(rule())


@pytest.mark.parametrize("change", [{"drops": 2}, {"factor": 5.0}])
def test_a_rule_with_other_numbers_does_not_follow_section_5(change: dict) -> None:
    assert not follows_section_5(rule(**change))


def test_a_curve_that_keeps_falling_drops_nothing() -> None:
    recipe = named("alexnet", "paper")
    errors = [0.9 - 0.01 * epoch for epoch in range(60)]
    walked = walk(recipe, errors)
    assert set(walked["decision"]) == {""} and set(walked["rate"]) == {PAPER_RATE}
    assert not follows_section_5(walked)


def test_the_claim_is_checked_on_the_logged_runs_and_could_fail() -> None:
    found = training.measure("quick")
    assert found.holds and "23, 51, 78 of 93" in found.value
    early = LOGS | {"145-2010": LOGS["145-2010"]._replace(third=93)}
    assert not training.measure("quick", early).holds


def test_a_drop_is_drawn_at_the_end_of_the_last_epoch_at_the_old_rate() -> None:
    runs = pd.DataFrame(
        {
            "seed": [0] * 4 + [1] * 4,
            "epoch": [1, 2, 3, 4] * 2,
            "rate": [1, 1, 0.1, 0.1, 1, 1, 1, 0.1],
        }
    )
    assert drops(runs) == [2, 3]


def test_the_run_under_the_rule_is_the_baseline_but_for_its_schedule() -> None:
    settings = training.settings(profile="quick", seeds=[3], patience=2, most_epochs=9)
    named_tasks = dict(training.named_tasks(settings))
    whole, under = named_tasks["baseline"].recipe, named_tasks["plateau"].recipe
    assert under.schedule == Plateau(kind="plateau", patience=2)
    assert under.model_copy(update={"schedule": whole.schedule, "epochs": whole.epochs}) == whole
