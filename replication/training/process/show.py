"""A running epoch on a terminal: one line that is written over. Elsewhere there is only the line at
the end of each epoch.
"""

import sys
from typing import NamedTuple, TextIO

from replication.recipe import Recipe
from replication.training import schedule
from replication.training.state import Progress


class Moment(NamedTuple):
    """A look at a run in the middle of an epoch."""

    epoch: int  # in hand, from 1
    epochs: int  # at most
    step: int
    steps: int  # of an epoch
    images_per_second: float
    seconds_left: float  # of the run, if it takes all epochs at this pace
    loss: float  # mean over the epoch so far
    running_error: float
    validation_error: float | None  # after the last epoch
    rate: float
    wait_share: float  # of the time, waiting for images

    @classmethod
    def of(cls, recipe: Recipe, progress: Progress, steps: int, holds: schedule.Now) -> "Moment":
        """From a run's state after at least one step of the epoch."""
        pace = progress.step / max(progress.busy, 1e-9)
        left = (recipe.epochs - progress.epoch) * steps - progress.step
        return cls(
            progress.epoch + 1,
            recipe.epochs,
            progress.step,
            steps,
            pace * recipe.batch,
            left / pace,
            progress.loss / progress.step,
            progress.mistakes / (progress.step * recipe.batch),
            progress.history[-1].get("validation_error") if progress.history else None,
            recipe.update.rate * holds.weights,
            progress.waited / max(progress.busy, 1e-9),
        )

    def line(self) -> str:
        """In words."""
        validation = (
            "" if self.validation_error is None else f", validation {self.validation_error:.1%}"
        )
        hours, rest = divmod(round(self.seconds_left), 3600)
        return (
            f"epoch {self.epoch}/{self.epochs} {self.step / self.steps:4.0%} "
            f" {self.images_per_second:.0f} images/s  loss {self.loss:.3f}  error"
            f" {self.running_error:.1%}{validation}  rate {self.rate:g}  waiting"
            f" {self.wait_share:.0%}  {hours}:{rest // 60:02d}:{rest % 60:02d} left"
        )


class Terminal:
    """Shows moments on a terminal, and lines between them; where ``out`` is none, the lines
    only.
    """

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self.out, self.live = out, out.isatty()

    def watch(self, moment: Moment) -> None:
        """Write over the last moment."""
        if self.live:
            print(f"\r\x1b[K{moment.line()}", end="", file=self.out, flush=True)

    def report(self, line: str) -> None:
        """A line that stays."""
        print(f"\r\x1b[K{line}" if self.live else line, file=self.out, flush=True)
