"""The training loop: batch, loss, backward, the paper's update (section 5).

A run is a function of its recipe, its data and the number of threads. It can be stopped at any step
and goes on from its last checkpoint with bit-identical weights on a CPU: order, draws and dropout
masks are functions of (seed, epoch, step), and the state holds the rest. The same loop trains any
net on one device, on two, or as one rank of several (``team``)."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from replication.base.errors import InputError, TrainingError
from replication.base.files import write_text
from replication.data.loader import Batch, Loader, Loaders
from replication.nets.dropout import seed_masks
from replication.recipe import Recipe
from replication.training import checkpoint, guard, schedule
from replication.training.byhand import REQUEST
from replication.training.distributed.team import Alone, Notes
from replication.training.process.allocator import keep_freed_memory
from replication.training.process.interrupt import Interrupt
from replication.training.process.numerics import numerics
from replication.training.process.show import Moment
from replication.training.start import start_from
from replication.training.state import Progress, dump, optimiser_for, restore, set_rates
from replication.training.weights import FILE, save_weights

CHECKPOINT_SECONDS = 20.0  # between two checkpoints at least: what a kill can cost
# of the time may go into checkpoints: where writing one takes long, they come less often
SAVING_SHARE = 0.03
WATCH_SECONDS = 0.5  # between two looks at a running epoch
TOP = (1, 5)  # the errors that are measured, section 6

Report = Callable[[str], None]
Watch = Callable[[Moment], None]


@dataclass(frozen=True)
class Outcome:
    """A run that has ended."""

    net: nn.Module
    progress: Progress
    made_by: str  # the pipeline of the batches, name and version
    skipped: int  # training images left out because their files could not be read
    device: str  # where the logits were computed


def train(
    recipe: Recipe,
    net: nn.Module,
    loaders: Loaders,
    folder: Path,
    report: Report,
    checkpoint_seconds: float | None = None,
    *,
    divergence: Literal["record", "stop"] = "record",
    team: Alone | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Train ``net`` as ``recipe`` says, from the last checkpoint in ``folder`` if there is one, and
    leave its weights there.

    ``net`` is where it is to be trained, and the loaders' batches go there. ``checkpoint_seconds``:
    between two checkpoints; None: 20, or as many more as keep the writing within 3% of the time.
    ``divergence``: what a loss does that is not finite or does not leave that of guessing.
    "record": the former ends the run as "diverged", the latter is noted in the epoch's row; "stop":
    either raises TrainingError, and the last good checkpoint stays. Raises KeyboardInterrupt after
    a checkpoint when SIGINT or SIGTERM came, and InputError when the checkpoint in ``folder``
    belongs to another recipe or other data."""
    keep_freed_memory()
    trainer = Trainer(
        recipe, net, loaders, folder, report, checkpoint_seconds, divergence, team or Alone(), watch
    )
    with numerics(recipe):
        return trainer.run()


