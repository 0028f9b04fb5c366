"""The learning rate over a run: section 5's rule, the logged runs of 2012, and drops that are
written down beforehand.

A schedule is asked before every epoch what holds in it (``now``), and told after every epoch what
the validation error was (``decide``). Everything it remembers is in a ``Memory`` of plain values,
which goes into the checkpoint: so a decision is taken once, in the same way, however often the run
is interrupted."""

from dataclasses import dataclass, field
from typing import NamedTuple

from replication.recipe import Recipe

CONV1 = "conv1"


class Log(NamedTuple):
    """When the rates of a run of 2012 were changed, in epochs that were complete (facts-2012,
    section 3).
    """

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


class Now(NamedTuple):
    """What holds in one epoch: factors on the recipe's rates, and whether colour noise is on."""

    weights: float = 1.0
    biases: float = 1.0
    conv1: float | None = None  # instead of both, in conv1; None: as everywhere
    colour: bool = True


@dataclass
class Memory:
    """What the plateau rule and drops by hand have to remember."""

    drops: int = 0
    best: float | None = None  # lowest validation error so far
    since: int = 0  # epochs without a lower one at the present rate
    done: bool = False  # the last rate has stopped helping
    # the requests for a drop that have been granted
    by_hand: list[str] = field(default_factory=list)


def now(recipe: Recipe, epoch: int, memory: Memory) -> Now:
    """What holds in epoch ``epoch`` (counted from 0)."""
    schedule = recipe.schedule
    match schedule.kind:
        case "constant":
            return _by_hand(10.0, memory.drops)
        case "plateau":
            return _by_hand(schedule.factor, memory.drops)
        case "steps":
            colour = schedule.colour_off is None or epoch < schedule.colour_off
            return _by_hand(
                schedule.factor, memory.drops + sum(epoch >= after for after in schedule.after)
            )._replace(colour=colour)
        case "timeline":
            return _timeline(LOGS[schedule.name], epoch, recipe.epochs, 10.0**-memory.drops)


def decide(recipe: Recipe, error: float | None, memory: Memory) -> str:
    """Section 5's rule, after an epoch with validation ``error``: "drop", "stop", or "" for going
    on. Other schedules always go on.
    """
    schedule = recipe.schedule
    if schedule.kind != "plateau" or error is None:
        return ""
    if memory.best is None or error < memory.best - schedule.threshold:
        memory.best, memory.since = error, 0
        return ""
    memory.since += 1
    if memory.since < schedule.patience:
        return ""
    if memory.drops >= schedule.drops:  # more, if some were by hand
        memory.done = True
        return "stop"
    drop(memory)
    return "drop"


def drop(memory: Memory) -> None:
    """Lower the rate once more, and give the new one its own patience."""
    memory.drops += 1
    memory.since = 0


def _by_hand(factor: float, drops: int) -> Now:
    return Now(factor**-drops, factor**-drops)


def _timeline(log: Log, epoch: int, epochs: int, by_hand: float) -> Now:
    """The log stretched to ``epochs``. Biases, at twice the weights' rate, were lowered once, with
    the weights' first drop.

    ``by_hand``: a factor on all of it.
    """

    def past(mark: int) -> bool:
        return epoch * log.stop >= mark * epochs

    weights = 10.0 ** -sum(past(mark) for mark in (log.first, log.second, log.third))
    biases = 0.1 if past(log.first) else 1.0
    conv1 = 0.0 if past(log.conv1_frozen) else 1e-3 * by_hand if past(log.conv1_cut) else None
    return Now(weights * by_hand, biases * by_hand, conv1, not past(log.conv1_cut))
