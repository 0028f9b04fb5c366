"""Tables and measurements of an experiment, put back as they were if its notebook fails.

Facts that cost the evaluation of trained nets are not lost (``runs.facts``)."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replication.runs import facts

BEFORE = ".before"  # tables and measurements as they were, while a notebook is executed
MEASURED = (".json", ".csv", ".npz", ".npy", ".png", ".svg")


@contextmanager
def restored_on_failure(folder: Path) -> Iterator[None]:
    """Put tables and measurements back as they were if the block fails, or if this is killed.

    Run folders stay: they are complete, and the next execution reads them. So do facts that need
    trained nets, where only the next execution finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    for unfinished in folder.glob(f"{BEFORE}.*"):
        shutil.rmtree(unfinished)
    for notebook in folder.glob(".*.ipynb"):  # of an execution that was killed
        notebook.unlink()
    before = folder / BEFORE
    if before.is_dir():  # an execution before this one was killed
        _put_back(before, folder)
    new = Path(tempfile.mkdtemp(dir=folder, prefix=f"{BEFORE}."))
    for path in _measured(folder):
        shutil.copy2(path, new)
    new.rename(before)
    try:
        yield
    except BaseException:
        _put_back(before, folder)
        raise
    shutil.rmtree(before)
    facts.forget(folder)


def _put_back(before: Path, folder: Path) -> None:
    for path in _measured(folder):
        if path.name in facts.FILES:
            facts.take_back(path, before / path.name)
        else:
            path.unlink()
    for path in before.iterdir():
        os.replace(path, folder / path.name)
    before.rmdir()


def _measured(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix in MEASURED and not path.name.startswith(".")
    ]
