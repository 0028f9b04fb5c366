"""The ledger's rows as the book shows them, and which pages have to follow when they change."""

from functools import lru_cache
from pathlib import Path

from sphinx.environment import BuildEnvironment

from replication.base import paths
from replication.ledger.measurement import FILE
from replication.ledger.verdicts import Row, ledger
from replication.paper import HERE


def rows() -> dict[str, Row]:
    """Return the ledger's rows by id, read again only when a file of it has changed."""
    return _rows(tuple((file, file.stat().st_mtime_ns) for file in _files()))


def note_results(env: BuildEnvironment) -> None:
    """Let a page be built again when the claims or the results change."""
    for file in _files():
        env.note_dependency(str(file))


def _files() -> list[Path]:
    return [HERE / "claims.toml", *sorted(paths.results().glob(f"*/*/{FILE}"))]


@lru_cache(maxsize=4)
def _rows(_stamp: object) -> dict[str, Row]:
    return {row.id: row for row in ledger()}
