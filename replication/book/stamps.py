"""What an executed notebook was made from, kept in its metadata as ``replication``.

``notebook``, ``parameters`` and ``code`` are hashes of the source notebook's cells, of its
parameters, and of the modules that it imports, without comments, docstrings and layout. ``results``
has the hash of each experiment's results that the page shows. A page whose stamp is that of now is
not executed again."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import nbformat

from replication.base import paths
from replication.base.errors import InputError
from replication.base.pages import notes_of, page_notes, read_page
from replication.runs.seal import shown_results

PACKAGE = Path(__file__).resolve().parents[1]
DATA = ("*.toml", "*.yaml", "*.csv")  # claims, recipes, the paper's figures; any page may show them


JOBS = "jobs"  # the parameter of training processes at a time


def stamp(source: Path, profile: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return what a page of the notebook ``source`` would be made from now."""
    notebook = nbformat.read(source, as_version=4)
    return {
        "profile": profile,
        "notebook": _hash(repr([(cell.cell_type, cell.source) for cell in notebook.cells])),
        "parameters": _hash(json.dumps(_deciding(notebook, values), sort_keys=True)),
        "code": _code(notebook),
        "results": shown_results(paths.experiment(profile, source.stem)),
    }


def notebook_of(page: Path) -> nbformat.NotebookNode:
    """Return an executed notebook. Raises InputError if it is missing or damaged."""
    return nbformat.v4.to_notebook(read_page(page))


def profile_of(page: Path) -> str:
    """Return the profile at which a page was executed; "" if it does not say so."""
    return page_notes(page).get("profile", "")


def differences(page: Path, now: dict[str, Any]) -> list[str]:
    """Return which parts of ``page``'s stamp are not those of ``now``.

    It is ["page"] if the page is missing or damaged: an execution then writes it anew."""
    try:
        stored = notes_of(read_page(page))
    except InputError:
        return ["page"]
    return [part for part, value in now.items() if stored.get(part) != value]


def _deciding(notebook: nbformat.NotebookNode, values: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that decide what a page shows.

    The number of jobs changes no result, so it is the same for all: that of the published pages,
    whose hashes have it."""
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    lines = [line for cell in cells for line in cell.source.splitlines()]
    declared = any(line.startswith(f"{JOBS}:") for line in lines)
    return values | {JOBS: 2} if declared else values


def _code(notebook: nbformat.NotebookNode) -> str:
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    modules: set[Path] = set()
    waiting = _imported(ast.parse("\n".join(_plain(cell) for cell in cells)))
    while waiting:
        path = waiting.pop()
        if path not in modules:
            modules.add(path)
            waiting |= _module(path)[1] - modules
    data = sorted(path for kind in DATA for path in PACKAGE.rglob(kind))
    lines = [f"{path.relative_to(PACKAGE)} {_module(path)[0]}" for path in sorted(modules)]
    lines += [f"{path.relative_to(PACKAGE)} {_hash(path.read_text('utf-8'))}" for path in data]
    return _hash("\n".join(lines))


def _plain(cell: str) -> str:
    """Return the cell without IPython's own lines, which import nothing."""
    return "\n".join(line for line in cell.splitlines() if not line.startswith(("%", "!")))


@cache
def _module(path: Path) -> tuple[str, set[Path]]:
    """Return the hash of a module's code, and the modules of the package that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            body[0] = ast.Pass()
    return _hash(structure(tree)), _imported(tree)


def structure(node: Any) -> str:
    """Return the nodes of a parsed module as text that is the same in every version of Python.

    ``ast.dump`` is not: versions differ in which empty fields it shows. Here they are left out."""
    if isinstance(node, list):
        return f"[{', '.join(map(structure, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [
        f"{name}={structure(value)}"
        for name, value in ast.iter_fields(node)
        if value not in (None, []) or name == "value"
    ]
    return f"{type(node).__name__}({', '.join(fields)})"


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imported(tree: ast.AST) -> set[Path]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {path for name in names for path in _files(name)}


def _files(module: str) -> list[Path]:
    if module.partition(".")[0] != PACKAGE.name:
        return []
    place = PACKAGE.parent.joinpath(*module.split("."))
    return [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