class Trainer:
    """One session of a run, from its last checkpoint to its end or to an interruption."""

    def __init__(
        self,
        recipe: Recipe,
        net: nn.Module,
        loaders: Loaders,
        folder: Path,
        report: Report,
        checkpoint_seconds: float | None,
        divergence: str,
        team: Alone,
        watch: Watch | None,
    ) -> None:
        self.recipe, self.loaders, self.loader, self.folder = (
            recipe,
            loaders,
            loaders.training,
            folder,
        )
        self.report, self.checkpoint_seconds, self.divergence, self.team, self.watch = (
            report,
            checkpoint_seconds,
            divergence,
            team,
            watch,
        )
        if recipe.batch % (recipe.parts * team.copies):
            raise InputError(
                f"a minibatch of {recipe.batch} does not divide into {recipe.parts} parts of each"
                f" of {team.copies} copies"
            )
        self.share = recipe.batch // team.copies  # images of a minibatch that this copy sees
        self.net = net.to(memory_format=torch.channels_last).train()
        self.optimiser = optimiser_for(recipe, self.net)
        self.progress = self._begin()
        self.started = self.saved = self.looked = self.marked = time.monotonic()
        self.saving = 0.0  # seconds that the last checkpoint took to write
        self.waited = self.loader.waited
        self.before = self.progress.seconds

    def run(self) -> Outcome:
        """Train to the end."""
        progress = self.progress
        with Interrupt() as interrupt:
            try:
                while not progress.ended:
                    if self._epoch(interrupt):
                        self._close_epoch()
            except InputError:  # a file that could be read before; what was learnt so far is kept
                # other ranks would not know that a checkpoint is being made
                if type(self.team) is Alone:
                    self._save()
                raise
            self._save()
            weights = self.team.whole(self.net.state_dict(), self.net)
            if self.team.first:
                save_weights(
                    self.folder / FILE,
                    weights,
                    self.recipe,
                    self.loader.classes,
                    self.loader.fingerprint,
                    progress.epoch,
                    self._mean(),
                )
        return Outcome(
            self.net,
            progress,
            self.loader.backend,
            self.loader.skipped,
            _device_name(self.loader.device),
        )

    def _mean(self) -> np.ndarray | None:
        found = self.loaders.statistics
        return None if found is None or self.recipe.data.mean == "none" else found.mean

    def _begin(self) -> Progress:
        """From the checkpoint, or from the start."""
        if self.team.first:
            checkpoint.clear(self.folder)
        content = self.team.content(
            checkpoint.read(self.folder, self.report) if self.team.first else None
        )
        if content is not None:
            progress = restore(
                checkpoint.parse(content),
                self.recipe,
                self.net,
                self.optimiser,
                self.loader,
                self.folder,
            )
            self.report(f"resumed after epoch {progress.epoch}, step {progress.step}")
            return progress
        if self.recipe.init_from is not None:
            self.report(start_from(self.recipe.init_from, self.net, self.loader.classes))
        return Progress()

    def _epoch(self, interrupt: Interrupt) -> bool:
        """Train to the end of the epoch in hand; False if the loss stopped being a number."""
        progress = self.progress
        holds = schedule.now(self.recipe, progress.epoch, progress.memory)
        set_rates(self.recipe, self.optimiser, holds)
        self.marked, self.waited = time.monotonic(), self.loader.waited
        for batch in self.loader.epoch(progress.epoch, progress.step, holds.colour):
            notes = self._step(batch, interrupt)
            if not math.isfinite(notes.loss):
                self._diverged("the loss", holds)
                return False
            if progress.late is not None and progress.step >= self.loader.steps - _fifth(
                self.loader.steps
            ):
                progress.late += notes.mistakes
            progress.step += 1
            progress.loss += notes.loss
            progress.mistakes += notes.mistakes
            self._look_if_stuck(notes.loss, holds)
            if notes.stop or notes.save:
                self._save()
            if notes.stop:
                raise KeyboardInterrupt
            if self.watch is not None and time.monotonic() - self.looked >= WATCH_SECONDS:
                self.looked = time.monotonic()
                self._mark()
                self.watch(Moment.of(self.recipe, progress, self.loader.steps, holds))
        # asked together: each rank sees its own tower's weights
        if not self.team.every(guard.is_finite(self.net)):
            self._diverged("a weight", holds)
            return False
        return True

    def _step(self, batch: Batch, interrupt: Interrupt) -> Notes:
        """One update. Its loss and its mistakes, both before the update; a loss that is not finite
        updates nothing.
        """
        recipe, progress, team = self.recipe, self.progress, self.team
        number = progress.epoch * self.loader.steps + progress.step
        self.optimiser.zero_grad()
        total, wrong, size = 0.0, 0, self.share // recipe.parts
        for part in range(recipe.parts):
            here = slice(part * size, (part + 1) * size)
            seed_masks(
                self.net, recipe.seed, number, team.copy * self.share + here.start, recipe.batch
            )
            with torch.autocast(
                batch.images.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"
            ):
                logits = self.net(batch.images[here])
                loss = F.cross_entropy(logits, batch.labels[here])
            (loss if recipe.parts == 1 else loss / recipe.parts).backward()
            # read after the backward pass is on its way, in one go: a GPU waits for the host once a
            # step
            value, missed = torch.stack(
                [loss.detach().double(), mistakes(logits.detach(), batch.labels[here]).double()]
            ).tolist()
            wrong += int(missed)
            due = time.monotonic() - self.saved >= self._between_checkpoints()
            notes = team.agree(Notes(value, wrong, interrupt.requested, due))
            if not math.isfinite(notes.loss):
                return notes
            total += notes.loss / recipe.parts
        team.average_gradients(self.net)
        self.optimiser.step()
        return notes._replace(loss=total)

    def _look_if_stuck(self, loss: float, holds: schedule.Now) -> None:
        progress = self.progress
        progress.window += loss
        if (progress.epoch * self.loader.steps + progress.step) % guard.STUCK_STEPS:
            return
        mean, progress.window = progress.window / guard.STUCK_STEPS, 0.0
        if not guard.is_stuck(mean, len(self.loader.classes)):
            return
        line = guard.stuck(
            mean,
            len(self.loader.classes),
            self._place(),
            self.recipe.update.rate * holds.weights,
            self.folder,
        )
        if self.divergence == "stop":
            raise TrainingError(line)
        progress.stuck = True
        self.report(line)

    def _diverged(self, what: str, holds: schedule.Now) -> None:
        line = guard.not_finite(
            what, self._place(), self.recipe.update.rate * holds.weights, self.folder
        )
        if self.divergence == "stop":
            raise TrainingError(line)
        self.progress.ended = "diverged"

    def _place(self) -> str:
        return f"epoch {self.progress.epoch + 1}, step {self.progress.step}"

    def _close_epoch(self) -> None:
        """Measure, write the epoch's row, decide about the rate, and whether the run is over."""
        recipe, progress, loader, memory = (
            self.recipe,
            self.progress,
            self.loader,
            self.progress.memory,
        )
        self._mark()
        progress.timings.append(
            {
                "epoch": progress.epoch + 1,
                "images": loader.steps * recipe.batch,
                "seconds": progress.busy,
                "waited": progress.waited,
            }
        )
        running = progress.mistakes / (loader.steps * recipe.batch)
        row = {
            "epoch": progress.epoch + 1,
            "iterations": (progress.epoch + 1) * loader.steps,
            "loss": progress.loss / loader.steps,
            "running_error": running,
            "last_fifth_error": (
                None
                if progress.late is None
                else progress.late / (_fifth(loader.steps) * recipe.batch)
            ),
            "exact_error": self._errors(loader)[0] if recipe.exact_error else None,
            "rate": recipe.update.rate * schedule.now(recipe, progress.epoch, memory).weights,
        }
        decision, best = "", False
        if self.loaders.validation is not None:
            row["validation_error"], row["validation_error5"] = self._errors(
                self.loaders.validation
            )
            best = all(
                row["validation_error"] < earlier["validation_error"]
                for earlier in progress.history
            )
            decision = row["decision"] = schedule.decide(recipe, row["validation_error"], memory)
        if self._drop_by_hand():
            decision = row["decision"] = "drop by hand"
        if progress.stuck:
            row["stuck"] = True
        progress.history.append(row)
        progress.epoch += 1
        (
            progress.step,
            progress.mistakes,
            progress.loss,
            progress.stuck,
            progress.busy,
            progress.waited,
        ) = (0, 0, 0.0, False, 0.0, 0.0)
        progress.late = 0
        if recipe.stop_error is not None and row[f"{recipe.stop_on}_error"] <= recipe.stop_error:
            progress.ended = "stop_error"
        elif decision == "stop":
            progress.ended = "plateau"
        elif progress.epoch == recipe.epochs:
            progress.ended = "epochs"
        if self.team.first:
            write_text(
                self.folder / "metrics.jsonl",
                "".join(json.dumps(row, allow_nan=False) + "\n" for row in progress.history),
            )
            write_text(
                self.folder / "timings.jsonl",
                "".join(json.dumps(row) + "\n" for row in progress.timings),
            )
        self.report(_line(recipe, progress, self._seconds()))
        if best or decision:
            self._save(best)
        if self.team.first and decision == "drop by hand":
            # after it is in a checkpoint; granted once even if a kill comes between
            (self.folder / REQUEST).unlink(missing_ok=True)

    def _errors(self, loader: Loader) -> list[float]:
        return [
            wrong / len(loader) for wrong in self.team.sums(*count_mistakes(self.net, loader, TOP))
        ]

    def _drop_by_hand(self) -> bool:
        """Grant a request for a lower rate, once."""
        request = self.folder / REQUEST
        word = (
            request.read_text(encoding="utf-8").strip()
            if self.team.first and request.is_file()
            else ""
        )
        if not self.team.told(bool(word) and word not in self.progress.memory.by_hand):
            return False
        self.progress.memory.by_hand.append(word)
        schedule.drop(self.progress.memory)
        return True

    def _seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def _mark(self) -> None:
        """Add the time since the last mark to the epoch's."""
        now, waited = time.monotonic(), self.loader.waited
        self.progress.busy += now - self.marked
        self.progress.waited += waited - self.waited
        self.marked, self.waited = now, waited

    def _between_checkpoints(self) -> float:
        return (
            max(CHECKPOINT_SECONDS, self.saving / SAVING_SHARE)
            if self.checkpoint_seconds is None
            else self.checkpoint_seconds
        )

    def _save(self, best: bool = False) -> None:
        progress, begun = self.progress, time.monotonic()
        if progress.step:
            self._mark()
        progress.seconds = self._seconds()
        state = dump(self.recipe, self.net, self.optimiser, self.loader, progress, self.team)
        if state is not None:
            checkpoint.save(
                self.folder, progress.epoch * self.loader.steps + progress.step, state, best
            )
        self.team.wait()  # the others must not meet a silent rank in their next step
        self.saved = time.monotonic()
        self.saving = self.saved - begun


