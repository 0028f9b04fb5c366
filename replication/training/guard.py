"""Detecting failed training: a loss that is not finite, or stays at that of guessing.

The softmax loss of a net that has learnt nothing is ln K for K classes. A net with small initial
weights stays there for a while and then leaves it. A net whose loss is still there after
``STUCK_STEPS`` updates does not recover by itself."""

import math
from typing import Any

from replication.base.text import counted
from replication.recipe import Recipe, Steps

# The full-size net leaves ln K after some hundred updates, a narrow one with the paper's literal
# deviations after a thousand
STUCK_STEPS = 4000
STUCK_SHARE = 0.99  # of ln K
SHOWN = 8  # images named in one message


def is_stuck(mean_loss: float, classes: int) -> bool:
    """Return whether the mean loss over ``STUCK_STEPS`` updates is that of guessing, or worse."""
    return mean_loss >= STUCK_SHARE * math.log(classes)


def nothing_learned(history: list[dict[str, Any]], classes: int, recipe: Recipe) -> str:
    """Return a line that says so if the last epoch's errors are those of guessing, else "".

    An error is that of guessing unless it is three standard errors below it."""
    if not history:
        return ""
    row, guessing = history[-1], 1 - 1 / classes
    trained = row["iterations"] // row["epoch"] * recipe.batch
    counts = {"running_error": trained, "validation_error": recipe.data.validation}
    for name, images in counts.items():
        margin = 3 * math.sqrt(guessing * (1 - guessing) / max(images, 1))
        if row.get(name) is not None and row[name] < guessing - margin:
            return ""
    options = [f"--set epochs={10 * recipe.epochs}", *drops_moved(recipe, 10)]
    longer = f"train longer ({' '.join(options)})"
    if getattr(recipe.net, "dropout", False):
        longer += " and without dropout, which slows learning (--set net.dropout=false)"
    error = f"{row['running_error']:.1%}"
    found = f"the net has learned nothing yet: its training error is {error}, and"
    if row["running_error"] < guessing:
        found = (
            f"the net may have learned nothing yet: its training error is {error}, over"
            f" {counted(trained, 'image')} too few to rule out chance, and"
        )
    return (
        f"{found} guessing among {classes} classes gives {guessing:.1%}; {longer}, or change the"
        " rate (--set update.rate=...)"
    )


def drops_moved(recipe: Recipe, times: float) -> list[str]:
    """Return the options of ``train`` that move the drops of the rate to ``times`` their epochs.

    They are empty for a schedule that has no fixed drops. A run that is only made longer keeps
    them, and spends the added epochs at its last rate."""
    schedule = recipe.schedule
    if not isinstance(schedule, Steps) or not schedule.after:
        return []
    after = ",".join(f"{round(times * epoch)}" for epoch in schedule.after)
    found = [f"--set 'schedule.after=[{after}]'"]
    if schedule.colour_off is not None:
        found.append(f"--set schedule.colour_off={round(times * schedule.colour_off)}")
    return found


def early_drops(recipe: Recipe, planned: int | None) -> str:
    """Return a hint if a run is longer than ``planned`` epochs and its rate drops before their end.

    ``planned``: of the recipe before it was made longer; None if that has no number of epochs."""
    if not planned or recipe.epochs <= planned or not isinstance(recipe.schedule, Steps):
        return ""
    moved = drops_moved(recipe, recipe.epochs / planned)
    if not moved or max(recipe.schedule.after) >= planned:  # there are none, or they were moved
        return ""
    after = " and ".join(map(str, recipe.schedule.after))
    return (
        f"the rate drops after epoch {after}, as in the run of {planned}; to drop it later:"
        f" {' '.join(moved)}"
    )


def not_finite(what: str, place: str, learning_rate: float, folder: object) -> str:
    """Return the message for a loss or a weight that is not a finite number."""
    return (
        f"{what} is not finite at {place}: the rate {learning_rate:g} is too high, or the images"
        " are not on the scale that the initial weights assume (0-255 minus the mean, times"
        f" data.scale); lower update.rate; the last good checkpoint is kept in {folder}"
    )


def of_images(ids: tuple[int, ...]) -> str:
    """Return the ids of a minibatch's images as text, the first few of many."""
    if not ids:
        return ""
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f" (images {', '.join(map(str, ids[:SHOWN]))}{more})"


def stuck(mean_loss: float, classes: int, place: str, learning_rate: float, folder: object) -> str:
    """Return the message for a loss that does not leave ln K."""
    guessing = math.log(classes)
    return (
        f"the loss is stuck at {mean_loss:.4f} up to {place}, and guessing among {classes} classes"
        f" gives {guessing:.4f}: the rate {learning_rate:g} is too high or too low, the initial"
        " weights are too small for a narrow net (net.init: same_variance), the images are not"
        " 0-255 minus the mean, or the labels do not belong to the images; the last good"
        f" checkpoint is kept in {folder}"
    )
