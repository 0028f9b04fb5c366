"""One list of dependencies behind three doors: pyproject.toml, requirements.lock and
environment.yml agree, and make sets up from the lock.

The set-up is tried with the real Makefile on interpreters that only pretend, so nothing is
downloaded."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import replication

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
DIRECT = [
    Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
]
MACHINES = [
    {
        "python_version": minor,
        "python_full_version": f"{minor}.9",
        "sys_platform": system,
        "implementation_name": "cpython",
    }
    for minor in ("3.11", "3.12", "3.13")
    for system in ("linux", "darwin")
]


@dataclass
class Pin:
    """One line of the lock: what it asks for, and the packages that it is there for."""

    requirement: Requirement
    via: list[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)


def read_lock() -> list[Pin]:
    lines = [line for line in LOCK.splitlines() if re.match(r"[a-z0-9]", line)]
    parts = [re.fullmatch(r"(.+?)\s+# via (.+)", line) for line in lines]
    return [Pin(Requirement(part[1]), part[2].split(", ")) for part in parts]


PINS = read_lock()


def asked_for(requirement: Requirement, machine: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(machine)


def test_every_pin_is_exact():
    assert len(PINS) > 100
    assert [
        str(pin.requirement)
        for pin in PINS
        if not re.fullmatch(r"==[^*,]+", str(pin.requirement.specifier))
    ] == []


@pytest.mark.parametrize(
    "machine",
    MACHINES,
    ids=lambda machine: f"{machine['sys_platform']}-{machine['python_version']}",
)
def test_the_lock_holds_one_version_of_each_direct_dependency_inside_its_bounds(machine):
    for direct in DIRECT:
        found = [
            pin
            for pin in PINS
            if pin.name == canonicalize_name(direct.name) and asked_for(pin.requirement, machine)
        ]
        assert len(found) == asked_for(direct, machine), direct
        for pin in found:
            (exact,) = pin.requirement.specifier
            assert direct.specifier.contains(exact.version), f"{direct} is locked as {exact}"


def test_the_build_needs_nothing_outside_the_lock():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for text in build:
        needed = Requirement(text)
        (pin,) = [pin for pin in PINS if pin.name == needed.name]
        (exact,) = pin.requirement.specifier
        assert needed.specifier.contains(exact.version)
    # so that pip builds no dependency, which would fetch build tools
    assert "--only-binary :all:" in LOCK.splitlines()


def test_macos_needs_no_cuda_package():
    mac = [machine for machine in MACHINES if machine["sys_platform"] == "darwin"]
    assert [
        pin.name
        for pin in PINS
        if pin.name.startswith("nvidia-") and any(asked_for(pin.requirement, m) for m in mac)
    ] == []


def test_the_lock_leaves_the_cuda_libraries_of_torch_to_torch():
    """They are gigabytes that torch's CPU build does without; only what DALI needs is named."""
    names = {pin.name for pin in PINS} - {"torch"}
    cuda = [pin for pin in PINS if pin.name.startswith(("nvidia-", "cuda-", "triton"))]
    assert "nvidia-dali-cuda130" in [pin.name for pin in cuda]
    assert [
        pin.name
        for pin in cuda
        if not names.union(["replication (pyproject.toml)"]).intersection(pin.via)
    ] == []


def test_conda_takes_only_python_and_pip_and_the_rest_from_the_lock():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    python, pip, by_pip = dependencies
    assert pip == "pip"
    assert by_pip == {"pip": ["-r requirements.lock", "-e ."]}
    name, bounds = python.split(" ", 1)
    assert name == "python"
    assert SpecifierSet(bounds) == SpecifierSet(PROJECT["requires-python"])


def test_jupyter_book_is_below_2_wherever_an_install_names_it():
    (direct,) = [direct for direct in DIRECT if direct.name == "jupyter-book"]
    assert not direct.specifier.contains("2.0.0", prereleases=True)
    prose = [
        ROOT / "README.md",
        ROOT / "Makefile",
        *ROOT.glob("scripts/*"),
        *(ROOT / "book").rglob("*.md"),
    ]
    for path in prose + list((ROOT / "replication").rglob("*.py")):
        for named in re.findall(r"pip install.*?(jupyter-book\S*)", path.read_text()):
            assert "<2" in named, f"{path.name}: {named}"


# DALI's is not installed on macOS, Triton comes with torch's CUDA build alone, pyarrow is an extra
NOT_EVERYWHERE = ("nvidia", "triton", "pyarrow")


def test_every_package_that_the_code_imports_is_a_declared_dependency():
    """What comes only by way of another package can go away with any of its releases."""
    declared = {canonicalize_name(direct.name) for direct in DIRECT}
    owners = packages_distributions()
    for path in [*(ROOT / "replication").rglob("*.py"), *(ROOT / "tests").glob("*.py")]:
        for module in (
            imported(path)
            - sys.stdlib_module_names
            - {"replication", *(test.stem for test in path.parent.glob("*.py"))}
        ):
            by = {canonicalize_name(owner) for owner in owners.get(module, [])}
            assert by & declared or module in NOT_EVERYWHERE, f"{path}: {module}"


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    whole = {
        alias.name.split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    return whole | {
        node.module.split(".")[0]
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }


def test_every_module_imports_without_dali():
    """macOS has none. `replication.__main__` is left out: importing it is running it.

    So are Triton's kernels: the package is imported where they run, and comes with CUDA alone.
    """
    program = (
        "import importlib, pkgutil, sys; sys.modules['nvidia'] = None; import replication\nnames ="
        " [module.name for module in pkgutil.walk_packages(replication.__path__,"
        " 'replication.')]\n"
        "left_out = ('replication.__main__', 'replication.nets.normalisation_triton',"
        " 'replication.nets.dropout_triton', 'replication.training.fused_update')\n"
        "for name in names:\n    if name not in left_out: importlib.import_module(name)\n"
        "print(len(names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_the_commands_that_ci_calls_are_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"help", "reproduce", "test", "book", "clean", "full-clean", "lock", "lint"} <= targets
    for path in (ROOT / ".ci" / "run", ROOT / ".github" / "workflows" / "ci.yml"):
        called = {
            target
            for line in re.findall(r"\bmake ([a-z -]+)", path.read_text())
            for target in line.split()
        }
        assert called and called <= targets, path


def test_the_citation_names_the_version_and_licence_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (
        replication.__version__,
        PROJECT["license"],
    )


FAKE = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
*python_version*) echo 3.12.4 ;;
*ensurepip*) [ "$FAKE" != no-venv ] ;;
*'(3, 11)'*) [ "$FAKE" != old ] ;;
*'version_info[:2]'*) echo 3.12 ;;
*'-m venv'*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && [ "$FAKE" != broken-venv ] ;;
*'-m pip'*) if [ "$FAKE" = no-network ]; then
    echo 'ERROR: No matching distribution found for torch==2.13.0' >&2; exit 1; fi ;;
