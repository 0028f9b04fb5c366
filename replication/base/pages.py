"""Executed notebooks as files. A merge by git or a full disk may have damaged one."""

import json
from pathlib import Path
from typing import Any

from replication.base.errors import InputError

NOTES = "replication"  # the entry of a page's metadata that says what it was made from


def read_page(page: Path) -> dict[str, Any]:
    """Return an executed notebook. Raises InputError if it is missing or damaged."""
    try:
        document = json.loads(page.read_text(encoding="utf-8"))
    except FileNotFoundError:
        reason = "it does not exist"
    except ValueError as error:
        reason = " ".join(str(error).split())[:80]
    else:
        if _is_notebook(document):
            return document
        reason = "it has no cells or no metadata"
    raise InputError(f"{page} is no notebook ({reason}); restore it with `git checkout {page}`")


def notes_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the notes in a page's metadata; {} if it has none."""
    notes = document["metadata"].get(NOTES)
    return notes if isinstance(notes, dict) else {}


def page_notes(page: Path) -> dict[str, Any]:
    """Return the notes of a page; {} if it has none, is missing or is damaged."""
    try:
        return notes_of(read_page(page))
    except InputError:
        return {}


def _is_notebook(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and isinstance(document.get("metadata"), dict)
        and isinstance(document.get("cells"), list)
        and all(isinstance(cell, dict) for cell in document["cells"])
    )
