"""Training that goes nowhere: a loss that is not finite, and one that stays at that of guessing.

The softmax loss of a net that has learnt nothing is ln K, K the number of classes. A net with small
initial weights stays there for a while and then leaves it; one that is still there after
``STUCK_STEPS`` updates does not leave by itself."""

import math

import torch
from torch import nn

# The full-size net leaves ln K after some hundred updates, a narrow one with the paper's literal
# deviations after a thousand
STUCK_STEPS = 4000
STUCK_SHARE = 0.99  # of ln K


def is_stuck(mean_loss: float, classes: int) -> bool:
    """Whether the mean loss over ``STUCK_STEPS`` updates is that of guessing, or worse."""
    return mean_loss >= STUCK_SHARE * math.log(classes)


@torch.no_grad()
def is_finite(net: nn.Module) -> bool:
    """Whether every weight is a finite number."""
    return all(bool(p.isfinite().all()) for p in net.parameters())


def not_finite(what: str, place: str, rate: float, folder: object) -> str:
    """The line for a number that is none."""
    return (
        f"{what} is not finite at {place}: the rate {rate:g} is too high, or the images are not on"
        " the scale that the initial weights assume (0-255 minus the mean, times data.scale);"
        f" lower update.rate; the last good checkpoint is kept in {folder}"
    )


def stuck(mean_loss: float, classes: int, place: str, rate: float, folder: object) -> str:
    """The line for a loss that does not leave ln K."""
    return (
        f"the loss is stuck at {mean_loss:.4f} up to {place}, and guessing among {classes} classes"
        f" gives {math.log(classes):.4f}: the rate {rate:g} is too high or too low, the initial"
        " weights are too small for a narrow net (net.init: same_variance), the images are not"
        " 0-255 minus the mean, or the labels do not belong to the images; the last good"
        f" checkpoint is kept in {folder}"
    )
