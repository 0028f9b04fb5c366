"""Where an executed notebook goes: to the book, or beside its results."""

import os
from pathlib import Path

from replication.base import disk, paths
from replication.base.errors import InputError
from replication.base.types import PUBLISHED
from replication.book import stamps


def target(name: str, profile: str) -> Path:
    """Return where the executed notebook of an experiment goes in the current place."""
    in_book = profile in PUBLISHED and not paths.place(profile)
    named = bool(os.environ.get("REPLICATION_PAGES"))
    if in_book and (named or paths.results() == paths.ROOT / "results"):
        return paths.pages() / f"{name}.ipynb"
    return _beside_results(name, profile)


def page_of_run(name: str, profile: str) -> Path:
    """Return where an execution stores its notebook.

    It is ``target``, but a page of the book is not replaced by one of a smaller scale: that one is
    kept beside its results."""
    page = target(name, profile)
    shown = stamps.profile_of(page)
    if profile in PUBLISHED and shown in PUBLISHED[PUBLISHED.index(profile) + 1 :]:
        return _beside_results(name, profile)
    return page


def _beside_results(name: str, profile: str) -> Path:
    return paths.experiment(profile, name) / f"{name}.ipynb"


def check_writable(folder: Path, variable: str) -> None:
    """Raise InputError if no file can be created in ``folder``, which ``variable`` moves."""
    if reason := disk.why_not_writable(folder):
        raise InputError(
            f"{folder}: {reason}; give yourself write access, or name another folder in {variable}"
        )
