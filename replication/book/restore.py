"""Tables, measurements and the seal of an experiment, put back as they were if its notebook fails.

Facts that cost the evaluation of trained nets are not lost (``runs.facts``)."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replication.base.files import write_atomic
from replication.runs import facts, seal

NO_SEAL = b""  # instead of the seal of an experiment that had none
MEASURED = (".json", ".csv", ".npz", ".npy", ".png", ".svg")


@contextmanager
def restored_on_failure(folder: Path) -> Iterator[None]:
    """Put tables, measurements and the seal back as they were if the block fails or is killed.

    Run folders stay: they are complete, and the next execution reads them. Facts that need trained
    nets are kept as well; only the next execution finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    for unfinished in folder.glob(f"{seal.BEFORE}.*"):
        shutil.rmtree(unfinished)
    for notebook in folder.glob(".*.ipynb"):  # of an execution that was killed
        notebook.unlink()
    put_back(folder)
    before = folder / seal.BEFORE
    new = folder / f"{seal.BEFORE}.{secrets.token_hex(8)}"
    new.mkdir()  # by the umask, as every folder here; a temporary folder would be its owner's alone
    for path in _measured(folder):
        shutil.copy2(path, new)
    sealed = folder / seal.FILE
    (new / seal.FILE).write_bytes(sealed.read_bytes() if sealed.is_file() else NO_SEAL)
    new.rename(before)
    try:
        yield
    except BaseException:
        put_back(folder)
        raise
    _remove(before)
    facts.forget(folder)


def is_unfinished(folder: Path) -> bool:
    """Return whether an execution is still running, or was killed before its end."""
    return (folder / seal.BEFORE).is_dir()


def put_back(folder: Path) -> None:
    """Put back what there was before an execution that did not complete.

    No other execution may be running. If this call is killed too, the next call completes it."""
    before = folder / seal.BEFORE
    if not before.is_dir():
        return
    for path in _measured(folder):
        if path.name in facts.FILES:
            facts.take_back(path, before / path.name)
        else:
            path.unlink()
    for path in before.iterdir():
        if path.name == seal.FILE and path.read_bytes() == NO_SEAL:
            (folder / seal.FILE).unlink(missing_ok=True)
        else:
            _copy(path, folder / path.name)
    _remove(before)


def _copy(path: Path, to: Path) -> None:
    content = path.read_bytes()
    write_atomic(to, lambda file: file.write(content))


def _remove(before: Path) -> None:
    """Remove the copies; if this is killed, those that are left are not put back."""
    done = before.with_name(f"{seal.BEFORE}.done")
    before.rename(done)
    shutil.rmtree(done)


def _measured(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix in MEASURED and not path.name.startswith(".")
    ]
