"""The steps of CONTRIBUTING.md, followed to the letter, add an experiment that runs."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pandas as pd

from replication.base import paths


def _code_blocks(language: str) -> list[str]:
    text = (paths.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Add an experiment")[1].split("\n## ")[0]
    blocks = re.findall(rf"   ```{language}\n(.*?)   ```", section, flags=re.DOTALL)
    return [textwrap.dedent(block) for block in blocks]


def _write_notebook(cells: str, file: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        }
    )
    for tags, source in re.findall(r"# %%(.*)\n((?:(?!# %%).*\n)+)", cells):
        metadata = {"tags": tags.split()} if tags.strip() else {}
        notebook.cells.append(nbformat.v4.new_code_cell(source.strip(), metadata=metadata))
    file.parent.mkdir()
    nbformat.write(notebook, file)


def test_the_steps_of_contributing_add_an_experiment(tmp_path: Path) -> None:
    module, entry, cells = _code_blocks("python")
    (parameters,) = _code_blocks("yaml")
    package = tmp_path / "replication"
    shutil.copytree(
        paths.ROOT / "replication", package, ignore=shutil.ignore_patterns("__pycache__")
    )
    (package / "experiments" / "toy.py").write_text(module, encoding="utf-8")
    listed = package / "experiments" / "__init__.py"
    text = listed.read_text(encoding="utf-8")
    end = text.rindex(")")
    line = f"    {entry.strip()},\n"
    listed.write_text(text[:end] + line + text[end:], encoding="utf-8")
    _write_notebook(cells, tmp_path / "notebooks" / "toy.ipynb")
    (tmp_path / "params" / "quick").mkdir(parents=True)
    (tmp_path / "params" / "quick" / "toy.yaml").write_text(parameters, encoding="utf-8")
    folders = {
        "PYTHONPATH": str(tmp_path),
        "REPLICATION_RESULTS": str(tmp_path / "results"),
        "REPLICATION_RUNS": str(tmp_path / "runs"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "replication", "run", "toy", "--profile", "quick"],
        cwd=tmp_path,
        env=os.environ | folders,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    stored = tmp_path / "results" / "quick" / "toy"
    assert len(pd.read_csv(stored / "table.csv")) == 1
    assert (stored / "measurements.json").is_file() and (stored / "toy.ipynb").is_file()
