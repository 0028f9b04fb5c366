"""Training as section 5 describes it: epochs of steps, and after each the rule for the rate.

A run is a function of its recipe, its data and the number of threads. It can be stopped at any step
and resumes from its last checkpoint with bit-identical weights on a CPU: order, draws and dropout
masks are functions of (seed, epoch, step), and the checkpoint has the rest. The same loop trains
any net on one device, on two, or as one rank of several."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from replication.base.epochs import METRICS, TIMINGS
from replication.base.errors import InputError, TrainingError
from replication.base.files import write_text
from replication.data.loader import Loader, Loaders
from replication.recipe import Recipe
from replication.training import guard, schedule
from replication.training.captured import steps
from replication.training.distributed.group import SingleProcess
from replication.training.drop_request import REQUEST
from replication.training.error_rates import Stopped, error_rates
from replication.training.parameter_groups import set_learning_rates
from replication.training.process.allocator import keep_freed_memory
from replication.training.process.interrupt import Interrupt
from replication.training.process.numerics import numerics
from replication.training.process.progress import Snapshot, epoch_line
from replication.training.run import DEFAULTS, Options, Report, Run
from replication.training.schedule import EpochSettings
from replication.training.state import EpochSums, Progress
from replication.training.step import StepResult, train_step

WATCH_SECONDS = 0.5  # between two snapshots of a running epoch

Row = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """A run that has ended."""

    net: nn.Module
    progress: Progress
    made_by: str  # the pipeline of the batches, name and version
    skipped: int  # training images left out because their files could not be read
    device: str  # where the logits were computed
    classes: int


def train(
    recipe: Recipe,
    net: nn.Module,
    loaders: Loaders,
    folder: Path,
    report: Report,
    options: Options = DEFAULTS,
    group: SingleProcess | None = None,
) -> Outcome:
    """Train ``net`` as ``recipe`` says and leave its weights in ``folder``.

    Resumes from the last checkpoint in ``folder``, if there is one. ``net`` is on the device where
    it is to be trained, and the loaders' batches go there. After SIGINT, SIGTERM or SIGHUP, writes
    a checkpoint and raises KeyboardInterrupt. Raises InputError if the checkpoint in ``folder``
    belongs to another recipe or other data."""
    keep_freed_memory()
    group = group or SingleProcess()
    with numerics(recipe), Interrupt(group.size > 1) as interrupt:
        run = Run(recipe, net, loaders, folder, report, options, group, interrupt)
        try:
            while not run.progress.ended:
                settings = schedule.epoch_settings(
                    recipe, run.progress.epoch, run.progress.schedule
                )
                train_epoch(run, settings)
                if run.progress.ended:  # diverged
                    break
                row = measure(run, settings)
                decide(run, row)
                record(run, row)
                save_if_needed(run, row)
        except InputError:  # a file that could be read before
            # other ranks would not know that a checkpoint is being written
            if group.size == 1 and run.is_finite():
                run.save()
            raise
        finally:
            # It refers to the learner and the learner to it, so that the memory of its CUDA graph
            # would be taken until Python's collector runs, and the next run of this process may
            # need it before.
            run.learner.recorded = None
        finish(run)
    loader = run.loader
    device = _device_name(loader.device)
    return Outcome(
        run.net, run.progress, loader.backend, loader.skipped, device, len(loader.classes)
    )


def train_epoch(run: Run, settings: EpochSettings) -> None:
    """Train to the end of the current epoch; ends the run as diverged if a number is not finite."""
    progress, loader = run.progress, run.loader
    set_learning_rates(run.recipe, run.learner.optimiser, settings)
    run.start_lap()
    batches = loader.epoch(progress.epoch, progress.step, settings.colour)
    for results in steps(run.learner, batches, run.step, train_step):
        for result in results:
            if not math.isfinite(result.loss):
                run.diverge("the loss", settings, result.broken)
                return
            count(run, result)
            check_for_guessing(run, result.loss, settings)
        stop, due = run.group.any(
            run.interrupt.requested, run.is_due() and run.group.is_main, in_loop=True
        )
        if stop or due:
            if not run.is_finite():
                run.diverge("a weight", settings)
                return
            run.save()
        if stop:
            raise KeyboardInterrupt
        show(run, settings)
    if not run.is_finite():
        run.diverge("a weight", settings)


def count(run: Run, result: StepResult) -> None:
    """Add a minibatch to the epoch's sums."""
    progress, sums, steps = run.progress, run.progress.sums, run.loader.steps
    if sums.late_mistakes is not None and progress.step >= steps - _fifth(steps):
        sums.late_mistakes += result.mistakes
        sums.late_left_out += result.left_out
    if sums.early_mistakes is not None and progress.step < _fifth(steps):
        sums.early_mistakes += result.mistakes
        sums.early_left_out += result.left_out
    sums.loss += result.loss
    sums.mistakes += result.mistakes
    sums.left_out += result.left_out
    progress.step += 1


