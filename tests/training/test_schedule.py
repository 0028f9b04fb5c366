"""The rate over a run: section 5's rule on known errors, the logged timelines, drops by hand."""

import pytest

from replication.recipe import (
    CifarNetSpec,
    Constant,
    Data,
    Plateau,
    Recipe,
    Steps,
    Timeline,
    Update,
)
from replication.training import schedule
from replication.training.schedule import LOGS, ScheduleState


def _recipe(kind: object, epochs: int = 93) -> Recipe:
    return Recipe(
        data=Data(name="x", validation=10),
        net=CifarNetSpec(),
        update=Update(rate=0.01),
        schedule=kind,
        epochs=epochs,
    )


def _settings(recipe: Recipe, epoch: int) -> schedule.EpochSettings:
    return schedule.epoch_settings(recipe, epoch, ScheduleState())


def _decisions(recipe: Recipe, errors: list[float], state: ScheduleState) -> list[str]:
    return [schedule.decide(recipe, error, state) for error in errors]


def test_the_rate_drops_on_a_plateau_and_the_run_ends_on_the_last_one() -> None:
    recipe, state = _recipe(Plateau(kind="plateau", patience=2, drops=2)), ScheduleState()
    errors = [0.9, 0.8, 0.8, 0.81, 0.7, 0.75, 0.7, 0.69, 0.69, 0.70]
    assert _decisions(recipe, errors, state) == [
        "",
        "",
        "",
        "drop",
        "",
        "",
        "drop",
        "",
        "",
        "stop",
    ]
    assert schedule.epoch_settings(recipe, 10, state).weights == pytest.approx(0.01)


def test_an_improvement_below_the_threshold_is_none() -> None:
    recipe = _recipe(Plateau(kind="plateau", patience=1, threshold=0.05))
    assert _decisions(recipe, [0.5, 0.46], ScheduleState()) == ["", "drop"]
    assert _decisions(recipe, [0.5, 0.44], ScheduleState()) == ["", ""]


def test_a_drop_by_hand_counts_and_gives_the_new_rate_its_own_patience() -> None:
    recipe, state = _recipe(Plateau(kind="plateau", patience=2, drops=1)), ScheduleState()
    _decisions(recipe, [0.5, 0.5], state)
    schedule.drop(state)
    schedule.drop(state)  # more than the rule would
    assert _decisions(recipe, [0.5, 0.5], state) == ["", "stop"]


@pytest.mark.parametrize(
    "kind", [Constant(kind="constant"), Steps(kind="steps", after=(50,)), Timeline(kind="timeline")]
)
def test_a_drop_by_hand_lowers_every_rate_of_any_schedule(kind: object) -> None:
    recipe = _recipe(kind)
    for epoch in (0, 70, 90):
        before, after = (
            _settings(recipe, epoch),
            schedule.epoch_settings(recipe, epoch, ScheduleState(drops=1)),
        )
        assert after.weights == pytest.approx(
            before.weights / 10
        ) and after.biases == pytest.approx(before.biases / 10)
        assert (after.conv1 is None) == (before.conv1 is None) and after.colour == before.colour
        assert (
            after.conv1 == before.conv1 == 0
            or before.conv1 is None
            or after.conv1 == pytest.approx(before.conv1 / 10)
        )


def test_the_timeline_of_2010_is_that_of_the_log() -> None:
    recipe = _recipe(Timeline(kind="timeline"))  # layer-params-145-2010.cfg
    wanted = {0: 1, 22: 1, 23: 0.1, 50: 0.1, 51: 0.01, 77: 0.01, 78: 0.001, 92: 0.001}
    assert {epoch: pytest.approx(_settings(recipe, epoch).weights) for epoch in wanted} == wanted
    assert _settings(recipe, 67).conv1 is None and _settings(recipe, 67).colour
    cut, frozen = (
        _settings(recipe, 68),
        _settings(recipe, 72),
    )
    assert cut.conv1 * 0.01 == pytest.approx(1e-5) and not cut.colour and frozen.conv1 == 0
    assert _settings(recipe, 92).biases == pytest.approx(0.1)  # lowered once


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("epochs", [10, 60, 200])
def test_a_stretched_timeline_keeps_its_order(name: str, epochs: int) -> None:
    recipe = _recipe(Timeline(kind="timeline", name=name), epochs)
    weights = [_settings(recipe, epoch).weights for epoch in range(epochs)]
    assert weights == sorted(weights, reverse=True) and weights[0] == 1
    assert len({round(weight, 9) for weight in weights}) == (3 if name == "145-half" else 4)
