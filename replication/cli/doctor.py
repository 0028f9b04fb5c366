"""``replication doctor``: what is missing on this machine, and how to get it.

A failed check is a fault only if the project does not work without the thing that it checks. It
works without data sets, and, except on Linux, without DALI."""

import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from replication.base import machine, paths
from replication.base.text import counted
from replication.book import JUPYTER_BOOK, KERNEL, SOCKET
from replication.cli import folders
from replication.cli.folders import Check
from replication.cli.output import Json, print_json
from replication.runs import seal

PYTHON = (3, 11)  # pyproject.toml, requires-python
OPEN_FILES = 512
SHARED_MEMORY = Path("/dev/shm")  # between a loader's processes and the training process
SHARED_MIB = 256
SET_UP = "run `make setup`, or `pip install -r requirements.lock`"


def doctor(as_json: Json = False) -> None:
    """Check this machine; exit with status 1 if something necessary is missing or wrong."""
    results = checks()
    if as_json:
        print_json([vars(check) for check in results])
    else:
        for check in results:
            state = "ok  " if check.ok else "BAD " if check.needed else "note"
            cure = "" if check.ok or not check.cure else f" -> {check.cure}"
            print(f"{state} {check.name}: {check.found}{cure}")
    if not healthy(results):
        raise typer.Exit(1)


def checks() -> list[Check]:
    """Check everything, in the order in which faults should be corrected; leave no files."""
    return [
        _python(),
        _torch(),
        _device(),
        _dali(),
        _jupyter_book(),
        _papermill(),
        _kernel(),
        _installation(),
        _cpus(),
        _limits(),
        _data(),
        folders.free_disk(paths.runs()),
        folders.file_system(paths.runs()),
        _published(),
        _pages(),
        folders.writable("results folder", paths.results(), "REPLICATION_RESULTS"),
        folders.writable("pages folder", paths.pages(), "REPLICATION_PAGES"),
        folders.writable("runs folder", paths.runs(), "REPLICATION_RUNS"),
    ]


def healthy(results: Iterable[Check]) -> bool:
    """Return whether everything that is needed is present."""
    return all(check.ok or not check.needed for check in results)


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
    return Check(
        "torch", True, True, f"{torch.__version__}, {counted(torch.get_num_threads(), 'thread')}"
    )


def _device() -> Check:
    """Check which device runs use, and what the driver says of a GPU that torch does not use."""
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
            "none: DALI exists for Linux only",
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
    """Check that notebooks run in this environment, not in another kernel of the same name."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    name = f"kernel {KERNEL}"
    try:
        spec = KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel:
        return Check(name, False, True, "not installed", SET_UP)
    except (ValueError, TypeError) as error:
        return Check(name, False, True, f"kernel.json is damaged ({_one_line(error)})", SET_UP)
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


def _installation() -> Check:
    if paths.is_clone():
        return Check("installation", True, True, f"clone in {paths.ROOT}")
    return Check(
        "installation",
        False,
        False,
        f"package in {paths.ROOT}, without notebooks; folders in {paths.home()}",
        "to run experiments, clone the repository and run `make setup` there",
    )


def _cpus() -> Check:
    usable, present = machine.cpus(), os.cpu_count() or 1
    quota = machine.cgroup_quota()
    limit = "" if quota is None else f", a quota of {quota:g}"
    return Check("CPUs", True, True, f"{usable} of {present} usable{limit}; {machine.processor()}")


def _limits() -> Check:
    """Check limits that would end training later with an error that does not name them."""
    faults = []
    if len(tempfile.gettempdir()) > SOCKET:
        faults.append(f"TMPDIR is too long for sockets ({tempfile.gettempdir()}): shorten it")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < OPEN_FILES:
        faults.append(f"only {files} files may be open: run `ulimit -n {OPEN_FILES}`")
    shared = SHARED_MEMORY
    if shared.is_dir() and (free := shutil.disk_usage(shared).free / 2**20) < SHARED_MIB:
        faults.append(f"{shared} has {free:.0f} MiB: give it {SHARED_MIB} (docker --shm-size)")
    found = "; ".join(faults) or f"{files} open files, temporary files in {tempfile.gettempdir()}"
    return Check("limits", not faults, True, found, "raise these limits" if faults else "")


def _published() -> Check:
    differences = seal.published_faults()
    if not differences:
        return Check("published results", True, False, "as sealed")
    restore = (
        "`git checkout results book/experiments`"
        if paths.are_published()
        else "restore them from a copy"
    )
    cure = (
        f"run the command in brackets if there is one; else {restore}"
        ' or, if you changed them on purpose, `replication reseal --because "..."`'
    )
    return Check("published results", False, False, seal.one_line(differences), cure)


def _pages() -> Check:
    from replication.book.stale import stale_line

    line = stale_line() if paths.is_clone() else ""
    found, _, cure = line.partition(": ")
    return Check("pages", not line, False, found or "up to date", cure)


def _data() -> Check:
    from replication.data.sources import catalog

    folder = paths.data()
    found = [
        f"{row['name']} ({row['form']}){_lacking(row)}" for row in catalog.listing() if row["where"]
    ]
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
        f"{folder} {'is not a folder' if folder.exists() else 'does not exist'}: {sets}; the"
        " embedded data set serves",
        cure,
    )


def _lacking(row: dict) -> str:
    missing = [split for split in row["splits"] if split not in row["present"]]
    return f" without {' and '.join(missing)}" if missing and row["form"] != "archive" else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _one_line(error: Exception) -> str:
    return str(error).split("\n")[0]