def check_for_guessing(run: Run, loss: float, settings: EpochSettings) -> None:
    """Note, or stop at, a loss that has not left that of guessing after many steps."""
    progress, classes = run.progress, len(run.loader.classes)
    progress.window += loss
    if run.step % guard.STUCK_STEPS:
        return
    mean, progress.window = progress.window / guard.STUCK_STEPS, 0.0
    if not guard.is_stuck(mean, classes):
        return
    line = guard.stuck(mean, classes, run.place, run.learning_rate(settings), run.folder)
    if run.options.divergence == "stop":
        raise TrainingError(line)
    progress.sums.stuck = True
    run.report(line)


def show(run: Run, settings: EpochSettings) -> None:
    """Pass a snapshot to whoever watches, about twice a second."""
    if run.options.watch is None or time.monotonic() - run.clock.shown < WATCH_SECONDS:
        return
    run.clock.shown = time.monotonic()
    run.lap()
    rate = run.learning_rate(settings)
    run.options.watch(Snapshot.of(run.recipe, run.progress, run.loader.steps, rate))


def measure(run: Run, settings: EpochSettings) -> Row:
    """Return the epoch's row: its running errors, and those of evaluation passes (section 5)."""
    recipe, progress, sums, steps = run.recipe, run.progress, run.progress.sums, run.loader.steps
    run.lap()
    early, late = sums.early_mistakes, sums.late_mistakes
    fifth = _fifth(steps) * recipe.batch  # images, with those that could not be read
    row = {
        "epoch": progress.epoch + 1,
        "iterations": (progress.epoch + 1) * steps,
        "loss": sums.loss / steps,
        # the loader refuses a minibatch without an image that can be read, so no divisor is 0
        "running_error": sums.mistakes / (steps * recipe.batch - sums.left_out),
        "first_fifth_error": None if early is None else early / (fifth - sums.early_left_out),
        "last_fifth_error": None if late is None else late / (fifth - sums.late_left_out),
        "exact_error": evaluate(run, run.loader)[0] if recipe.exact_error else None,
        "rate": run.learning_rate(settings),
    }
    if run.loaders.validation is not None:
        row["validation_error"], row["validation_error5"] = evaluate(run, run.loaders.validation)
    return row


def evaluate(run: Run, loader: Loader) -> list[float]:
    """Return the top-1 and top-5 error on all images of ``loader``.

    If the pass may take longer than a checkpoint should be old, one is written before it. A signal
    stops the pass; it is repeated when the run resumes."""
    pace = run.loader.steps * run.recipe.batch / max(run.progress.sums.seconds, 1e-9)
    if run.group.main_decides(run.is_due(coming=len(loader) / pace)):
        run.save()
    try:
        errors = error_rates(run.net, loader, run.group, run.interrupt)
    except Stopped:
        run.start_lap()  # the pass is no part of the epoch's time
        run.save()
        raise KeyboardInterrupt from None
    run.start_lap()
    return errors