esac
"""


class Clone:
    """A folder with the project's set-up in it, and a PATH on which every Python is a pretender
    that notes how it is called.
    """

    def __init__(self, base: Path):
        self.folder, self.bin, self.calls = base / "clone with space", base / "bin", base / "calls"
        shutil.copytree(ROOT / "scripts", self.folder / "scripts")
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder)
        self.bin.mkdir()
        for name in ("python3", "python3.13", "python3.12", "python3.11"):
            self.command(name, FAKE)

    def command(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def setup(self, fake: str = "", *words: str) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "CALLS": str(self.calls),
            "FAKE": fake,
            "HOME": str(self.folder),
        }
        return subprocess.run(
            ["make", "setup", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def installs(self) -> list[str]:
        return [
            call
            for call in self.calls.read_text().splitlines()
            if call.startswith("-m pip install")
        ]

    def ready(self) -> bool:
        return (self.folder / ".venv" / ".ready").exists()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a set-up that failed; what make itself adds is left out."""
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert line.startswith("setup: ")
    return line


def test_make_installs_from_the_lock_and_then_the_project_without_fetching_build_tools(clone):
    done = clone.setup()
    assert done.returncode == 0, done.stderr
    from_lock, project = clone.installs()
    assert from_lock.endswith("--requirement requirements.lock")
    assert "--no-deps --no-build-isolation --editable ." in project
    assert clone.ready()


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_setup_is_done_again_only_when_the_lock_or_the_bounds_change(clone, changed):
    clone.setup()
    clone.setup()
    assert clone.installs() == []
    later = (clone.folder / ".venv" / ".ready").stat().st_mtime + 10
    os.utime(clone.folder / changed, (later, later))
    clone.setup()
    assert len(clone.installs()) == 2
    assert "-m venv" not in clone.calls.read_text()


@pytest.mark.parametrize("relocate", [shutil.move, shutil.copytree])
def test_a_clone_that_was_renamed_or_copied_gets_an_environment_of_its_own(clone, relocate):
    """The commands of a moved one do not start; those of a copy run the code of the original."""
    clone.setup()
    there = clone.folder.with_name("renamed")
    relocate(clone.folder, there)
    clone.folder = there
    clone.setup()
    assert "-m venv" in clone.calls.read_text() and len(clone.installs()) == 2
    clone.setup()
    assert clone.installs() == []


def test_an_environment_without_a_recorded_folder_is_kept(clone):
    clone.setup()
    (clone.folder / ".venv" / ".ready").write_text("")
    clone.setup()
    assert clone.installs() == []


def test_an_old_python_is_refused_with_what_to_do(clone):
    line = complaint(clone.setup("old"))
    assert "3.11 or newer" in line and "PYTHON=" in line
    assert not (clone.folder / ".venv").exists()


def test_a_named_python_that_is_old_or_missing_is_refused_by_name(clone):
    assert f"PYTHON={clone.bin / 'python3'} is Python 3.12.4" in complaint(
        clone.setup("old", f"PYTHON={clone.bin / 'python3'}")
    )
    assert "PYTHON=/no/such/python is Python not found" in complaint(
        clone.setup("", "PYTHON=/no/such/python")
    )


def test_a_newer_python_beside_an_old_python3_is_taken(clone):
    clone.command("python3", "#!/bin/sh\nexit 1\n")
    assert clone.setup().returncode == 0


def test_a_python_without_its_venv_module_is_refused_with_the_package_to_install(clone):
    assert "apt install python3.12-venv" in complaint(clone.setup("no-venv"))
    assert not (clone.folder / ".venv").exists()


def test_a_full_disk_is_refused_before_anything_is_written(clone):
    clone.command(
        "df",
        "#!/bin/sh\necho Filesystem 1024-blocks Used Available Capacity\necho /dev/x 9000000"
        " 8000000 1024000 90% /\n",
    )
    assert "only 1000 MB free" in complaint(clone.setup())
    assert not (clone.folder / ".venv").exists()


def test_a_venv_that_cannot_be_created_leaves_nothing(clone):
    assert "-m venv failed" in complaint(clone.setup("broken-venv"))
    assert not (clone.folder / ".venv").exists()


def test_a_failed_install_is_not_ready_and_resumes_next_time(clone):
    line = complaint(clone.setup("no-network"))
    assert "No matching distribution found for torch==2.13.0" in line and "setup.log" in line
    assert not clone.ready()
    assert clone.setup().returncode == 0
    assert clone.ready()
    assert "-m venv" not in clone.calls.read_text()
