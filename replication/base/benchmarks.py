"""The modules of ``benchmarks/``, which are in the repository and not in the package."""

import importlib
import sys
from types import ModuleType

from replication.base import paths
from replication.base.errors import InputError


def benchmark(name: str) -> ModuleType:
    """Return a module of ``benchmarks/``. Raises InputError if the package is not in a clone."""
    file = paths.ROOT / "benchmarks" / f"{name}.py"
    if not file.is_file():
        raise InputError(
            f"{file} does not exist; the benchmarks are in the repository: run the command from a"
            " clone (make setup)"
        )
    if str(paths.ROOT) not in sys.path:
        sys.path.insert(0, str(paths.ROOT))  # they import one another as benchmarks.NAME
    return importlib.import_module(f"benchmarks.{name}")
