"""The page of the deviations: each entry of ``paper/deviations.toml`` with its measured effect.

Nothing is measured here. An effect is read from the tables of other experiments at the largest
published scale that has it (at ``quick`` from the trial runs), or is a claim of the ledger; so it
cannot be stale. One that has a place and no value is "not measured yet"."""

import html
from collections import Counter
from functools import cache
from typing import NamedTuple

import pandas as pd

from replication.base import paths
from replication.base.errors import InputError, check
from replication.base.types import Profile
from replication.ledger import verdicts as ledger
from replication.ledger.rules import MIN_SEEDS
from replication.ledger.tables import chapters, ours_text
from replication.ledger.units import number, numbers
from replication.paper import claim as find_claim
from replication.paper.deviations import PARTS, Deviation, Effect, Part, deviations

NOT_MEASURED, NOT_YET = "not measured", "not measured yet"
KINDS = {"source": "the paper against its own source", "ours": "the paper against this project"}


class Found(NamedTuple):
    """A measured effect as text, with the scale at which it was measured."""

    text: str
    profile: str


def effect(wanted: Effect, profile: Profile) -> Found | None:
    """Return the effect as it was measured, or None.

    Raises InputError if a table lacks the row or the column."""
    return _claim(wanted, profile) if wanted.claim else _cell(wanted, profile)


def _claim(wanted: Effect, profile: Profile) -> Found | None:
    row = next(row for row in ledger.chapter_rows(profile) if row.id == wanted.claim)
    measured = [row.ours, *(other.ours for other in row.others)]
    ours = next(
        (one for one in measured if one is not None and one.variant == wanted.variant), None
    )
    return None if ours is None else Found(f"{ours.quantity}: {ours_text(ours)}", ours.profile)


def _cell(wanted: Effect, profile: Profile) -> Found | None:
    for scale in ledger.scales(profile):
        path = paths.results() / scale / wanted.experiment / wanted.file
        if not path.is_file():
            continue
        table = pd.read_csv(path)
        columns = {*wanted.row, wanted.column, wanted.low, wanted.high, wanted.seeds} - {""}
        if missing := columns - set(table.columns):
            raise InputError(
                f"{path} has no column {sorted(missing)[0]!r}, which deviations.toml names; make"
                " one of them follow the other"
            )
        rows = table[(table[list(wanted.row)].astype(str) == pd.Series(wanted.row)).all(axis=1)]
        if len(rows) != 1:
            raise InputError(
                f"{path} has {len(rows)} rows with {wanted.row}, which deviations.toml names,"
                " instead of one"
            )
        if pd.notna(rows[wanted.column].iloc[0]):
            return Found(f"{wanted.quantity}: {_value(wanted, rows.iloc[0], scale)}", scale)
    return None


def _value(wanted: Effect, row: pd.Series, profile: str) -> str:
    """Return the number with its unit, and with interval and seeds where the table has them."""
    mean, unit = float(row[wanted.column]), f" {wanted.unit}" if wanted.unit else ""
    if not wanted.seeds:
        return f"{number(mean)}{unit}"
    seeds = f"n = {row[wanted.seeds]}"
    if row[wanted.seeds] < MIN_SEEDS[profile]:
        seeds += ", too few for a verdict"
    if pd.isna(row[wanted.low]):
        return f"{number(mean)}{unit}, {seeds}"
    middle, low, high = numbers(mean, float(row[wanted.low]), float(row[wanted.high]))
    return f"{middle} [{low}, {high}]{unit}, {seeds}"


def effects_text(one: Deviation, profile: Profile) -> str:
    """Return the effects of a deviation with their scale, those that are not measured yet named.

    "not measured" for a deviation without an effect to measure.
    """
    texts = []
    for wanted in one.measured:
        found = effect(wanted, profile)
        name = wanted.quantity or wanted.claim
        texts.append(f"{found.text} ({found.profile})" if found else f"{name}: {NOT_YET}")
    return "; ".join(texts) or NOT_MEASURED


def counts_text() -> str:
    """Return how many deviations there are, by kind and by part."""
    kinds, parts = (
        Counter(getattr(one, name) for one in deviations()) for name in ("kind", "part")
    )
    lines = [f"{count:3} {KINDS[kind]}" for kind, count in kinds.items()]
    lines += [f"{parts[part]:3} {title.lower()}" for part, title in PARTS.items()]
    return "\n".join([f"{len(deviations())} deviations", *lines])


def part_html(part: Part, profile: Profile) -> str:
    """Return the deviations of one part as entries with anchors, small enough for a phone."""
    return "\n".join(_entry(one, profile) for one in deviations() if one.part == part)


def _entry(one: Deviation, profile: Profile) -> str:
    lines = [
        ("paper", html.escape(one.paper)),
        ("its source", html.escape(one.source)),
        ("here", html.escape(one.here)),
        ("why", html.escape(one.why)),
        ("section", html.escape(one.section)),
        ("read in", f"<code>{html.escape(one.file)}</code>" if one.file else ""),
        ("recipe option", f"<code>{html.escape(one.switch)}</code>" if one.switch else ""),
        ("effect", html.escape(effects_text(one, profile))),
        ("pages concerned", ", ".join(_link(page) for page in one.pages)),
    ]
    body = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in lines if text)
    label = KINDS[one.kind]
    return (
        '<div class="deviation"'
        f' id="deviation-{one.id}"><p><strong>{html.escape(one.what)}</strong> <span'
        f' class="small">{label}</span></p><dl>{body}</dl></div>'
    )


@cache
def _published() -> set[str]:
    return chapters()


def _link(page: str) -> str:
    return f'<a href="{page}.html">{page}</a>' if page in _published() else page


def checks(profile: Profile) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    named = {
        wanted.experiment or find_claim(wanted.claim).experiment or ""
        for one in deviations()
        for wanted in one.measured
    }
    found = sum(any(effect(wanted, profile) for wanted in one.measured) for one in deviations())
    check(all(one.why and one.here for one in deviations()), "a deviation without a reason")
    return "\n".join(
        [
            f"effects are read from the pages: {', '.join(sorted(named))}",
            f"entries with a measured effect: {found} of {len(deviations())}",
            f"entries with a recipe option: {sum(bool(one.switch) for one in deviations())}",
        ]
    )
