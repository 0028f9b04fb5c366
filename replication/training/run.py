"""One session of a run: its net and progress, its clock, and its checkpoints."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from replication.base.errors import InputError, TrainingError
from replication.data.loader import Loader, Loaders
from replication.recipe import Recipe
from replication.training import checkpoint, guard
from replication.training.distributed.group import SingleProcess
from replication.training.initial_weights import start_from
from replication.training.parameter_groups import optimiser_for
from replication.training.process.interrupt import Interrupt
from replication.training.process.progress import Snapshot
from replication.training.schedule import EpochSettings
from replication.training.state import Progress, dump, is_finite, restore
from replication.training.step import Learner
from replication.training.weights import save_weights, weights_path

CHECKPOINT_SECONDS = 20.0  # least time between two checkpoints: what a kill can cost
# Share of the time that may go into checkpoints: if writing one takes long, they are less frequent.
SAVING_SHARE = 0.03

Report = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How a session runs. Nothing here changes a run's numbers.

    ``checkpoint_seconds``: between two checkpoints; None: 20, or as many more as keep the writing
    within 3% of the time. ``divergence``: what to do about a loss that is not finite or does not
    leave that of guessing. "record" ends the run as "diverged" for the former and notes the latter
    in the epoch's row; "stop" raises TrainingError for either. ``watch`` is called with a snapshot
    about twice a second, ``on_epoch`` after each epoch, whose row is then in the run's folder.
    ``extend``: a run without a checkpoint starts from that of a shorter run which it would repeat.
    """

    checkpoint_seconds: float | None = None
    divergence: Literal["record", "stop"] = "record"
    watch: Callable[[Snapshot], None] | None = None
    on_epoch: Callable[[], None] | None = None
    extend: bool = False


DEFAULTS = Options()


def _now() -> float:
    return time.monotonic()


@dataclass
class Clock:
    """The times of one session, in seconds."""

    earlier: float = 0.0  # of the run's sessions before this one
    started: float = field(default_factory=_now)
    saved: float = field(default_factory=_now)  # when the last checkpoint was complete
    saving: float = 0.0  # how long it took to write
    shown: float = field(default_factory=_now)  # when a snapshot was last shown
    lap: float = field(default_factory=_now)  # up to when the epoch's time is counted
    waited: float = 0.0  # the loader's waiting time at that moment

    @property
    def total(self) -> float:
        """Seconds of all sessions of the run."""
        return self.earlier + _now() - self.started


