"""The package's rooms: a module imports only from its own room and from the rooms below it."""

import ast
from pathlib import Path

from replication.base import paths

# from the top down, as in the README's map
ROOMS = (
    ("__main__", "lease"),
    ("cli",),
    ("book",),
    ("experiments",),
    ("ledger",),
    ("runs",),
    ("figures",),
    ("evaluation", "analysis"),
    ("training",),
    ("nets",),
    ("data",),
    ("recipes",),
    ("recipe",),
    ("paper",),
    ("base",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def _imports(file: Path) -> set[str]:
    """Return the rooms that a file imports from, at any depth of its code."""
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "replication":
                names = [f"replication.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("replication.")}
    return rooms & FLOOR.keys()


def test_a_room_imports_only_from_the_rooms_below_it() -> None:
    package = paths.ROOT / "replication"
    upward = []
    for file in sorted(package.rglob("*.py")):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        assert room in FLOOR, f"{file}: no room of the map is called {room}"
        upward += [
            f"{file.relative_to(package)} imports {other}"
            for other in sorted(_imports(file))
            if other != room and FLOOR[other] <= FLOOR[room]
        ]
    assert upward == []


def test_no_assert_statement_carries_a_check() -> None:
    """Python drops them with PYTHONOPTIMIZE=1; ``base.errors.check`` stays."""
    found = [
        f"{path.relative_to(paths.ROOT)}:{node.lineno}"
        for path in sorted((paths.ROOT / "replication").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert found == []
