"""Published results that stay as they are on a machine without their images.

On such a machine an execution could only repeat what is published. If only code or text has changed
since, ``replication run`` says so in one line and changes no file; ``--force`` executes the
notebook from the stored runs."""

from collections.abc import Iterable
from typing import Any

from replication.base import paths
from replication.base.types import PUBLISHED
from replication.book import stamps
from replication.book.destination import target
from replication.book.execute import place
from replication.book.notebooks import data_sets, only_loaded, parameters, source, tasks
from replication.data.sources import catalog
from replication.data.sources.photographs import photographs_folder
from replication.runs import seal
from replication.runs.places import writing_to

REPEATED = {"notebook", "code"}  # parts of a stamp that an execution would only bring up to date


def kept(name: str, profile: str, changes: Iterable[str] = ()) -> str:
    """Return why an experiment's published results are kept as they are; "" to execute it."""
    changes = tuple(changes)
    if profile not in PUBLISHED or place(name, profile, changes):
        return ""
    values = parameters(name, profile, changes)
    missing = [one for one in _images(name, profile, values) if not _available(one)]
    if not missing or not _is_published(name, profile, values):
        return ""
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"kept as published in results/{profile}/{name}, because {' and '.join(missing)} {verb} not"
        f" in {paths.data()}; --force executes the notebook from the stored runs"
    )


def _images(name: str, profile: str, values: dict[str, Any]) -> list[str]:
    """Return the data sets that an experiment trains on, and the one that it only loads."""
    return data_sets(name, profile, values, tasks(name, profile)) + only_loaded(values)


def _available(data: str) -> bool:
    photographs = photographs_folder(data)
    return catalog.available(data) if photographs is None else photographs.is_dir()


def _is_published(name: str, profile: str, values: dict[str, Any]) -> bool:
    """Return whether the page shows the current results, or is of another profile."""
    with writing_to(""):
        page, folder = target(name, profile), paths.experiment(profile, name)
        changed = set(stamps.differences(page, stamps.stamp(source(name), profile, values)))
    if "profile" in changed:
        return (folder / seal.FILE).is_file()
    return "page" not in changed and changed <= REPEATED
