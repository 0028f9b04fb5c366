"""Run folders: each training run's facts as small text files, found again by the hash of the run's
recipe.

``results/<profile>/<experiment>/<name>-<id>/`` holds ``recipe.json``, ``metrics.jsonl`` and
``timings.jsonl`` (one line an epoch), ``summary.json``, ``provenance.json``, and
``evaluation.json`` with ``per_image.json`` where the task asks for errors. The folder is moved into
place whole, after the run has ended. While a run is under way, its checkpoints and its log are in
``runs/<id>/``, and so are its weights afterwards. The same recipe is never trained twice, and a
changed recipe never finds an old result."""

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from replication.base import paths
from replication.base.devices import best_device
from replication.base.errors import InputError
from replication.base.files import read_json, sync_folder, write_json, write_text
from replication.data.loader import training_index
from replication.evaluation import per_image
from replication.evaluation.metrics import errors
from replication.evaluation.probabilities import probabilities
from replication.recipe import Recipe
from replication.runs import provenance
from replication.runs.progress import note
from replication.training.process.show import Moment
from replication.training.session import run_folder, session
from replication.training.state import Progress
from replication.training.weights import training_command, weights_path

if TYPE_CHECKING:
    import pandas as pd

FILES = ("recipe.json", "metrics.jsonl", "summary.json", "provenance.json")
TIMINGS = "timings.jsonl"  # how long each epoch took; not there in runs of before it was kept
EVALUATION = "evaluation.json"
# right or wrong for every image; not there in runs of before it was kept
PER_IMAGE = "per_image.json"


@dataclass(frozen=True)
class Task:
    """One training run and the place of its result."""

    profile: str
    experiment: str
    name: str  # for readers of the folder; the id decides
    recipe: Recipe
    # (split, views): what the trained net is asked; ("test", 10) is "test/10" in Run.evaluation
    evaluate: tuple[tuple[str, int], ...] = ()

    @property
    def folder(self) -> Path:
        return paths.results() / self.profile / self.experiment / f"{self.name}-{self.recipe.id}"

    def is_stored(self) -> bool:
        """Whether the result is there with all that is asked of it, so that nothing has to be
        computed.
        """
        return (stored := load(self)) is not None and not _unanswered(self, stored.evaluation)


@dataclass(frozen=True)
class Run:
    """The result of one training run, as read from its folder."""

    task: Task
    history: "pd.DataFrame"  # one row per epoch; None on a machine without pandas
    summary: dict[str, Any]
    provenance: dict[str, Any]
    # "split/views" -> images, top1, top5 (errors, fractions), mistakes1, mistakes5
    evaluation: dict[str, dict[str, Any]]
    # "split/views" -> what ``evaluation.per_image.right`` reads
    per_image: dict[str, dict[str, Any]] = field(default_factory=dict)


