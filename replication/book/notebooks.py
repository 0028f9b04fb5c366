"""The notebooks: their parameters at each profile, their runs, and what they require.

A notebook in ``notebooks/`` takes its parameters from ``params/<profile>/<name>.yaml``. A value,
there or in ``--set``, is read as the type that the notebook declares for it, not as YAML guesses:
``010`` is ten, ``1:30`` is no number, ``1e-3`` is one."""

import ast
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import papermill
import yaml
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from pydantic import ValidationError

from replication.base import paths
from replication.base.errors import InputError, unknown
from replication.base.models import Frozen, first_fault
from replication.base.types import PROFILES
from replication.book import KERNEL, SOCKET
from replication.data.sources import catalog
from replication.data.sources.photographs import open_photographs
from replication.experiments import EXPERIMENTS
from replication.experiments.common.contract import Experiment
from replication.ledger.measurement import FILE

if TYPE_CHECKING:  # torch is not needed to read a page
    from replication.runs.store import Task

INTEGER = re.compile(r"[+-]?[0-9]+")


def experiments() -> list[str]:
    """Return the names of the experiments, in the order in which they run."""
    return [experiment.name for experiment in EXPERIMENTS]


def experiment(name: str) -> Experiment:
    """Return an experiment. Raises InputError for an unknown name, or outside a clone."""
    if not paths.NOTEBOOKS.is_dir():
        raise InputError(
            f"{paths.NOTEBOOKS} does not exist: this installation has no notebooks; clone the"
            " repository and install it with `make setup`"
        )
    for candidate in EXPERIMENTS:
        if candidate.name == name:
            return candidate
    raise InputError(unknown("experiment", name, experiments()))


def source(name: str) -> Path:
    """Return the source notebook."""
    return paths.NOTEBOOKS / f"{name}.ipynb"


def declared_by(name: str) -> dict[str, Any]:
    """Return the parameters that a notebook declares, as papermill describes them.

    Raises InputError for a damaged notebook."""
    try:
        return papermill.inspect_notebook(str(source(name)))
    except ValueError as error:  # of git's marks of a conflict, say
        reason = " ".join(str(error).split())[:80]
        raise InputError(
            f"{source(name)} is no notebook ({reason}); restore it with `git checkout"
            f" {source(name)}`"
        ) from None


def parameters(name: str, profile: str, changes: Iterable[str] = ()) -> dict[str, Any]:
    """Return the parameters of a notebook: those of the profile, then ``changes``.

    A change is ``name=value``. Raises InputError for an unknown notebook, profile or parameter, or
    a value of another type than the notebook declares."""
    if profile not in PROFILES:
        raise InputError(unknown("profile", profile, PROFILES))
    experiment(name)
    file = paths.PARAMS / profile / f"{name}.yaml"
    if not file.is_file():
        raise InputError(
            f"{file} does not exist, so {name} has no {profile} profile; write it with the"
            " notebook's parameters"
        )
    # every value as text: the declared type decides what it means
    values = _yaml(file.read_text(encoding="utf-8"), f"{file} is not YAML") or {}
    if not isinstance(values, dict):
        raise InputError(f"{file} should hold one `name: value` a line")
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise InputError(f"--set {change}: write it as name=value")
        if key == "profile":
            raise InputError(f"--set {change}: the profile is chosen by --profile")
        values[key] = _yaml(text, f"--set {change!r}: the value is not YAML")
    declared = declared_by(name)
    return {key: _value(name, key, value, declared) for key, value in values.items()}


def settings(name: str, profile: str, changes: Iterable[str] = ()) -> Frozen:
    """Return the settings that a notebook builds at a profile: its defaults, then ``parameters``.

    Raises InputError as ``parameters`` does, and for the first invalid value.
    """
    declared = declared_by(name)
    defaults = {key: ast.literal_eval(about["default"]) for key, about in declared.items()}
    return experiment(name).settings(**defaults | parameters(name, profile, changes))


def waits(name: str, profile: str, changes: Iterable[str] = ()) -> str:
    """Return why an experiment has nothing to show at a profile yet; "" if it has."""
    chosen = experiment(name)
    return "" if chosen.reads_results else chosen.waits(settings(name, profile, changes))


