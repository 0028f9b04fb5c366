"""Executing the notebooks by papermill, and building the book from what they became.

A notebook in ``notebooks/`` takes its parameters from ``params/<profile>/<name>.yaml``. It is
executed under a temporary name and moved into place only when every cell has run: to
``paths.pages()`` for the published profiles, to ``results/quick/`` for ``quick``. A notebook that
failed is kept beside its results as ``<name>.failed.ipynb``. Each executed notebook is stamped with
a hash of what it was made from, so that what is up to date is not made again."""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import papermill
import yaml
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from papermill.exceptions import PapermillExecutionError
from pydantic import TypeAdapter, ValidationError

from replication.base import paths
from replication.base.errors import InputError, NotebookError, TrainingError, unknown
from replication.base.files import write_text
from replication.base.models import Frozen
from replication.book import KERNEL, progress
from replication.data.sources import catalog
from replication.experiments import EXPERIMENTS
from replication.experiments.common.contract import Experiment
from replication.ledger.measurement import FILE, PROFILES
from replication.runs.seal import seal

if TYPE_CHECKING:  # torch is not needed to read a page
    from replication.runs.store import Task

TYPES = {
    kind: TypeAdapter(kind) for kind in (int, float, str, bool, list[int], list[float], list[str])
}
CODE = ("*.py", "*.toml", "*.yaml")
WITH_STATUS = {kind.__name__: kind for kind in (InputError, TrainingError)}


def experiments() -> list[str]:
    """Return the names of the experiments, in the order in which they run."""
    return [experiment.name for experiment in EXPERIMENTS]


def _experiment(name: str) -> Experiment:
    return next(experiment for experiment in EXPERIMENTS if experiment.name == name)


def target(name: str, profile: str) -> Path:
    """Where the executed notebook of a profile goes."""
    return (
        paths.results() / "quick" / name / f"{name}.ipynb"
        if profile == "quick"
        else paths.pages() / f"{name}.ipynb"
    )


def parameters(name: str, profile: str, changes: Iterable[str] = ()) -> dict[str, Any]:
    """The checked parameters of one notebook: the profile's YAML file with ``changes``
    ("name=value") laid over it.

    Raises InputError for an unknown notebook, profile or parameter, or a value of another type than
    the notebook declares."""
    if profile not in PROFILES:
        raise InputError(unknown("profile", profile, PROFILES))
    if name not in experiments():
        raise InputError(unknown("experiment", name, experiments()))
    file = paths.PARAMS / profile / f"{name}.yaml"
    if not file.is_file():
        raise InputError(
            f"{file} does not exist, so {name} has no {profile} profile; write it with the"
            " notebook's parameters"
        )
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{file} should hold one `name: value` a line")
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise InputError(f"--set {change}: write it as name=value")
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(
                f"--set {change!r}: the value is not YAML; put it into quotes"
            ) from None
    declared = papermill.inspect_notebook(str(source(name)))
    for key, value in values.items():
        _check(name, key, value, declared)
    return values


def settings(name: str, profile: str, changes: Iterable[str] = ()) -> Frozen:
    """Return the settings that a notebook builds at a profile: its defaults, then ``parameters``.

    Raises InputError as ``parameters`` does, and for the first invalid value.
    """
    declared = papermill.inspect_notebook(str(source(name)))
    defaults = {key: ast.literal_eval(about["default"]) for key, about in declared.items()}
    return _experiment(name).settings(**defaults | parameters(name, profile, changes))


def source(name: str) -> Path:
    """The source notebook."""
    return paths.NOTEBOOKS / f"{name}.ipynb"


