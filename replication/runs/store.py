"""Run folders: each run's facts as small text files, named by the hash of its recipe.

``results/<profile>/<experiment>/<name>-<id>/`` holds ``recipe.json``, ``metrics.jsonl`` and
``timings.jsonl`` (one line per epoch), ``summary.json``, ``provenance.json``, and
``evaluation.json`` with ``per_image.json`` if the task asks for errors. The folder is moved into
place complete, after the run has ended. While a run is under way, its checkpoints and its log are
in ``runs/<id>/``, and its weights stay there. A stored recipe is trained again only if an
experiment reads the trained net and it is not here. A changed recipe never finds an old result."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication.base import paths
from replication.base.epochs import METRICS, TIMINGS, losses
from replication.base.errors import InputError
from replication.base.files import (
    beside,
    json_text,
    read_json,
    sync_folder,
    write_json,
    write_text,
)
from replication.base.locks import held
from replication.recipe import Recipe
from replication.runs import seal

if TYPE_CHECKING:
    import pandas as pd

FILES = ("recipe.json", METRICS, "summary.json", "provenance.json")
EVALUATION = "evaluation.json"
PER_IMAGE = "per_image.json"  # right or wrong for every image; absent in the oldest runs


@dataclass(frozen=True)
class Task:
    """One training run and the place of its result."""

    profile: str
    experiment: str
    name: str  # for readers of the folder; the id decides
    recipe: Recipe
    # (split, views) to evaluate the trained net on; ("test", 10) is "test/10" in Run.evaluation
    evaluate: tuple[tuple[str, int], ...] = ()
    # store the probabilities of the held-out images too
    keep_probabilities: bool = False
    # the experiment reads the trained net, which is not published, besides its result
    needs_weights: bool = False

    @property
    def _name(self) -> str:
        return f"{self.name}-{self.recipe.id}"

    @property
    def place(self) -> Path:
        """Where this process stores the result."""
        return paths.experiment(self.profile, self.experiment) / self._name

    @property
    def folder(self) -> Path:
        """Where the result is read: ``place``, or the published folder if only that exists."""
        return paths.stored(self.profile, self.experiment, self._name)

    def is_stored(self) -> bool:
        """Return whether the result is complete, so that nothing has to be computed."""
        stored = load(self)
        return stored is not None and not unanswered(self, stored) and not lacks_weights(stored)


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


def lacks_weights(run: Run) -> bool:
    """Return whether the experiment reads the trained net of ``run``, and it is not here."""
    from replication.training.weights import weights_path  # it loads torch

    left_some = run.summary["ended"] != "diverged"
    return run.task.needs_weights and left_some and not weights_path(run.task.recipe.id).is_file()


def trained_again(run: Run) -> bool:
    """Return whether the net here is of another training than the stored result of ``run``.

    On another machine the same recipe gives other numbers. A net whose training is not on record
    counts as the stored one."""
    here = paths.runs() / run.task.recipe.id
    return (here / METRICS).is_file() and losses(here) != losses(run.task.folder)


def check_files(folder: Path) -> None:
    """Raise InputError unless a run's folder has every file that a result needs."""
    for name in FILES:
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: {name} is missing, so the result cannot be trusted; move the folder"
                " away to run it again"
            )


def load(task: Task) -> Run | None:
    """Return the stored result of ``task``, or None.

    Raises InputError for a folder that is damaged or has no provenance."""
    folder = task.folder
    if not folder.is_dir():
        return None
    check_files(folder)
    try:
        stored = Recipe.model_validate_json((folder / "recipe.json").read_text(encoding="utf-8"))
        history = [
            json.loads(line) for line in (folder / METRICS).read_text(encoding="utf-8").splitlines()
        ]
        run = Run(
            task,
            _table(history),
            read_json(folder / "summary.json"),
            read_json(folder / "provenance.json"),
            read_if_present(folder / EVALUATION),
            read_if_present(folder / PER_IMAGE),
        )
    except ValueError as error:
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
    """Return the rows as a table; None on a bare machine, which trains and evaluates only."""
    try:
        import pandas as pd
    except ImportError:
        return None
    return pd.DataFrame(rows)


def complete(tasks: Sequence[Task]) -> list[Run]:
    """Return those results of ``tasks`` that are stored with all their evaluations, in order."""
    return [run for task in tasks if (run := load(task)) is not None and not unanswered(task, run)]


def unanswered(task: Task, run: Run) -> dict[str, tuple[str, int, int | None]]:
    """Return the evaluations of ``task`` that ``run`` lacks, by key in ``Run.evaluation``.

    Each is a split, a number of views, and the epoch whose weights were kept; None for the end.
    """
    kept = (epoch for epoch in task.recipe.keep_after if epoch <= run.summary["epochs"])
    wanted = {
        answer_key(split, views, epoch): (split, views, epoch)
        for epoch in (None, *kept)
        for split, views in task.evaluate
    }
    return {key: one for key, one in wanted.items() if key not in run.evaluation}


def answer_key(split: str, views: int, epoch: int | None = None) -> str:
    """Return the key of an answer in ``Run.evaluation``: "test/10", or "test/10@60" (epoch)."""
    return f"{split}/{views}" if epoch is None else f"{split}/{views}@{epoch}"


def write_run(
    task: Task,
    history: Sequence[dict[str, Any]],
    timings: Sequence[dict[str, Any]],
    summary: dict[str, Any],
    provenance: dict[str, Any],
) -> None:
    """Store a finished run: its folder appears complete, or not at all."""
    place = task.place
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = beside(place)
    unfinished.mkdir()
    try:
        write_json(unfinished / "recipe.json", task.recipe.model_dump(mode="json"))
        for name, rows in ((METRICS, history), (TIMINGS, timings)):
            write_text(
                unfinished / name, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
            )
        write_json(unfinished / "summary.json", summary)
        write_json(unfinished / "provenance.json", provenance)
        seal.seal(unfinished)
        try:
            unfinished.rename(place)
        except OSError:
            if not place.is_dir():
                raise
            # another worker, which waited while this one trained, has stored the same result
            shutil.rmtree(unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_folder(place.parent)


def write_evaluation(run: Run, errors: dict[str, Any], bits: dict[str, Any]) -> None:
    """Add errors and per-image answers, both by "split/views", to a stored run."""
    folder = run.task.place
    with held(paths.runs() / seal.LOCK):  # processes that add to one run at the same time
        if not folder.is_dir():  # a published run, read by a process that does not publish
            folder.parent.mkdir(parents=True, exist_ok=True)
            copy = beside(folder)
            shutil.copytree(run.task.folder, copy)
            copy.rename(folder)
        # per image first: a folder with errors always has it
        both = {PER_IMAGE: bits, EVALUATION: errors}
        whole = {name: read_if_present(folder / name) | new for name, new in both.items()}
        seal.add(folder, {name: json_text(value).encode() for name, value in whole.items()})


def read_if_present(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; {} if there is none."""
    return read_json(path) if path.is_file() else {}
