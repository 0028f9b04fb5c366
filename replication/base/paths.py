"""Every folder the package reads or writes, and nothing that depends on the working directory.

Environment variables move them: ``REPLICATION_DATA`` (data sets, only read, except by ``data
get``), ``REPLICATION_RESULTS`` (small text facts of each run) and ``REPLICATION_RUNS``
(checkpoints, weights, prepared arrays). A fourth, ``REPLICATION_PAGES``, keeps the executed
notebooks of a machine that is lent out of the book."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PARAMS = ROOT / "params"
BOOK = ROOT / "book"


def _folder(variable: str, default: Path) -> Path:
    named = os.environ.get(variable)
    return Path(named).expanduser().resolve() if named else default


def data() -> Path:
    """Where data sets are looked for. Default ``data/`` of the project, ignored by git."""
    return _folder("REPLICATION_DATA", ROOT / "data")


def pages() -> Path:
    """Where executed notebooks of the published profiles go. Default ``book/experiments/`` of the
    project.
    """
    return _folder("REPLICATION_PAGES", BOOK / "experiments")


def results() -> Path:
    """Where results are written and read. Default ``results/`` of the project."""
    return _folder("REPLICATION_RESULTS", ROOT / "results")


def runs() -> Path:
    """Where checkpoints, prepared arrays and the embedded data set are kept. Default ``runs/`` of
    the project.
    """
    return _folder("REPLICATION_RUNS", ROOT / "runs")
