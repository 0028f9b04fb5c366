"""Executing a notebook by papermill: complete and in its place, or not at all.

The notebook is executed under a hidden name. Only when every cell has run is it moved to
``paths.pages()`` (a published profile, its own parameters, the published images) or beside its
results. A notebook that failed is kept beside its results as ``<name>.failed.ipynb``, and the
tables and measurements that it wrote are put back as they were. SIGINT, SIGTERM and SIGHUP reach
the kernel and its training processes, which write a checkpoint and end."""

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from replication.base import paths
from replication.base.errors import InputError, NotebookError, TrainingError
from replication.base.files import FULL, write_text
from replication.base.locks import held
from replication.base.types import PUBLISHED
from replication.book import KERNEL, pictures, progress, stamps
from replication.book.destination import check_writable, page_of_run
from replication.book.notebooks import declared_by, parameters, preflight, source, tasks, waits
from replication.book.restore import is_unfinished, put_back, restored_on_failure
from replication.runs import seal
from replication.runs.forecast import check_disk
from replication.runs.places import place_of, writing_to

WITH_STATUS = {kind.__name__: kind for kind in (InputError, TrainingError)}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS = 3.0  # a signal this soon after the first is the same request
OF_THE_USER = ("MPLBACKEND", "MPLSTYLE", "PYTHONOPTIMIZE", "PYTHONSTARTUP", "PYTHONWARNINGS")
# in a page a shell command or a magic that fails is a failure, as an exception is
STRICT = """
from IPython import get_ipython

shell = get_ipython()
plain = shell.system


def system(command):
    plain(command)
    if status := shell.user_ns.get("_exit_code"):
        raise RuntimeError(f"the command {command!r} ended with status {status}")


shell.system = system
"""


def place(name: str, profile: str, changes: Iterable[str] = ()) -> str:
    """Return the folder under ``results/`` to which an execution writes; "" if published."""
    return place_of(tasks(name, profile) if profile in PUBLISHED else (), changes)


def is_current(name: str, profile: str, changes: Iterable[str] = ()) -> bool:
    """Return whether the page is up to date: its notebook, parameters, code and results."""
    changes = tuple(changes)
    values = parameters(name, profile, changes)
    with writing_to(place(name, profile, changes)):
        now = stamps.stamp(source(name), profile, values)
        return not stamps.differences(page_of_run(name, profile), now)


def check(name: str, profile: str, changes: Iterable[str] = ()) -> None:
    """Raise InputError if an execution could not start, or published results were changed."""
    changes = tuple(changes)
    values = parameters(name, profile, changes)
    planned = tasks(name, profile, changes)  # refuses values that no setting or recipe accepts
    preflight(name, profile, values, planned)
    where = place(name, profile, changes)
    if values.get("only_stored"):
        with writing_to(where):
            if reason := waits(name, profile, changes):
                raise InputError(f"{name} ({profile}): {reason}")
    else:
        check_disk(planned)
    with writing_to(where):
        check_writable(paths.experiment(profile, name), "REPLICATION_RESULTS")
        check_writable(page_of_run(name, profile).parent, "REPLICATION_PAGES")
    if profile in PUBLISHED and not where:
        folder = paths.results() / profile / name
        if is_unfinished(folder):
            with _alone(name, profile):  # so it was killed
                put_back(folder)
        seal.check_unchanged(folder)


def execute(name: str, profile: str, changes: Iterable[str] = (), jobs: int | None = None) -> Path:
    """Execute one notebook at ``profile`` and return the executed notebook.

    Raises InputError before anything is started if a parameter, the kernel or the data set is
    missing, or if published results were changed; NotebookError if a cell fails; KeyboardInterrupt
    after a signal."""
    changes = tuple(changes)
    values = parameters(name, profile, changes)
    check(name, profile, changes)
    where = place(name, profile, changes)
    with writing_to(where), _alone(name, profile):
        folder = paths.experiment(profile, name)
        published = not where and profile in PUBLISHED
        given = dict(values)
        if jobs is not None and "jobs" in declared_by(name):
            given["jobs"] = jobs
        page = page_of_run(name, profile)
        with restored_on_failure(folder):
            notebook = _executed(name, profile, changes, given, folder)
            _tidy(notebook, name, page)
            notebook.metadata["replication"] = stamps.stamp(source(name), profile, values)
            _store(notebook, page)
            if published:
                _seal(folder, page)
    return page


@contextmanager
def _alone(name: str, profile: str) -> Iterator[None]:
    """Keep a second command from executing the same experiment at the same time."""
    lock = progress.log_path(name, profile).with_suffix(".lock")
    try:
        with held(lock, wait=0):
            yield
    except TimeoutError:
        raise InputError(
            f"{name} ({profile}): another command executes it now; wait for that one, or stop it"
        ) from None


def _executed(
    name: str, profile: str, changes: tuple[str, ...], values: dict[str, Any], folder: Path
) -> nbformat.NotebookNode:
    """Return the notebook after all its cells ran; keep what is left of one that failed."""
    unfinished = folder / f".{name}.{os.getpid()}.ipynb"
    failed = folder / f"{name}.failed.ipynb"
    try:
        _run_cells(name, profile, changes, values, unfinished)
        notebook = nbformat.read(unfinished, as_version=4)
        if stopped := _unfinished_cell(notebook):
            raise NotebookError(f"{name}, cell {stopped}: it did not run to its end")
    except BaseException as error:
        if unfinished.is_file():
            unfinished.replace(failed)
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            error.filename = str(folder)  # papermill writes there, and its error does not name it
        if isinstance(error, (NotebookError, *WITH_STATUS.values())):
            raise type(error)(f"{error} (see {failed})") from error.__cause__
        raise
    unfinished.unlink()
    failed.unlink(missing_ok=True)
    return notebook


