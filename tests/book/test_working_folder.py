"""Notebooks find the project wherever they are opened: in Jupyter, in VS Code, from any folder."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from replication.base import paths
from replication.book import KERNEL

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
RELATIVE = re.compile(r"""(?:open|Path|read_\w+|load|savefig)\(\s*["'](?!/)""")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_cell_names_a_file_by_a_relative_path(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    found = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert [source for source in found if RELATIVE.search(source)] == []


def test_a_notebook_runs_in_another_working_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    notebook = nbformat.read(paths.NOTEBOOKS / "claims.ipynb", as_version=4)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    resources = {"metadata": {"path": str(elsewhere)}}
    NotebookClient(notebook, kernel_name=KERNEL, timeout=250, resources=resources).execute()
    assert list(elsewhere.iterdir()) == []