def _fifth(steps: int) -> int:
    """Minibatches in the last fifth of an epoch of ``steps``: cuda-convnet gives one number for
    each of CIFAR-10's five files.
    """
    return max(1, steps // 5)


def _device_name(device: torch.device) -> str:
    return (
        device.type
        if device.type == "cpu"
        else f"{device.type}, {torch.cuda.get_device_name(device)}"
    )


def mistakes(logits: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """How many of N images do not have their label among the first k: logits (N, K), labels (N,). A
    row with a NaN is a mistake.
    """
    hit = (
        (logits.argmax(dim=1) == labels)
        if k == 1
        else (logits.topk(min(k, logits.shape[1])).indices == labels[:, None]).any(1)
    )
    return len(labels) - hit.logical_and(logits.isfinite().all(dim=1)).sum()


@torch.inference_mode()
def count_mistakes(net: nn.Module, loader: Loader, tops: tuple[int, ...]) -> list[int]:
    """``mistakes`` for each k of ``tops`` over every image of ``loader``'s shard, in one pass in
    evaluation mode.
    """
    was_training = net.training
    net.eval()
    counts = [0] * len(tops)
    for batch in loader.once():
        logits = net(batch.images)
        counts = [
            count + int(mistakes(logits, batch.labels, k))
            for count, k in zip(counts, tops, strict=True)
        ]
    net.train(was_training)
    return counts


def _line(recipe: Recipe, progress: Progress, seconds: float) -> str:
    row, timing = progress.history[-1], progress.timings[-1]
    exact = "" if row["exact_error"] is None else f", exact {100 * row['exact_error']:.2f}%"
    if row.get("validation_error") is not None:
        exact += f", validation error {100 * row['validation_error']:.2f}%"
    decision = f", {row['decision']}" if row.get("decision") else ""
    return (
        f"epoch {row['epoch']} of at most {recipe.epochs}: training error"
        f" {100 * row['running_error']:.2f}%{exact}, loss {row['loss']:.4f}, rate"
        f" {row['rate']:g}{decision}, {timing['images'] / max(timing['seconds'], 1e-9):.0f}"
        f" images/s, {seconds:.0f} s in all"
    )
