"""Where the results of an execution go: published, or a place of their own.

Results of changed parameters, or of other images than the published ones, are kept under
``results/own/`` by themselves, named by what they are. Published results are never touched by
them."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from replication.base import paths
from replication.recipe import read_recipe
from replication.runs.store import Task, load

LENGTH = 40  # characters of a place's name, before its hash


def place_of(tasks: Iterable[Task], changes: Iterable[str]) -> str:
    """Return the folder under ``results/`` for an execution: "" is the published place.

    ``tasks``: the runs that it may need; ``changes``: the parameters that are not the profile's, as
    ``name=value``."""
    changed, tasks = "-".join(sorted(changes)), list(tasks)
    place = f"{paths.OWN}/parameters/{_label(changed)}" if changed else ""
    # runs of the same changed parameters may have been made from other images too
    images = _other_images([*tasks, *_published_beside(tasks)], "") or _other_images(tasks, place)
    if images:
        return f"{paths.OTHER_IMAGES}/{images}" + (f"-{_label(changed)}" if changed else "")
    return place


@contextmanager
def writing_to(place: str) -> Iterator[None]:
    """Let this process, and those that it starts, write results to ``place``."""
    before = os.environ.get(paths.PLACE)
    os.environ[paths.PLACE] = place
    try:
        yield
    finally:
        if before is None:
            del os.environ[paths.PLACE]
        else:
            os.environ[paths.PLACE] = before


def _label(text: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:LENGTH].strip("-.")
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _other_images(tasks: Iterable[Task], place: str) -> str:
    """Name the images that are present, if the runs in ``place`` were made from others; else ""."""
    compared: set[str] = set()
    with writing_to(place):
        for task in tasks:
            data = task.recipe.data.name
            if data in compared or not task.folder.is_dir():
                continue
            compared.add(data)
            from replication.runs.conduct import other_images  # imports torch

            index = other_images(load(task))
            if index is not None:
                return f"{re.sub(r'[^A-Za-z0-9]+', '-', data).strip('-')}-{index.fingerprint[:8]}"
    return ""


def _published_beside(tasks: Sequence[Task]) -> Iterator[Task]:
    """Yield the published runs of the same experiments and data sets, of any plan.

    If a plan has changed, none of its runs may be stored, and yet its tables would replace those
    of the runs before it."""
    wanted = {task.recipe.data.name for task in tasks}
    for profile, name in sorted({(task.profile, task.experiment) for task in tasks}):
        for file in sorted((paths.results() / profile / name).glob("*/recipe.json")):
            recipe = read_recipe(file)
            run = file.parent.name.removesuffix(f"-{recipe.id}")
            if recipe.data.name in wanted:
                yield Task(profile, name, run, recipe)
