"""Running a task: read its stored result, or train, evaluate and store it."""

from functools import partial

from replication.base import paths
from replication.base.devices import best_device
from replication.base.errors import InputError
from replication.base.text import counted
from replication.data.files import unchanged
from replication.data.files.index import Index
from replication.data.splits import check_measurable, training_index
from replication.evaluation import per_image
from replication.evaluation.artefacts import PROBABILITIES, probabilities_file
from replication.evaluation.metrics import errors
from replication.evaluation.probabilities import probabilities
from replication.runs import provenance, seal
from replication.runs.progress import note
from replication.runs.store import (
    Run,
    Task,
    lacks_weights,
    load,
    trained_again,
    unanswered,
    write_evaluation,
    write_run,
)
from replication.training.process.progress import Snapshot
from replication.training.run import Options
from replication.training.session import run_folder, session
from replication.training.trainer import Outcome
from replication.training.weights import training_command, weights_path


def run(task: Task) -> Run:
    """Return the result of ``task``: read it if it is stored, else train it; then evaluate it.

    Training resumes from the last checkpoint if there is one. A stored run is trained again if the
    experiment reads the trained net and it is not here; the stored result stays as it is."""
    stored = load(task)
    if stored is not None and not _usable(stored):
        stored = None
    if stored is not None:
        result = _evaluate(task, stored)
        if lacks_weights(result):
            _train_again(result)
        _keep_probabilities(result)
        note(task.recipe.id, task.name, "stored")
        return result
    note(task.recipe.id, task.name, "training")
    _train(task)
    result = _stored(task)
    print(f"trained {_line(result)}", flush=True)
    result = _evaluate(task, result)
    _keep_probabilities(result)
    note(task.recipe.id, task.name, "done", result=_line(result))
    return result


def _train(task: Task) -> None:
    # what is measured at the end is looked for before training
    check_measurable(task.recipe.data, tuple(split for split, _ in task.evaluate))
    outcome = _session(task)
    index, progress = training_index(task.recipe.data), outcome.progress
    last = progress.history[-1] if progress.history else {}
    steps = len(index) // task.recipe.batch
    summary = {
        "ended": progress.ended,
        "epochs": progress.epoch,
        "iterations": progress.epoch * steps,
        "iterations_per_epoch": steps,
        "parameters": sum(p.numel() for p in outcome.net.parameters()),
        "running_error": last.get("running_error"),
        "exact_error": last.get("exact_error"),
        "validation_error": last.get("validation_error"),
    }
    origin = provenance.describe(
        index, task.recipe.seed, progress.seconds, outcome.device, outcome.made_by, outcome.skipped
    )
    write_run(task, progress.history, progress.timings, summary, origin)


def _train_again(stored: Run) -> None:
    task = stored.task
    note(task.recipe.id, task.name, "training")
    _session(task)
    other = ", with other numbers than the stored result" if trained_again(stored) else ""
    print(f"trained {task.name} again, because its weights were not here{other}", flush=True)


def _session(task: Task) -> Outcome:
    """Train the recipe of ``task``, with a log in its folder."""
    work = run_folder(task.recipe)
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "train.log", "a", encoding="utf-8", buffering=1) as log:
        return session(
            task.recipe,
            lambda line: print(line, file=log),
            (best_device(),),
            options=Options(watch=partial(_note_epoch, task)),
        )


def _note_epoch(task: Task, snapshot: Snapshot) -> None:
    note(
        task.recipe.id,
        task.name,
        "training",
        epoch=snapshot.epoch,
        epochs=snapshot.epochs,
        error=snapshot.running_error,
        images_per_second=snapshot.images_per_second,
        seconds_left=snapshot.seconds_left,
    )


def _evaluate(task: Task, result: Run) -> Run:
    """Return ``result`` with all evaluations of ``task``; new ones are added to its folder."""
    if not (wanted := unanswered(task, result)):
        return result
    if not weights_path(task.recipe.id).is_file():
        if result.summary["ended"] == "diverged":
            raise InputError(
                f"{task.folder}: the run diverged and left no weights to evaluate; lower"
                " update.rate"
            )
        raise InputError(
            f"{task.folder}: its evaluation lacks {next(iter(wanted))}, and its weights"
            f" are not in {paths.runs()}; train it with `{training_command(task.recipe.id)}`"
        )
    if trained_again(result):
        raise InputError(
            f"{task.folder}: its evaluation lacks {next(iter(wanted))}, and the weights in"
            f" {run_folder(task.recipe)} are of another training; move the stored result away to"
            " run it again"
        )
    note(task.recipe.id, task.name, "evaluating")
    answers = {
        key: probabilities(task.recipe, split, views, epoch=epoch)
        for key, (split, views, epoch) in wanted.items()
    }
    bits = {key: per_image.packed(answer) for key, answer in answers.items()}
    write_evaluation(result, {key: errors(answer) for key, answer in answers.items()}, bits)
    return _stored(task)


def _stored(task: Task) -> Run:
    """Return the result that this process has just written."""
    result = load(task)
    if result is None:
        raise InputError(f"{task.folder} has been removed; run the same command again")
    return result


def _keep_probabilities(result: Run) -> None:
    """Store the probabilities of the held-out images if the task asks for them.

    A run whose own weights are not here, or stored in another place, is left as it is."""
    task = result.task
    path = task.folder / PROBABILITIES
    if not task.keep_probabilities or path.is_file() or task.folder != task.place:
        return
    if weights_path(task.recipe.id).is_file() and not trained_again(result):
        wanted = [(split, views) for split, views in task.evaluate if split != "train"]
        answers = {
            f"{split}/{views}": probabilities(task.recipe, split, views) for split, views in wanted
        }
        seal.add(task.folder, {PROBABILITIES: probabilities_file(answers)})


def _line(result: Run) -> str:
    summary = result.summary
    error = summary["running_error"]
    shown = "" if error is None else f", training error {error:.1%}"
    return (
        f"{result.task.name}: {counted(summary['epochs'], 'epoch')}{shown},"
        f" {result.provenance['seconds']:.0f} s ({summary['ended']})"
    )


def other_images(stored: Run) -> Index | None:
    """Return the index of the present images, if they are not those of a stored result.

    None if they are the same, or if there are no images to compare with."""
    try:
        index = training_index(stored.task.recipe.data)
    except InputError:
        return None
    return None if index.fingerprint == stored.provenance["data"]["fingerprint"] else index


def _check_same_files(stored: Run) -> None:
    """Raise InputError if the files were replaced after this machine trained on them."""
    try:
        index = training_index(stored.task.recipe.data)
    except InputError:
        return  # there are no images to compare with
    note_file = unchanged.note_of_run(stored.task.recipe.id)
    unchanged.check_same(note_file, index, f"the result {stored.task.folder}")


def _usable(stored: Run) -> bool:
    """Return whether a stored result is one of the images that are present.

    If it is not, a published one is left alone and the run is stored in this process's own place;
    one in this place is refused with InputError."""
    index = other_images(stored)
    if index is None:
        _check_same_files(stored)
        return True
    if stored.task.folder != stored.task.place:
        return False
    data = stored.task.recipe.data
    raise InputError(
        f"{stored.task.folder}: made from other images of {data.name}"
        f" ({stored.provenance['data']['form']}) than those present ({index.form}); name another"
        " folder in REPLICATION_RESULTS to run it on these"
    )
