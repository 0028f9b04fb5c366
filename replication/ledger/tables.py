"""The ledger as HTML, for the claims chapter, a section's rows, and an experiment's page.

No script. Every text is escaped. On a narrow screen each row becomes a short card."""

import html
import re
from collections.abc import Sequence

from replication.base import paths
from replication.base.text import counted
from replication.ledger.chips import (
    STYLE,
    Cells,
    chip,
    code_html,
    filters,
    group_rules,
    prose_html,
    row_attributes,
    signs,
    slug,
    table_html,
)
from replication.ledger.record import Measurement
from replication.ledger.rules import detectable_text, judge
from replication.ledger.targets import targets_html
from replication.ledger.text import (
    could_fail_text,
    counts_text,
    images_text,
    kinds_text,
    ours_text,
    over_images_text,
    rows_table,
)
from replication.ledger.units import number, numbers
from replication.ledger.verdicts import Row, by_number, counts
from replication.paper import KINDS, Change, paper_scale, rule_changes
from replication.paper import claim as find_claim

__all__ = [
    "anchor",
    "chapters",
    "counts_html",
    "counts_text",
    "kinds_text",
    "ledger_html",
    "missing_html",
    "number",
    "numbers",
    "ours_text",
    "rows_html",
    "rows_table",
    "targets_html",
    "verdicts_html",
]
HEAD = ("claim", "paper", "ours", "verdict")
SECTIONS = {  # the paper's sections, as its headings have them
    "abstract": "Abstract",
    "1": "1 Introduction",
    "3": "3 The architecture",
    "3.1": "3.1 ReLU nonlinearity",
    "3.2": "3.2 Training on multiple GPUs",
    "3.3": "3.3 Local response normalization",
    "3.4": "3.4 Overlapping pooling",
    "3.5": "3.5 Overall architecture",
    "4.1": "4.1 Data augmentation",
    "4.2": "4.2 Dropout",
    "5": "5 Details of learning",
    "6": "6 Results",
    "6.1": "6.1 Qualitative evaluations",
}
FIGURES = {"fig. 1": "3.1", "fig. 2": "3.5"}  # the section that a figure belongs to


def counts_html(rows: list[Row]) -> str:
    """Return counts by verdict (rows) and kind (columns), and how many rows could have failed."""
    body: list[Cells] = []
    number_of = counts(rows)
    for word, total in number_of.items():
        if not total:
            continue
        cells = [sum(row.verdict == word and row.kind == kind for row in rows) for kind in KINDS]
        labelled = [
            (meaning, str(cell or "")) for meaning, cell in zip(KINDS.values(), cells, strict=True)
        ]
        body.append([(None, chip(word)), *labelled, ("all", str(total))])
    possible = [sum(row.could_fail and row.kind == kind for row in rows) for kind in KINDS]
    labelled = [
        (meaning, str(cell or "")) for meaning, cell in zip(KINDS.values(), possible, strict=True)
    ]
    body.append([(None, "could have failed"), *labelled, ("all", str(sum(possible)))])
    table = table_html(["verdict", *KINDS.values(), "all"], [("", row) for row in body])
    absent = ", ".join(word for word, total in number_of.items() if not total)
    none = f"<p>Verdicts that no claim has: {html.escape(absent)}.</p>" if absent else ""
    return f"{STYLE}\n{table}{none}<p>{html.escape(could_fail_text(rows))}.</p>"


def ledger_html(rows: list[Row]) -> str:
    """Return the whole ledger: filters, the scales named once, and the rows by section."""
    scales, published = _scales(rows), chapters()
    groups: dict[str, list[Row]] = {section: [] for section in SECTIONS}
    for row in rows:
        groups[_section(row.section)].append(row)
    present = {
        section: {(slug(row.verdict), row.kind) for row in members}
        for section, members in groups.items()
    }
    parts = [filters(counts(rows)), group_rules(present), _rule_list(), _scale_list(scales)]
    for section, members in groups.items():
        if not members:
            continue
        table = table_html(HEAD, _body(members, scales, published, anchored=True))
        many = f"{counted(len(members), 'claim')}: {signs(counts(members))}"
        parts.append(
            f'<details class="ledger-group" data-group="{section}" open>'
            f"<summary>{html.escape(SECTIONS[section])}"
            f' <span class="count">({many})</span></summary>{table}</details>'
        )
    return f'{STYLE}\n<div class="ledger-page">{"".join(parts)}</div>'


