"""What tests of compiled code need: a C++ compiler for a CPU's, Triton for a GPU's."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

needs_compiler = pytest.mark.skipif(
    sys.platform != "linux"
    or not any(map(shutil.which, ("g++", "clang++")))
    or not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="torch.compile cannot compile here",
)
# It comes with torch's CUDA build; beside a build for CPUs it can be installed by itself.
needs_triton = pytest.mark.skipif(not find_spec("triton"), reason="Triton is not installed")


def interpreted(program: str, **environment: str) -> None:
    """Run a program in which Triton's kernels are interpreted on the CPU."""
    run(program, TRITON_INTERPRET="1", **environment)


def run(program: str, **environment: str) -> None:
    """Run a program in a process of its own, with this one's paths; it must end without error."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
