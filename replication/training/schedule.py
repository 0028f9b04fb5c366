"""The learning rate over a run: section 5's rule, the logged runs of 2012, and planned drops.

``epoch_settings`` gives the rates of an epoch, and ``decide`` applies the rule to the validation
error after it. What a schedule remembers is in a ``ScheduleState`` of plain values, which is part
of the checkpoint. So a decision is taken once, regardless of interruptions."""

from dataclasses import dataclass, field
from typing import NamedTuple

from replication.recipe import Recipe

CONV1 = "conv1"


class Log(NamedTuple):
    """When the rates of a run of 2012 were changed, in complete epochs.

    Read from ``layers/layer-params-<run>.cfg`` of computerhistory/AlexNet-Source-Code."""

    first: int  # 0.01 -> 1e-3
    second: int  # -> 1e-4
    conv1_cut: int  # conv1 -> 1e-5, and colour noise off
    conv1_frozen: int  # conv1 -> 0
    third: int  # the rest -> 1e-5
    stop: int


LOGS = {
    "145-2010": Log(23, 51, 68, 72, 78, 93),
    "145": Log(25, 51, 67, 72, 79, 91),
    "145-half": Log(20, 48, 66, 72, 96, 96),  # the third drop is not noted, so it does not come
    "147": Log(23, 51, 79, 79, 79, 90),  # conv1's cut is not noted apart from its freeze
    "148": Log(22, 44, 69, 73, 86, 97),
    "150": Log(25, 49, 66, 72, 79, 92),
}


class EpochSettings(NamedTuple):
    """Factors on the recipe's learning rates in one epoch, and whether colour noise is on."""

    weights: float = 1.0
    biases: float = 1.0
    conv1: float | None = None  # instead of both, in conv1; None: as everywhere
    colour: bool = True


@dataclass
class ScheduleState:
    """What the plateau rule and the drops by hand remember."""

    drops: int = 0
    best: float | None = None  # lowest validation error so far
    since: int = 0  # epochs without a lower one at the present rate
    done: bool = False  # the last rate has stopped helping
    # the requests for a drop that have been granted
    by_hand: list[str] = field(default_factory=list)


def epoch_settings(recipe: Recipe, epoch: int, state: ScheduleState) -> EpochSettings:
    """Return the settings of epoch ``epoch``, counted from 0."""
    schedule = recipe.schedule
    match schedule.kind:
        case "constant":
            return _lowered(10.0, state.drops)
        case "plateau":
            return _lowered(schedule.factor, state.drops)
        case "steps":
            colour = schedule.colour_off is None or epoch < schedule.colour_off
            return _lowered(
                schedule.factor, state.drops + sum(epoch >= after for after in schedule.after)
            )._replace(colour=colour)
        case "timeline":
            return _timeline(LOGS[schedule.name], epoch, recipe.epochs, 10.0**-state.drops)


def decide(recipe: Recipe, error: float | None, state: ScheduleState) -> str:
    """Apply section 5's rule after an epoch with validation ``error``.

    Returns "drop", "stop", or "" to continue. Other schedules always continue."""
    schedule = recipe.schedule
    if schedule.kind != "plateau" or error is None:
        return ""
    if state.best is None or error < state.best - schedule.threshold:
        state.best, state.since = error, 0
        return ""
    state.since += 1
    if state.since < schedule.patience:
        return ""
    if state.drops >= schedule.drops:  # more, if some were by hand
        state.done = True
        return "stop"
    drop(state)
    return "drop"


def drop(state: ScheduleState) -> None:
    """Lower the rate once more; the new rate has the whole patience again."""
    state.drops += 1
    state.since, state.done = 0, False


def _lowered(factor: float, drops: int) -> EpochSettings:
    return EpochSettings(factor**-drops, factor**-drops)


def _timeline(log: Log, epoch: int, epochs: int, by_hand: float) -> EpochSettings:
    """Return the log's settings, stretched to ``epochs``.

    Biases, at twice the weights' rate, are lowered once, with the weights' first drop, as in the
    files of run 120-4gpu. For run 145-2010 the date is not on record, and some runs never lowered
    them. conv1's are cut with its weights. ``by_hand`` is a factor on all rates."""

    def past(event: int) -> bool:
        return epoch * log.stop >= event * epochs

    weights = 10.0 ** -sum(past(mark) for mark in (log.first, log.second, log.third))
    biases = 0.1 if past(log.first) else 1.0
    conv1 = 0.0 if past(log.conv1_frozen) else 1e-3 * by_hand if past(log.conv1_cut) else None
    return EpochSettings(weights * by_hand, biases * by_hand, conv1, not past(log.conv1_cut))