def rows_html(rows: list[Row]) -> str:
    """Return some rows of the ledger as one table, each with its other variants beneath it."""
    scales = _scales(rows)
    return f"{STYLE}\n{table_html(HEAD, _body(rows, scales, chapters()))}{_scale_list(scales)}"


def verdicts_html(
    measurements: Sequence[Measurement], nothing: str = "Not run: nothing was measured."
) -> str:
    """Return what one chapter measured, one row per measurement; a claim is stated once.

    The verdict is the ledger's, and so is the order: the number that the claim is judged by comes
    first. ``nothing``: the line shown if there are no measurements."""
    if not measurements:
        return f"<p>{html.escape(nothing)}</p>"
    measurements = in_ledger_order(measurements)
    scales = _letters(measurements)
    body: list[tuple[str, Cells]] = []
    before = None
    for measurement in measurements:
        claim = find_claim(measurement.claim)
        word, reason = judge(claim, measurement)
        first = before is None or before.claim != measurement.claim
        before = measurement
        name = f'<span class="id">{html.escape(claim.id)}</span>'
        about = f"{name}{_statement(claim.statement, claim.section, claim.kind)}"
        more = _more(
            {"2012 log or source": claim.log2012 if first else "", "why": reason},
            measurement,
            claim.changes if first else (),
        )
        body.append(
            (
                row_attributes(word, claim.kind),
                [
                    (None, about if first else _variant(measurement)),
                    ("paper", html.escape(claim.paper) if first else ""),
                    ("ours", _ours(measurement, scales, named=first)),
                    (None, chip(word) + more),
                ],
            )
        )
    banner = ""
    if any(measurement.synthetic and measurement.values for measurement in measurements):
        banner = (
            "<p><strong>A trial on synthetic images.</strong> It shows that the code works, and"
            " says nothing about the paper.</p>"
        )
    return f"{STYLE}\n{banner}{table_html(HEAD, body)}{_scale_list(scales)}"


