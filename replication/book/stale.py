"""Published pages that were not made from the notebooks, parameters and code of now."""

import json

from replication.base import paths
from replication.base.errors import InputError
from replication.book.notebooks import experiments, parameters, source
from replication.book.stamps import differences, stamp
from replication.runs.places import writing_to


def stale_pages() -> dict[str, list[str]]:
    """Return, by page, which parts of its stamp are not those of now. Current pages are left out.

    Results are not compared here: their seals are (``runs.seal``)."""
    found = {}
    for name in experiments():
        page = paths.pages() / f"{name}.ipynb"
        if not page.is_file():
            continue
        notes = json.loads(page.read_text(encoding="utf-8"))["metadata"].get("replication", {})
        profile = notes.get("profile", "laptop")
        try:
            values = parameters(name, profile)
        except InputError:
            found[name] = ["parameters"]
            continue
        with writing_to(""):
            changed = differences(page, stamp(source(name), profile, values))
        if parts := [part for part in changed if part not in ("results", "profile")]:
            found[name] = parts
    return found


def stale_line() -> str:
    """Return the stale pages in one line, or ""."""
    stale = stale_pages()
    if not stale:
        return ""
    parts = sorted({part for parts in stale.values() for part in parts})
    return (
        f"{len(stale)} pages were made from another {' and '.join(parts)} than now"
        f" ({', '.join(sorted(stale))}): run `replication run --profile laptop`"
    )