def check_files(folder: Path) -> None:
    """Raise InputError unless a run's folder has every file that a result needs, its provenance
    among them.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: {name} is missing, so the result cannot be trusted; move the folder"
                " away to run it again"
            )


def load(task: Task) -> Run | None:
    """The stored result of ``task``, or None. Raises InputError for a folder that is damaged or has
    no provenance.
    """
    folder = task.folder
    if not folder.is_dir():
        return None
    check_files(folder)
    try:
        stored = Recipe.model_validate_json((folder / "recipe.json").read_text(encoding="utf-8"))
        history = [
            json.loads(line)
            for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        summary, origin = read_json(folder / "summary.json"), read_json(folder / "provenance.json")
        evaluation, answers = (
            _read_if_there(folder / EVALUATION),
            _read_if_there(folder / PER_IMAGE),
        )
        run = Run(task, _table(history), summary, origin, evaluation, answers)
    except (ValueError, ValidationError) as error:
        raise InputError(
            f"{folder}: a file there is damaged ({type(error).__name__}); move the folder away to"
            " run it again"
        ) from error
    if stored != task.recipe:
        raise InputError(
            f"{folder}: recipe.json there is not the recipe of its id; move the folder away to run"
            " it again"
        )
    return run


def _table(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    """The rows as a table; None on a bare machine, which trains and evaluates only."""
    try:
        import pandas as pd
    except ImportError:
        return None
    return pd.DataFrame(rows)


def _read_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def run(task: Task) -> Run:
    """The result of ``task``: read if it is there, else trained, from its last checkpoint if it has
    one; then evaluated as asked.
    """
    if (stored := load(task)) is not None:
        _same_images(stored)
        result = _evaluate(task, stored)
        note(task.recipe.id, task.name, "stored")
        return result
    note(task.recipe.id, task.name, "training")
    _train(task)
    result = load(task)
    print(f"trained {_line(result)}", flush=True)
    result = _evaluate(task, result)
    note(task.recipe.id, task.name, "done", result=_line(result))
    return result


def _train(task: Task) -> None:
    work = run_folder(task.recipe)
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "train.log", "a", encoding="utf-8", buffering=1) as log:
        outcome = session(
            task.recipe,
            lambda line: print(line, file=log),
            (best_device(),),
            watch=partial(_note_epoch, task),
        )
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
    _write(task, progress, summary, origin)


def _note_epoch(task: Task, moment: Moment) -> None:
    note(
        task.recipe.id,
        task.name,
        "training",
        epoch=moment.epoch,
        epochs=moment.epochs,
        error=moment.running_error,
        images_per_second=moment.images_per_second,
        seconds_left=moment.seconds_left,
    )


def _unanswered(task: Task, evaluation: dict[str, Any]) -> list[tuple[str, int]]:
    return [
        (split, views) for split, views in task.evaluate if f"{split}/{views}" not in evaluation
    ]


def _evaluate(task: Task, result: Run) -> Run:
    """``result`` with every answer that ``task`` asks for; the new ones are added to its folder."""
    if not (wanted := _unanswered(task, result.evaluation)):
        return result
    if not weights_path(task.recipe.id).is_file():
        raise InputError(
            f"{task.folder}: its evaluation lacks {wanted[0][0]}/{wanted[0][1]}, and its weights"
            f" are not in {paths.runs()}; train it with `{training_command(task.recipe.id)}`"
        )
    note(task.recipe.id, task.name, "evaluating")
    answers = {
        f"{split}/{views}": probabilities(task.recipe, split, views) for split, views in wanted
    }
    bits = {key: per_image.packed(answer) for key, answer in answers.items()}
    # first: where there are errors, it is there
    write_json(task.folder / PER_IMAGE, _read_if_there(task.folder / PER_IMAGE) | bits)
    write_json(
        task.folder / EVALUATION,
        result.evaluation | {key: errors(answer) for key, answer in answers.items()},
    )
    return load(task)


def _line(result: Run) -> str:
    summary = result.summary
    error = (
        ""
        if summary["running_error"] is None
        else f", training error {summary['running_error']:.1%}"
    )
    return (
        f"{result.task.name}: {summary['epochs']} epochs{error}, {result.provenance['seconds']:.0f}"
        f" s ({summary['ended']})"
    )


def _same_images(stored: Run) -> None:
    """Refuse a stored result that was made on other images than those at hand now; without the
    images it stands as it is.
    """
    data = stored.task.recipe.data
    try:
        index = training_index(data)
    except InputError:
        return
    made_on = stored.provenance["data"]
    if index.fingerprint != made_on["fingerprint"]:
        raise InputError(
            f"{stored.task.folder}: made on other images of {data.name} ({made_on['form']}) than"
            f" those at hand ({index.form}); name another folder in REPLICATION_RESULTS to run it"
            " on these"
        )


def _write(task: Task, progress: Progress, summary: dict[str, Any], origin: dict[str, Any]) -> None:
    task.folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=task.folder.parent, prefix=f".{task.folder.name}."))
    try:
        unfinished.chmod(0o755)
        write_json(unfinished / "recipe.json", task.recipe.model_dump(mode="json"))
        for name, rows in (("metrics.jsonl", progress.history), (TIMINGS, progress.timings)):
            write_text(
                unfinished / name, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
            )
        write_json(unfinished / "summary.json", summary)
        write_json(unfinished / "provenance.json", origin)
        try:
            unfinished.rename(task.folder)
        except OSError:
            if not task.folder.is_dir():
                raise
            # another worker, which waited while this one trained, has stored the same result
            shutil.rmtree(unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_folder(task.folder.parent)