def _check(name: str, key: str, value: Any, declared: dict[str, Any]) -> None:
    if key not in declared:
        raise InputError(f"{name} has no parameter {key!r}; it has {', '.join(declared)}")
    kind = declared[key]["inferred_type_name"]
    adapter = next(
        (
            adapter
            for known, adapter in TYPES.items()
            if kind in (str(known), getattr(known, "__name__", ""))
        ),
        None,
    )
    if adapter is None:
        raise InputError(
            f"{source(name)}: parameter {key} is declared as {kind!r}; declare it as one of"
            f" {', '.join(map(str, TYPES))}"
        )
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError:
        raise InputError(
            f"{name}: parameter {key} is {value!r}, and the notebook wants {kind}"
        ) from None


def execute(name: str, profile: str, changes: Iterable[str] = (), jobs: int | None = None) -> Path:
    """Execute one notebook at ``profile``, and return the executed notebook. Whether it has to be
    is for ``is_current`` to say.

    With ``changes`` it is no longer the profile's published page, so it goes beside the results
    instead of into the book. Raises InputError before anything is started when a parameter, the
    kernel or the data set is missing; NotebookError when a cell fails."""
    changes = tuple(changes)
    values = parameters(name, profile, changes)
    place = paths.results() / profile / name / f"{name}.ipynb" if changes else target(name, profile)
    preflight(name, profile, values)
    if jobs is not None and "jobs" in papermill.inspect_notebook(str(source(name))):
        values["jobs"] = jobs
    folder = paths.results() / profile / name
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}.{os.getpid()}.ipynb"
    try:
        with progress.shown(name, profile, lambda: _ids(name, profile, changes)) as manager:
            papermill.execute_notebook(
                str(source(name)),
                str(unfinished),
                values,
                kernel_name=KERNEL,
                progress_bar=False,
                log_output=True,
                cwd=str(paths.ROOT),
                kernel_manager_class=manager,
            )
        notebook = nbformat.read(unfinished, as_version=4)
        _tidy(notebook, name, place)
        if not changes:
            notebook.metadata["replication"] = {"profile": profile, "stamp": _stamp(name, profile)}
        if profile != "quick" and not changes:
            seal(folder)
        write_text(place, nbformat.writes(notebook) + "\n")
    except PapermillExecutionError as error:
        failed = folder / f"{name}.failed.ipynb"
        unfinished.replace(failed)
        # what a cell found wrong with the input, or with the training, is that here too
        if error.ename in WITH_STATUS:
            raise WITH_STATUS[error.ename](
                f"{name}: {_first_line(error.evalue)} (see {failed})"
            ) from error
        raise NotebookError(
            f"{name}, cell {error.exec_count}: {error.ename}: {_first_line(error.evalue)} (see"
            f" {failed})"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    (folder / f"{name}.failed.ipynb").unlink(missing_ok=True)
    return place


def _ids(name: str, profile: str, changes: Iterable[str]) -> set[str]:
    return {task.recipe.id for task in tasks(name, profile, changes)}


def tasks(name: str, profile: str, changes: Iterable[str] = ()) -> "list[Task]":
    """Return the training runs that an experiment may need, each once."""
    experiment = _experiment(name)
    if experiment.reads_results:
        return []
    wanted = experiment.tasks(settings(name, profile, changes))
    return list({task.recipe.id: task for task in wanted}.values())


def is_current(name: str, profile: str) -> bool:
    """Whether the executed notebook was made at ``profile`` from the sources, parameters, code and
    results of now.
    """
    place = target(name, profile)
    if not place.is_file():
        return False
    made = nbformat.read(place, as_version=4).metadata.get("replication", {})
    return made == {"profile": profile, "stamp": _stamp(name, profile)}


def preflight(name: str, profile: str, values: dict[str, Any]) -> None:
    """Raise InputError where the kernel, or a data set that will be trained on, is not at hand."""
    try:
        KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel:
        raise InputError(
            f"no Jupyter kernel named {KERNEL}: run `{sys.executable} -m ipykernel install"
            " --sys-prefix`"
        ) from None
    if (paths.results() / profile / name / FILE).is_file():
        return  # the runs may all be stored; one that is not says what it lacks
    wanted = [values[key] for key in ("data", "target", "larger") if values.get(key)]
    if _experiment(name).uses_baseline:
        from replication.recipes import named

        wanted.append(named("alexnet-2012", profile).data.name)
    for data in wanted:
        catalog.open_index(data, "train")


def _stamp(name: str, profile: str) -> str:
    """A hash over everything the executed notebook is made from."""
    read = nbformat.read(source(name), as_version=4)
    digest = hashlib.sha256(repr([(cell.cell_type, cell.source) for cell in read.cells]).encode())
    package = Path(__file__).parents[1]
    files = [
        paths.PARAMS / profile / f"{name}.yaml",
        *sorted(file for kind in CODE for file in package.rglob(kind)),
    ]
    if _experiment(name).reads_results:
        scales = ("quick",) if profile == "quick" else PROFILES[1:]
        read = (f"*/{FILE}", "*/*.csv", "*/*/provenance.json")
        files += sorted(
            file
            for scale in scales
            for kind in read
            for file in (paths.results() / scale).glob(kind)
        )
    else:
        folder = paths.results() / profile / name
        files += sorted([*folder.glob("*.csv"), *folder.glob("*.json")])
    for file in files:
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _tidy(notebook: nbformat.NotebookNode, name: str, place: Path) -> None:
    """Leave no path of this machine in what papermill notes."""
    notes = notebook.metadata.get("papermill", {})
    notes.update(input_path=f"notebooks/{name}.ipynb", output_path=place.name)
    notes.pop("environment_variables", None)


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")


def build_book(profile: str | None = None, force: bool = False) -> Path:
    """Build the book strictly (a warning is an error) into ``_build/html`` and return its first
    page.

    ``profile="quick"`` adds the notebooks of your own quick run as a part of their own. What is up
    to date is not built again."""
    if profile not in (None, "quick"):
        raise InputError(
            f"book --profile {profile}: only quick is added to the book; the other profiles' pages"
            " are in book/experiments"
        )
    page = paths.ROOT / "_build" / "html" / "index.html"
    mark = page.with_name(".made-from")
    own = (
        []
        if profile is None
        else [place for name in experiments() if (place := target(name, profile)).is_file()]
    )
    quoted = [file for kind in CODE for file in Path(__file__).parents[1].rglob(kind)] + list(
        paths.results().glob(f"*/*/{FILE}")
    )
    wanted = _digest(
        [
            paths.ROOT / "_config.yml",
            *sorted(file for file in paths.BOOK.rglob("*") if file.is_file()),
            *own,
            *sorted(quoted),
        ]
    )
    if not force and mark.is_file() and mark.read_text() == wanted:
        return page
    stage = _stage(own)
    tool = Path(sys.executable).with_name("jupyter-book")
    command = [
        str(tool),
        "build",
        str(stage),
        "--path-output",
        str(paths.ROOT),
        "-W",
        "-n",
        "--keep-going",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not page.is_file():
        said = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if "WARNING" in line or "ERROR" in line or "Error" in line
        ]
        raise NotebookError(
            "the book was not built: "
            + (" | ".join(said[:3]) or f"{' '.join(command)} ended with {done.returncode}")
        )
    write_text(mark, wanted)
    return page


def _stage(own: list[Path]) -> Path:
    """The book's source, with ``own`` notebooks added as its last part: ``_build/stage``, made
    anew.
    """
    stage = paths.ROOT / "_build" / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(paths.BOOK, stage, ignore=shutil.ignore_patterns("_build"))
    shutil.copy(paths.ROOT / "_config.yml", stage)
    if own:
        toc = yaml.safe_load((stage / "_toc.yml").read_text(encoding="utf-8"))
        (stage / "quick").mkdir()
        for place in own:
            shutil.copy(place, stage / "quick")
        part = {
            "caption": "Your own run at the quick profile",
            "chapters": [{"file": f"quick/{place.stem}"} for place in own],
        }
        toc["parts"].append(part)
        (stage / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
    return stage


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file}\0".encode() + file.read_bytes())
    return digest.hexdigest()
