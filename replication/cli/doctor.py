"""What this machine has of what the project needs, and how to get the rest: the checks behind
``replication doctor``.

A check that fails is a fault only where the thing is needed; data sets and, off Linux, DALI are
welcome but can be done without."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from replication.base import paths
from replication.book import KERNEL
from replication.cli.output import Json, print_json

PYTHON = (3, 11)  # pyproject.toml, requires-python
JUPYTER_BOOK = "1"  # version 2 reads neither _config.yml nor Sphinx extensions
FREE_GB = 1.0  # the quick profile keeps its prepared images and checkpoints well below this
SET_UP = "run `make setup`, or `pip install -r requirements.lock`"


def doctor(as_json: Json = False) -> None:
    """Check this machine; exit status 1 if something that is needed is wrong."""
    found = checks()
    if as_json:
        print_json([vars(check) for check in found])
    else:
        for check in found:
            state = "ok  " if check.ok else "BAD " if check.needed else "none"
            cure = "" if check.ok or not check.cure else f" -> {check.cure}"
            print(f"{state} {check.name}: {check.found}{cure}")
    if not healthy(found):
        raise typer.Exit(1)


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, and, unless ``ok``, how to mend it. ``needed`` says
    whether it can be done without.
    """

    name: str
    ok: bool
    needed: bool
    found: str
    cure: str = ""


def checks() -> list[Check]:
    """Look at everything, in the order in which it should be mended. Writes nothing that stays."""
    return [
        _python(),
        _torch(),
        _device(),
        _dali(),
        _jupyter_book(),
        _papermill(),
        _kernel(),
        _data(),
        _disk(paths.runs()),
        _writable("results folder", paths.results(), "REPLICATION_RESULTS"),
        _writable("runs folder", paths.runs(), "REPLICATION_RUNS"),
    ]


def healthy(found: Iterable[Check]) -> bool:
    """True if everything that is needed is there."""
    return all(check.ok or not check.needed for check in found)


def _python() -> Check:
    wanted = ".".join(map(str, PYTHON))
    ok = sys.version_info >= PYTHON
    return Check(
        "Python",
        ok,
        True,
        f"{platform.python_version()}, {sys.executable}",
        "" if ok else f"install Python {wanted} or newer",
    )


def _torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        return Check("torch", False, True, _one_line(error), SET_UP)
    return Check("torch", True, True, f"{torch.__version__}, {torch.get_num_threads()} threads")


def _device() -> Check:
    """The device that runs compute on, and the driver's own word about a GPU that torch leaves."""
    try:
        import torch

        from replication.base.devices import best_device, cuda_fault, described
    except (ImportError, OSError) as error:
        return Check("device", False, True, _one_line(error), SET_UP)
    if fault := cuda_fault():
        cure = (
            "install a newer driver, or the torch build of its CUDA version (nvidia-smi shows it),"
            " or unset CUDA_VISIBLE_DEVICES; runs compute on the CPU until then"
        )
        return Check("device", False, False, f"cpu: {fault}", cure)
    cuda = f", CUDA {torch.version.cuda}" if best_device() == "cuda" else ""
    return Check("device", True, True, described(best_device()) + cuda)


def _dali() -> Check:
    needed = sys.platform == "linux"
    try:
        from nvidia import dali
    except (ImportError, OSError) as error:
        if needed:
            return Check("DALI", False, True, _one_line(error), SET_UP)
        return Check(
            "DALI",
            False,
            False,
            "not installed: the reference pipeline serves",
            "none: DALI is made for Linux only",
        )
    return Check("DALI", True, needed, dali.__version__)


def _jupyter_book() -> Check:
    found = _version("jupyter-book")
    ok = found is not None and found.split(".")[0] == JUPYTER_BOOK
    return Check(
        "jupyter-book",
        ok,
        True,
        found or "not installed",
        "" if ok else f"{SET_UP}; by hand: pip install 'jupyter-book<2'",
    )


def _papermill() -> Check:
    found = _version("papermill")
    return Check(
        "papermill", found is not None, True, found or "not installed", "" if found else SET_UP
    )


def _kernel() -> Check:
    """Notebooks must run in this environment, not in whatever else registered a kernel of the same
    name.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    name = f"kernel {KERNEL}"
    try:
        spec = KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel:
        return Check(name, False, True, "not installed", SET_UP)
    command = spec.argv[0]
    # jupyter_client itself puts the running interpreter in the place of a bare "python"
    own = command in ("python", "python3", f"python3.{sys.version_info.minor}")
    interpreter = Path(sys.executable if own else command)
    if interpreter.parent.resolve() != Path(sys.executable).parent.resolve():
        cure = (
            f"remove {spec.resource_dir}, or set JUPYTER_PREFER_ENV_PATH=1 so that this"
            " environment's own kernel comes first"
        )
        return Check(name, False, True, f"{interpreter}, which is not this environment", cure)
    return Check(name, True, True, str(interpreter))


def _data() -> Check:
    from replication.data.sources import catalog

    folder = paths.data()
    found = [f"{row['name']} ({row['form']})" for row in catalog.listing() if row["where"]]
    sets = ", ".join(found) or "no data set"
    if folder.is_dir():
        return Check("data folder", True, False, f"{folder}: {sets}")
    cure = (
        "only for real data: name your folder in REPLICATION_DATA, or run `replication data get"
        " cifar10`"
    )
    return Check(
        "data folder",
        False,
        False,
        f"{folder} is not there: {sets}; the embedded data set serves",
        cure,
    )


def _disk(folder: Path) -> Check:
    try:
        free = shutil.disk_usage(_nearest(folder)).free / 1e9
    except OSError as error:  # a link to a disk that is not mounted
        return Check(
            "free disk",
            False,
            True,
            f"{folder}: {error.strerror}",
            "mount it, or name another folder in REPLICATION_RUNS",
        )
    ok = free >= FREE_GB
    cure = (
        ""
        if ok
        else (
            f"free some: {FREE_GB:g} GB are needed; or name a folder on another disk in"
            " REPLICATION_RUNS"
        )
    )
    return Check("free disk", ok, True, f"{free:.1f} GB for {folder}", cure)


def _writable(name: str, folder: Path, variable: str) -> Check:
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)):
            pass
    except OSError as error:
        return Check(
            name,
            False,
            True,
            f"{folder}: {error.strerror}",
            f"give yourself write access, or name another folder in {variable}",
        )
    return Check(name, True, True, str(folder))


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists: where it would be made."""
    return next(place for place in (folder, *folder.parents) if os.path.lexists(place))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _one_line(error: Exception) -> str:
    return str(error).split("\n")[0]