def in_ledger_order(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Return measurements by claim, in their order, with each claim's primary variant first."""
    claims = list(dict.fromkeys(one.claim for one in measurements))

    def place(one: Measurement) -> tuple[int, bool, list[tuple[int, str]]]:
        primary = find_claim(one.claim).variant_at(one.profile)
        return claims.index(one.claim), one.variant != primary, by_number(one.variant)

    return sorted(measurements, key=place)


def missing_html(rows: list[Row]) -> str:
    """Return what each row that is ``not run`` needs.

    Rows that are quoted by design come last.
    """
    waiting = sorted(
        (row for row in rows if row.verdict == "not run"), key=lambda row: not row.command
    )
    body: list[tuple[str, Cells]] = [
        (
            "",
            [
                (None, f'<span class="id">{html.escape(row.id)}</span>'),
                (None, prose_html(row.reason)),
                ("command", code_html(html.escape(row.command)) if row.command else ""),
            ],
        )
        for row in waiting
    ]
    return table_html(["claim", "why it was not run", "command that would run it"], body)


def chapters() -> set[str]:
    """Return the experiments that have a chapter in the book's table of contents."""
    contents = (paths.BOOK / "_toc.yml").read_text(encoding="utf-8")
    return set(re.findall(r"^ *- file: experiments/(\w+) *$", contents, flags=re.MULTILINE))


def anchor(claim: str) -> str:
    """Return the id of a claim's row in the whole ledger."""
    return f"claim-{claim}"


def _body(
    rows: Sequence[Row], scales: dict[str, str], published: set[str], anchored: bool = False
) -> list[tuple[str, Cells]]:
    """Return the rows; ``anchored``: each claim's first one has an id, which a page may have once.

    Rows of a chapter have none, because another table of the page can show the same claim."""
    body: list[tuple[str, Cells]] = []
    for row in rows:
        about = _link(row.id, row.experiment, published)
        about += _statement(row.claim, row.section, row.kind)
        if row.quantity:
            about += f'<span class="small quantity">Measured: {html.escape(row.quantity)}.</span>'
        facts = {"statement": row.claim, "2012 log or source": row.log2012, "why": row.reason}
        if scale := find_claim(row.id).scale_of(row.ours.variant if row.ours else None):
            facts["the paper's own scale"] = paper_scale(scale).meaning
        if row.effect is not None and row.effect.shortfalls:
            facts["not at the paper's scale"] = "; ".join(row.effect.shortfalls)
        more = _more(facts, row.ours, row.changes)
        attributes = row_attributes(row.verdict, row.kind)
        named = f' id="{html.escape(anchor(row.id))}"' if anchored else ""
        body.append((attributes + named, _cells(row, about, more, scales)))
        for other in row.others:
            more = _more({"why": other.reason}, other.ours, ())
            cells = [
                (None, _variant(other.ours)),
                (None, ""),
                ("ours", _ours(other.ours, scales, named=False)),
                (None, chip(other.verdict) + more),
            ]
            body.append((attributes, cells))
    return body


def _cells(row: Row, about: str, more: str, scales: dict[str, str]) -> Cells:
    return [
        (None, about),
        ("paper", html.escape(row.paper)),
        ("ours", _ours(row.ours, scales)),
        (None, chip(row.verdict) + more),
    ]


def _variant(measurement: Measurement) -> str:
    """Return the name of another number of the claim in the row above."""
    return f'<span class="variant">{html.escape(measurement.variant)}</span>'


def _section(text: str) -> str:
    first = text.split(",")[0].strip()
    return FIGURES.get(first, first)


def _statement(statement: str, section: str, kind: str) -> str:
    place = section if section.startswith(("abstract", "fig.")) else f"section {section}"
    return (
        f'<span class="statement"> {html.escape(statement)}</span>'
        f'<span class="small">{html.escape(place)}, {KINDS[kind]}</span>'
    )


def _scales(rows: Sequence[Row]) -> dict[str, str]:
    return _letters(
        [one for row in rows for one in (row.ours, *(other.ours for other in row.others)) if one]
    )


def _letters(measurements: Sequence[Measurement]) -> dict[str, str]:
    """Return a number for every scale, so that each scale is written in full only once."""
    texts = dict.fromkeys(_scale_text(one) for one in measurements if one.values)
    return {text: str(place) for place, text in enumerate(texts, start=1)}


def _scale_text(measurement: Measurement) -> str:
    return f"{measurement.profile}: {measurement.scale}"


def _scale_list(scales: dict[str, str]) -> str:
    items = "".join(f"<li>{html.escape(text)}</li>" for text in scales)
    return f'<details class="scales"><summary>Scales</summary><ol>{items}</ol></details>' * bool(
        scales
    )


def _rule_list() -> str:
    items = "".join(f"<li>{prose_html(_change_text(change))}</li>" for change in rule_changes())
    return f"<details><summary>Changes to the rules of all rows</summary><ul>{items}</ul></details>"


def _ours(measurement: Measurement | None, scales: dict[str, str], named: bool = True) -> str:
    """Return our number with its scale, and with its variant if ``named``."""
    if measurement is None:
        return ""
    notes = list(filter(None, [images_text(measurement), measurement.variant if named else ""]))
    if measurement.values:
        notes.append(f"scale {scales[_scale_text(measurement)]}")
    small = f'<span class="small">{html.escape(", ".join(notes))}</span>' if notes else ""
    # the number of seeds stays with its sign
    text = html.escape(ours_text(measurement)).replace(" = ", "&nbsp;=&nbsp;")
    return f"{text}{small}"


def _more(facts: dict[str, str], measurement: Measurement | None, changes: Sequence[Change]) -> str:
    """Return the further facts of a row, folded; "" if there are none."""
    items = list(facts.items())
    if measurement is not None and measurement.values:
        items.append(
            ("smallest effect that would be found four times in five", detectable_text(measurement))
        )
        items.append(("interval over seeds and images", over_images_text(measurement)))
    items += [("changed", _change_text(change)) for change in changes]
    items = [(name, text) for name, text in items if text]
    if not items:
        return ""
    body = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{prose_html(text)}</dd>" for name, text in items
    )
    note = f", {counted(len(changes), 'change')} of the row" if changes else ""
    return f'<details class="more"><summary>why{note}</summary><dl>{body}</dl></details>'


def _change_text(change: Change) -> str:
    seen = "after results had been seen" if change.seen else "before any result"
    return f"{change.date:%d %B %Y}, {seen}: {change.what} {change.why}"


def _link(name: str, experiment: str, published: set[str]) -> str:
    text = f'<span class="id">{html.escape(name)}</span>'
    return (
        f'<a href="{html.escape(experiment)}.html">{text}</a>' if experiment in published else text
    )