def decide(run: Run, row: Row) -> None:
    """Apply the schedule's rule to the validation error, and grant a drop requested by hand.

    The rate is lowered once if both ask for it in the same epoch. A drop by hand takes the place of
    the rule's end of the run."""
    if "validation_error" in row:
        state = run.progress.schedule
        row["decision"] = schedule.decide(run.recipe, row["validation_error"], state)
    if drop_requested(run):
        if row.get("decision") != "drop":
            schedule.drop(run.progress.schedule)
        row["decision"] = "drop by hand"
    if run.progress.sums.stuck:
        row["stuck"] = True


def drop_requested(run: Run) -> bool:
    """Return whether a lower rate is requested; each request is granted once."""
    state, request, word = run.progress.schedule, run.folder / REQUEST, ""
    if run.group.is_main and request.is_file():
        word = request.read_text(encoding="utf-8").strip()
    if not run.group.main_decides(bool(word) and word not in state.by_hand):
        return False
    state.by_hand.append(word)
    return True


def record(run: Run, row: Row) -> None:
    """Close the epoch with its row, and write and report it."""
    recipe, progress = run.recipe, run.progress
    timing = {
        "epoch": row["epoch"],
        "images": run.loader.steps * recipe.batch,
        "seconds": progress.sums.seconds,
        "waited": progress.sums.waited,
    }
    progress.history.append(row)
    progress.timings.append(timing)
    progress.epoch, progress.step, progress.sums = progress.epoch + 1, 0, EpochSums()
    progress.ended = _ending(recipe, progress, row)
    if run.group.is_main:
        _write_lines(run.folder / METRICS, progress.history)
        _write_lines(run.folder / TIMINGS, progress.timings)
        if run.options.on_epoch is not None:
            run.options.on_epoch()
    run.report(epoch_line(recipe, row, timing, run.clock.total))


def save_if_needed(run: Run, row: Row) -> None:
    """Write a checkpoint after a decision, and keep the epoch with the lowest validation error."""
    if run.progress.epoch in run.recipe.keep_after:  # before the checkpoint that ends the epoch
        run.save_weights(run.progress.epoch)
    decision = row.get("decision")
    best = is_best(run.progress.history)
    if decision or best and run.group.main_decides(run.is_due()):
        run.save(best)
    elif best:
        run.keep_best()
    if run.group.is_main and decision == "drop by hand":
        # after the checkpoint has it, so that it is granted once even if a kill comes between
        (run.folder / REQUEST).unlink(missing_ok=True)


def is_best(history: list[Row]) -> bool:
    """Return whether the last epoch's validation error is below all earlier ones."""
    *earlier, last = (row.get("validation_error") for row in history)
    return last is not None and all(last < error for error in earlier)


def finish(run: Run) -> None:
    """Write the last checkpoint and the weights, unless a weight is not finite."""
    if run.is_finite():
        run.save()
        run.save_weights()


def _ending(recipe: Recipe, progress: Progress, row: Row) -> str:
    """Return why the run has ended, or ""."""
    if recipe.stop_error is not None and row[f"{recipe.stop_on}_error"] <= recipe.stop_error:
        return "stop_error"
    if row.get("decision") == "stop":
        return "plateau"
    return "epochs" if progress.epoch == recipe.epochs else ""


def _write_lines(path: Path, rows: list[Row]) -> None:
    write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def _fifth(steps: int) -> int:
    """Return the minibatches in the first or the last fifth of an epoch.

    cuda-convnet reports one number for each of CIFAR-10's five files."""
    return max(1, steps // 5)


def _device_name(device: torch.device) -> str:
    if device.type == "cpu":
        return device.type
    return f"{device.type}, {torch.cuda.get_device_name(device)}"