def _yaml(text: str, complaint: str) -> Any:
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)  # no constructors: plain text, lists, maps
    except yaml.YAMLError as error:
        raise InputError(f"{complaint} ({' '.join(str(error).split())})") from None


def _value(name: str, key: str, value: Any, declared: dict[str, Any]) -> Any:
    if key not in declared:
        raise InputError(f"{name} has no parameter {key!r}; it has {', '.join(declared)}")
    kind = declared[key]["inferred_type_name"]
    if kind not in READ:
        raise InputError(
            f"{source(name)}: parameter {key} is declared as {kind!r}; declare it as one of"
            f" {', '.join(READ)}"
        )
    try:
        return READ[kind](value)
    except ValueError:
        raise InputError(
            f"{name}: parameter {key} is {value!r}, and the notebook wants {kind}"
        ) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _integer(value: Any) -> int:
    if not INTEGER.fullmatch(_text(value)):
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    if "_" in _text(value):  # which Python allows in numbers
        raise ValueError
    return float(value)


def _truth(value: Any) -> bool:
    words = {"true": True, "false": False}
    if _text(value).lower() not in words:
        raise ValueError
    return words[value.lower()]


def _list_of(read: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError
        return [read(each) for each in value]

    return read_list


READ: dict[str, Callable[[Any], Any]] = {
    "int": _integer,
    "float": _number,
    "str": _text,
    "bool": _truth,
    "list[int]": _list_of(_integer),
    "list[float]": _list_of(_number),
    "list[str]": _list_of(_text),
}


def tasks(name: str, profile: str, changes: Iterable[str] = ()) -> "list[Task]":
    """Return the training runs that an experiment may need, each once."""
    chosen = experiment(name)
    if chosen.reads_results:
        return []
    try:
        wanted = chosen.tasks(settings(name, profile, changes))
    except ValidationError as error:  # a parameter that no recipe accepts
        raise InputError(f"{name}: {first_fault(error)}") from None
    return list({task.recipe.id: task for task in wanted}.values())


def preflight(
    name: str, profile: str, values: dict[str, Any], planned: "Sequence[Task]" = ()
) -> None:
    """Raise InputError if the kernel, a device or a data set to be read is missing.

    ``planned``: the runs that the experiment may need; without any of them it has to train."""
    try:
        KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel:
        raise InputError(
            f"no Jupyter kernel named {KERNEL}: run `{sys.executable} -m ipykernel install"
            " --sys-prefix`"
        ) from None
    except (ValueError, TypeError) as error:  # its kernel.json is damaged
        raise InputError(
            f"the Jupyter kernel {KERNEL} cannot be read ({' '.join(str(error).split())}): run"
            f" `{sys.executable} -m ipykernel install --sys-prefix`"
        ) from None
    if len(tempfile.gettempdir()) > SOCKET:
        raise InputError(
            f"TMPDIR is {tempfile.gettempdir()}: too long for the names of sockets that processes"
            " create there; set it to a shorter folder"
        )
    measured = (paths.results() / profile / name / FILE).is_file()
    if measured and (not planned or any(task.folder.is_dir() for task in planned)):
        return  # the runs may all be stored; one that is not says what it lacks
    if values.get("device") == "cuda":
        _check_cuda(name, profile)
    if values.get("only_stored"):
        return  # nothing is trained
    for data in data_sets(name, profile, values, planned):
        catalog.open_index(data, "train")
    for data in only_loaded(values):
        open_photographs(data)


def data_sets(
    name: str, profile: str, values: dict[str, Any], planned: "Iterable[Task]"
) -> list[str]:
    """Return the names of the data sets that an experiment trains on, each once."""
    wanted = [values[key] for key in ("data", "target", "larger") if values.get(key)]
    wanted += [task.recipe.data.name for task in planned]
    if experiment(name).uses_baseline:
        from replication.recipes import named

        wanted.append(named("alexnet-2012", profile).data.name)
    return list(dict.fromkeys(wanted))


def only_loaded(values: dict[str, Any]) -> list[str]:
    """Return the names of the data sets of whose images an experiment only times the loading."""
    return [values["photographs"]] if values.get("photographs") else []


def _check_cuda(name: str, profile: str) -> None:
    import torch

    if not torch.cuda.is_available():
        raise InputError(
            f"{name} at the {profile} profile computes on a CUDA device, and torch finds none here;"
            " choose another profile, or --set device=cpu"
        )
