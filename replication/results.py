"""Run folders: each training run's facts as small text files, found again by the hash of the run's recipe.

``results/<profile>/<experiment>/<name>-<id>/`` holds ``recipe.json``, ``metrics.jsonl`` (one line an epoch), ``summary.json`` and
``provenance.json``. The folder is moved into place whole, after the run has ended. While a run is under way, its checkpoints
and its log are in ``runs/<id>/``. The same recipe is never trained twice, and a changed recipe never finds an old result.
"""

import fcntl
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from pydantic import ValidationError

from replication import paths, provenance
from replication.data.loader import training_index, training_loader
from replication.errors import InputError, TrainingError
from replication.files import read_json, sync_folder, write_json, write_text
from replication.nets.build import build
from replication.recipe import Recipe
from replication.training.trainer import train

LOCK_SECONDS = 10.0  # how long a run waits for another process that is just letting go of it
Item = TypeVar("Item")
Result = TypeVar("Result")
FILES = ("recipe.json", "metrics.jsonl", "summary.json", "provenance.json")


@dataclass(frozen=True)
class Task:
    """One training run and the place of its result."""

    profile: str
    experiment: str
    name: str  # for readers of the folder; the id decides
    recipe: Recipe

    @property
    def folder(self) -> Path:
        return paths.results() / self.profile / self.experiment / f"{self.name}-{self.recipe.id}"


@dataclass(frozen=True)
class Run:
    """The result of one training run, as read from its folder."""

    task: Task
    history: pd.DataFrame  # one row an epoch
    summary: dict[str, Any]
    provenance: dict[str, Any]


def load(task: Task) -> Run | None:
    """The stored result of ``task``, or None. Raises InputError for a folder that is damaged or has no provenance."""
    folder = task.folder
    if not folder.is_dir():
        return None
    for name in FILES:
        if not (folder / name).is_file():
            raise InputError(f"{folder}: {name} is missing, so the result cannot be trusted; move the folder away to run it again")
    try:
        stored = Recipe.model_validate_json((folder / "recipe.json").read_text(encoding="utf-8"))
        history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        run = Run(task, pd.DataFrame(history), read_json(folder / "summary.json"), read_json(folder / "provenance.json"))
    except (ValueError, ValidationError) as error:
        raise InputError(f"{folder}: a file there is damaged ({type(error).__name__}); move the folder away to run it again") from error
    if stored != task.recipe:
        raise InputError(f"{folder}: recipe.json there is not the recipe of its id; move the folder away to run it again")
    return run


def run(task: Task) -> Run:
    """The result of ``task``: read if it is there, else trained, from its last checkpoint if it has one."""
    if (stored := load(task)) is not None:
        _same_images(stored)
        return stored
    work = paths.runs() / task.recipe.id
    with _locked(work, task.name):
        loader = training_loader(task.recipe)
        net = build(task.recipe, len(loader.store.index.classes))
        with open(work / "train.log", "a", encoding="utf-8", buffering=1) as log:
            outcome = train(task.recipe, net, loader, work, lambda line: print(line, file=log))
        progress = outcome.progress
        last = progress.history[-1] if progress.history else {}
        summary = {
            "ended": progress.ended,
            "epochs": progress.epoch,
            "iterations": progress.epoch * loader.steps,
            "iterations_per_epoch": loader.steps,
            "parameters": sum(p.numel() for p in net.parameters()),
            "running_error": last.get("running_error"),
            "exact_error": last.get("exact_error"),
        }
        _write(task, progress.history, summary, provenance.describe(loader.store.index, task.recipe.seed, progress.seconds))
    result = load(task)
    print(f"trained {_line(result)}", flush=True)
    return result


def _line(result: Run) -> str:
    summary = result.summary
    error = "" if summary["running_error"] is None else f", training error {summary['running_error']:.1%}"
    return f"{result.task.name}: {summary['epochs']} epochs{error}, {result.provenance['seconds']:.0f} s ({summary['ended']})"


def _same_images(stored: Run) -> None:
    """Refuse a stored result that was made on other images than those at hand now; without the images it stands as it is."""
    data = stored.task.recipe.data
    try:
        index = training_index(data)
    except InputError:
        return
    made_on = stored.provenance["data"]
    if index.fingerprint != made_on["fingerprint"]:
        raise InputError(
            f"{stored.task.folder}: made on other images of {data.name} ({made_on['form']}) than those at hand ({index.form}); "
            "name another folder in REPLICATION_RESULTS to run it on these"
        )


def _write(task: Task, history: list[dict[str, Any]], summary: dict[str, Any], origin: dict[str, Any]) -> None:
    task.folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=task.folder.parent, prefix=f".{task.folder.name}."))
    try:
        unfinished.chmod(0o755)
        write_json(unfinished / "recipe.json", task.recipe.model_dump(mode="json"))
        write_text(unfinished / "metrics.jsonl", "".join(json.dumps(row, allow_nan=False) + "\n" for row in history))
        write_json(unfinished / "summary.json", summary)
        write_json(unfinished / "provenance.json", origin)
        unfinished.rename(task.folder)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    sync_folder(task.folder.parent)


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the run's folder alone. The system lets go of the lock however the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InputError(f"{folder}: another process is training {name}; wait for it or stop it") from None
                time.sleep(0.2)
        yield


class Workers:
    """Runs tasks, ``jobs`` at a time: in this process when it is one, else in processes that share the cores evenly."""

    def __init__(self, jobs: int = 1) -> None:
        if jobs < 1:
            raise InputError(f"jobs is {jobs}; it must be at least 1")
        threads = max(1, (os.cpu_count() or 1) // jobs)
        self._pool = (
            None
            if jobs == 1
            else ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(threads,))
        )

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, task: Task) -> Run:
        """The result of one task, waited for."""
        if not self._pool:
            return run(task)
        if task.folder.is_dir():
            return run(task)  # only read
        try:
            return self._pool.submit(run, task).result()
        except BrokenProcessPool as error:
            raise TrainingError(f"{task.name}: a training process died; run the same command again, it goes on from there") from error

    def chains(self, chain: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """``chain(item)`` for every item, each a sequence of dependent runs; the chains run side by side when there are several jobs."""
        if not self._pool:
            return [chain(item) for item in items]
        with ThreadPoolExecutor(len(items)) as threads:  # they only wait; the work is in the pool's processes
            return list(threads.map(chain, items))


def _start_worker(threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this process when the one that started it is gone, however that ended; its run goes on from the last checkpoint."""
    connection.wait([parent_process().sentinel])
    os._exit(1)
