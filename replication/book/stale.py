"""Published pages that are out of date with the notebooks, parameters or code."""

from collections.abc import Iterable
from pathlib import Path

from replication.base import paths
from replication.base.errors import InputError
from replication.base.text import counted
from replication.book.notebooks import experiments, parameters, source
from replication.book.stamps import differences, profile_of, stamp
from replication.runs.places import writing_to


def stale_pages() -> dict[str, list[str]]:
    """Return, by page, which parts of its stamp are out of date. Current pages are left out.

    Results are not compared here: their seals are (``runs.seal``), which name damaged pages too."""
    found = {}
    for name in experiments():
        page = paths.pages() / f"{name}.ipynb"
        if differences(page, {}):  # missing or damaged
            continue
        profile = _profile(page)
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
    verb = "is older than its" if len(stale) == 1 else "are older than their"
    return (
        f"{counted(len(stale), 'page')} {verb} {' or '.join(parts)}: run"
        f" {' and '.join(f'`{command}`' for command in _commands(stale))}"
    )


def _commands(names: Iterable[str]) -> list[str]:
    """Return the commands that execute pages again, each at the page's own profile."""
    by_profile: dict[str, list[str]] = {}
    for name in sorted(names):
        by_profile.setdefault(_profile(paths.pages() / f"{name}.ipynb"), []).append(name)
    return [
        f"replication run {' '.join(names)} --profile {profile}"
        for profile, names in sorted(by_profile.items())
    ]


def _profile(page: Path) -> str:
    return profile_of(page) or "laptop"