class Run:
    """A run in training. It resumes from the last checkpoint in ``folder``, if there is one."""

    def __init__(
        self,
        recipe: Recipe,
        net: nn.Module,
        loaders: Loaders,
        folder: Path,
        report: Report,
        options: Options,
        group: SingleProcess,
        interrupt: Interrupt,
    ) -> None:
        if recipe.batch % (recipe.parts * group.copies):
            raise InputError(
                f"a minibatch of {recipe.batch} does not divide into {recipe.parts} parts of each"
                f" of {group.copies} copies"
            )
        self.recipe, self.folder, self.report, self.options = recipe, folder, report, options
        self.loaders, self.group, self.interrupt = loaders, group, interrupt
        self.net = net.to(memory_format=torch.channels_last).train()
        self.learner = Learner(recipe, self.net, optimiser_for(recipe, self.net), group)
        self.progress = self._resume()
        self.clock = Clock(self.progress.seconds)
        # the best epoch's state, if it was too early to write it
        self._best: tuple[int, dict[str, Any]] | None = None

    @property
    def loader(self) -> Loader:
        """The training images."""
        return self.loaders.training

    @property
    def step(self) -> int:
        """Complete minibatches of the whole run."""
        return self.progress.epoch * self.loader.steps + self.progress.step

    @property
    def place(self) -> str:
        """The current epoch and step as text."""
        return f"epoch {self.progress.epoch + 1}, step {self.progress.step}"

    def learning_rate(self, settings: EpochSettings) -> float:
        """Return the learning rate of the weights."""
        return self.recipe.update.rate * settings.weights

    def lap(self) -> None:
        """Add the time since the last call to the epoch's."""
        self.progress.sums.seconds += _now() - self.clock.lap
        self.progress.sums.waited += self.loader.waited - self.clock.waited
        self.start_lap()

    def start_lap(self) -> None:
        """Count the epoch's time from now on."""
        self.clock.lap, self.clock.waited = _now(), self.loader.waited

    def is_due(self, coming: float = 0.0) -> bool:
        """Return whether a checkpoint is due, now or within the ``coming`` seconds."""
        interval = self.options.checkpoint_seconds
        if interval is None:
            interval = max(CHECKPOINT_SECONDS, self.clock.saving / SAVING_SHARE)
        return _now() + coming - self.clock.saved >= interval

    def is_finite(self) -> bool:
        """Return whether all weights and velocities are finite. A joint call of all processes."""
        return self.group.every(is_finite(self.net, self.learner.optimiser))

    def save(self, best: bool = False) -> None:
        """Write a checkpoint; ``best``: as the best so far too. A joint call of all processes."""
        begun = _now()
        if self.progress.step:
            self.lap()
        state = self._state()
        if state is not None:
            if self._best is not None and not best:
                checkpoint.save_best(self.folder, *self._best)
            checkpoint.save(self.folder, self.step, state, best)
        self._best = None
        self.group.wait()  # the others must not meet a silent process in their next step
        self.clock.saved = _now()
        self.clock.saving = self.clock.saved - begun

    def keep_best(self) -> None:
        """Keep the state as the best so far, and write it with the next checkpoint.

        A joint call. So the best epochs, which may be many, do not cost more than the share of the
        time that is meant for checkpoints."""
        state = self._state()
        if state is not None:
            for part in ("net", "velocities"):
                state[part] = {name: _copy(value) for name, value in state[part].items()}
            self._best = (self.step, state)

    def save_weights(self, epoch: int | None = None) -> None:
        """Leave the weights in the run's folder, as those kept after ``epoch`` if it is given.

        A joint call of all processes.
        """
        name = weights_path(self.recipe.id, epoch).name
        weights = self.group.gather(self.net.state_dict(), self.net)
        if self.group.is_main:
            save_weights(
                self.folder / name,
                weights,
                self.recipe,
                self.loader.classes,
                self.loader.fingerprint,
                self.progress.epoch,
                self._mean_image(),
            )

    def diverge(self, what: str, settings: EpochSettings, images: tuple[int, ...] = ()) -> None:
        """End the run because ``what`` is not finite; raise TrainingError if the options say so."""
        line = guard.not_finite(
            what,
            self.place + guard.of_images(images),
            self.learning_rate(settings),
            self.folder,
        )
        if self.options.divergence == "stop":
            raise TrainingError(line)
        self.report(line)
        self.progress.ended = "diverged"

    def _state(self) -> dict[str, Any] | None:
        self.progress.seconds = self.clock.total
        return dump(
            self.recipe,
            self.net,
            self.learner.optimiser,
            self.loader,
            self.progress,
            self.group,
        )

    def _mean_image(self) -> np.ndarray | None:
        statistics = self.loaders.statistics
        return None if statistics is None or self.recipe.data.mean == "none" else statistics.mean

    def _resume(self) -> Progress:
        """Load the last checkpoint, or the recipe's initial weights."""
        content, source = None, self.folder
        if self.group.is_main:
            checkpoint.clear(self.folder)
            content = checkpoint.read(self.folder, self.report)
            if content is None and self.options.extend:
                content, source = self._shorter()
        content = self.group.broadcast(content)
        if content is not None:
            state = checkpoint.parse(content)
            progress = restore(
                state, self.recipe, self.net, self.learner.optimiser, self.loader, source
            )
            origin = "" if source == self.folder else f" of run {source.name}"
            self.report(f"resumed after epoch {progress.epoch}, step {progress.step}{origin}")
            if progress.ended:
                self.report(f"the run has ended ({progress.ended}){extension(self.recipe)}")
            return progress
        if self.recipe.init_from is not None:
            self.report(start_from(self.recipe.init_from, self.net, self.loader.classes))
        return Progress()

    def _shorter(self) -> tuple[bytes | None, Path]:
        """Return the checkpoint of the longest shorter run that this run repeats, and its folder.

        Order, draws and masks of an epoch do not depend on the number of epochs, and the rate does
        so on a timeline only. A run that keeps weights on the way starts afresh: a shorter one has
        left them in its own folder."""
        if self.recipe.schedule.kind != "timeline" and not self.recipe.keep_after:
            for epochs in range(self.recipe.epochs - 1, 0, -1):
                shorter = self.recipe.model_copy(update={"epochs": epochs})
                folder = self.folder.parent / shorter.id
                if folder.is_dir() and (content := checkpoint.read(folder, self.report)):
                    return content, folder
        return None, self.folder


def extension(recipe: Recipe) -> str:
    """Return how to train longer, as the end of a sentence."""
    if recipe.schedule.kind == "timeline":
        return "; its rates are scaled to its length, so a longer run starts afresh"
    return f"; --set epochs={2 * recipe.epochs} extends it"


def _copy(value: Tensor) -> Tensor:
    """Return a copy on the same device, from which it is read when it is saved."""
    return value.detach().clone()