def _run_cells(
    name: str, profile: str, changes: tuple[str, ...], values: dict[str, Any], unfinished: Path
) -> None:
    """Execute into the file ``unfinished``; every way to fail becomes an error of one line."""
    signals = Signals()

    def count() -> set[str]:
        return {task.recipe.id for task in tasks(name, profile, changes)}

    try:
        with progress.shown(name, profile, count) as manager, signals, _apart_from_the_user():
            papermill.execute_notebook(
                str(source(name)),
                str(unfinished),
                values,
                kernel_name=KERNEL,
                progress_bar=False,
                log_output=True,
                cwd=str(paths.ROOT),
                kernel_manager_class=signals.watched(manager),
            )
    except PapermillExecutionError as error:
        if signals.received:
            raise KeyboardInterrupt from error
        # a cell's complaint about the input, or about the training, is that of the command
        if error.ename in WITH_STATUS:
            raise WITH_STATUS[error.ename](f"{name}: {_first_line(error.evalue)}") from error
        raise NotebookError(
            f"{name}, cell {error.exec_count}: {error.ename}: {_first_line(error.evalue)}"
        ) from error
    except DeadKernelError as error:
        if signals.received:
            raise KeyboardInterrupt from error
        cell = _unfinished_cell(nbformat.read(unfinished, as_version=4)) or 1
        raise NotebookError(
            f"{name}, cell {cell}: the kernel died, killed by a signal or for lack of memory; run"
            " the same command again to resume"
        ) from error
    except RuntimeError as error:
        if "ernel" not in str(error):
            raise
        raise NotebookError(
            f"{name}: the kernel did not start ({_first_line(str(error))}), log in"
            f" {progress.log_path(name, profile)}"
        ) from error


def _unfinished_cell(notebook: nbformat.NotebookNode) -> int | None:
    """Return the number, among the code cells from 1, of the first one that did not complete."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, 1):
        if cell.metadata.get("papermill", {}).get("status") != "completed":
            return number
    return None


class Signals:
    """While it is open, a signal to this process interrupts the kernel and all that it started.

    After the first one, training processes write a checkpoint and end. A later one kills them."""

    def __init__(self) -> None:
        self.received = 0
        self._first = 0.0
        self._kernels: list[AsyncKernelManager] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watched(self, manager: type[AsyncKernelManager]) -> type[AsyncKernelManager]:
        """Return a kind of ``manager`` whose kernels the signals reach."""
        signals = self

        class Watched(manager):  # type: ignore[misc, valid-type]
            """A kernel manager that starts no cell after a signal."""

            def client(self, **options: Any) -> Any:
                signals._kernels.append(self)
                client = super().client(**options)
                execute = client.execute

                def execute_unless_stopped(*words: Any, **named: Any) -> Any:
                    if signals.received:
                        raise KeyboardInterrupt
                    return execute(*words, **named)

                client.execute = execute_unless_stopped
                return client

        return Watched

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received, self._first = number, time.monotonic()
            self._send(signal.SIGINT)
        elif time.monotonic() - self._first > SECONDS:
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        for manager in self._kernels:
            process = getattr(manager.provisioner, "pid", None)
            if process:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(os.getpgid(process), number)


@contextmanager
def _apart_from_the_user() -> Iterator[None]:
    """Keep the user's matplotlib and IPython settings from changing the pages."""
    with tempfile.TemporaryDirectory(prefix="replication-") as folder:
        startup = Path(folder) / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "strict.py").write_text(STRICT, encoding="utf-8")
        rc = Path(folder) / "matplotlibrc"
        rc.write_text("", encoding="utf-8")
        before = dict(os.environ)
        for variable in OF_THE_USER:
            os.environ.pop(variable, None)
        os.environ |= {"IPYTHONDIR": folder, "MATPLOTLIBRC": str(rc)}
        try:
            yield
        finally:
            for variable in (*OF_THE_USER, "IPYTHONDIR", "MATPLOTLIBRC"):
                os.environ.pop(variable, None)
                if variable in before:
                    os.environ[variable] = before[variable]


def _store(notebook: nbformat.NotebookNode, page: Path) -> None:
    """Write the page, unless it differs from the one there only in when it was executed."""
    with contextlib.suppress(InputError):  # missing or damaged: it is written anew
        stored, times = stamps.notebook_of(page), notebook.metadata.get("papermill")
        notebook.metadata["papermill"] = stored.metadata.get("papermill")
        if notebook == stored:
            return
        notebook.metadata["papermill"] = times
    write_text(page, nbformat.writes(notebook) + "\n")


def _seal(folder: Path, page: Path) -> None:
    if seal.text(folder):
        seal.seal(folder)
    in_book = page.parent == paths.pages()
    seal.list_published([folder / seal.FILE, *([page] if in_book else [])])


def _tidy(notebook: nbformat.NotebookNode, name: str, page: Path) -> None:
    """Remove paths of this machine and the times of cells from the page; shrink its pictures."""
    pictures.shrink(notebook)
    notes = notebook.metadata.get("papermill", {})
    notes.update(input_path=f"notebooks/{name}.ipynb", output_path=page.name)
    notes.pop("environment_variables", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"  # papermill draws one anew


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")
