"""The progress of a run as text: a live line on a terminal, and one line per epoch anywhere."""

import sys
from typing import Any, NamedTuple

from replication.base.progress import is_live
from replication.recipe import Recipe
from replication.training.state import Progress


class Snapshot(NamedTuple):
    """A run in the middle of an epoch."""

    epoch: int  # the current one, from 1
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
    def of(cls, recipe: Recipe, progress: Progress, steps: int, learning_rate: float) -> "Snapshot":
        """Return the snapshot of a run after at least one step of the epoch."""
        sums = progress.sums
        pace = progress.step / max(sums.seconds, 1e-9)
        left = (recipe.epochs - progress.epoch) * steps - progress.step
        return cls(
            progress.epoch + 1,
            recipe.epochs,
            progress.step,
            steps,
            pace * recipe.batch,
            left / pace,
            sums.loss / progress.step,
            sums.mistakes / (progress.step * recipe.batch - sums.left_out),
            progress.history[-1].get("validation_error") if progress.history else None,
            learning_rate,
            sums.waited / max(sums.seconds, 1e-9),
        )

    def line(self) -> str:
        """Return the snapshot as one line of text."""
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


def epoch_line(recipe: Recipe, row: dict[str, Any], timing: dict[str, Any], seconds: float) -> str:
    """Return one line about a finished epoch; ``seconds`` are those of the whole run."""
    parts = [f"training error {100 * row['running_error']:.2f}%"]
    if row["exact_error"] is not None:
        parts.append(f"exact {100 * row['exact_error']:.2f}%")
    if row.get("validation_error") is not None:
        parts.append(f"validation error {100 * row['validation_error']:.2f}%")
    parts += [f"loss {row['loss']:.4f}", f"rate {row['rate']:g}"]
    if row.get("decision"):
        parts.append(row["decision"])
    pace = timing["images"] / max(timing["seconds"], 1e-9)
    parts += [f"{pace:.0f} images/s", f"{seconds:.0f} s in all"]
    return f"epoch {row['epoch']} of at most {recipe.epochs}: {', '.join(parts)}"


class Terminal:
    """Shows snapshots and lines on standard error; if that is no terminal, the lines only."""

    def __init__(self) -> None:
        self.live = is_live(sys.stderr)

    def watch(self, snapshot: Snapshot) -> None:
        """Write over the last snapshot."""
        if self.live:
            print(f"\r\x1b[K{snapshot.line()}", end="", file=sys.stderr, flush=True)

    def report(self, line: str) -> None:
        """Print a line that stays."""
        print(f"\r\x1b[K{line}" if self.live else line, file=sys.stderr, flush=True)
