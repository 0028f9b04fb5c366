"""The ledger for the eye: as a table for the terminal, and as HTML for the claims chapter.

The HTML carries no script. It takes its colours from the page (the book's theme or Jupyter's), so
it follows the dark mode, and on a narrow screen each row becomes a card. Every text is escaped."""

import html
import io
import re
import shutil
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from replication.base import paths
from replication.ledger.measurement import Measurement
from replication.ledger.verdicts import Row, counts, judge, range_text
from replication.paper import KINDS, claims
from replication.paper import claim as find_claim

STYLE = """<style>
.ledger { border-collapse: collapse; width: 100%; font-size: 0.85rem;
  color: inherit; background: transparent; }
.ledger th, .ledger td { text-align: left; vertical-align: top; padding: 0.4em 0.6em;
  white-space: normal;
  border-bottom: 1px solid rgba(128, 128, 128, 0.4); color: inherit; background: transparent; }
.ledger td[data-label="ours"] { min-width: 14em; }
.ledger td:last-child { min-width: 10em; }
.ledger .id { font-weight: 600; white-space: nowrap; }
.ledger .small { display: block; font-size: 0.9em; opacity: 0.8; }
.ledger .verdict { font-weight: 600; }
.ledger code { font-size: 0.95em; overflow-wrap: anywhere; white-space: normal; }
@media (max-width: 45rem) {
  .ledger thead { display: none; }
  .ledger, .ledger tbody, .ledger tr, .ledger td { display: block; width: 100%;
    box-sizing: border-box; }
  .ledger tr { padding: 0.5em 0; border-bottom: 2px solid rgba(128, 128, 128, 0.6); }
  .ledger td { border: 0; padding: 0.1em 0.2em; min-width: 0 !important; }
  .ledger td:empty { display: none; }
  .ledger td[data-label]:not(:empty)::before { content: attr(data-label) ": "; font-weight: 600;
    opacity: 0.8; }
}
</style>"""


def number(value: float) -> str:
    """A number with three significant digits, whole from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def ours_text(measurement: Measurement | None) -> str:
    """What we found: the mean with its interval and the number of seeds, or the value of a check.
    "" where nothing was measured.
    """
    if measurement is None:
        return ""
    unit = f" {measurement.unit}" if measurement.unit else ""
    if measurement.mean is None:
        value = measurement.value
        return f"{value if isinstance(value, str) else format(value, ',.10g')}{unit}"
    prefix = {"lower": "at least ", "upper": "at most ", None: ""}[measurement.bound]
    interval = (
        ""
        if measurement.low is None
        else f" [{number(measurement.low)}, {number(measurement.high)}]"
    )
    return f"{prefix}{number(measurement.mean)}{interval}{unit}, n = {measurement.n}"


def rows_table(rows: list[Row], width: int | None = None) -> str:
    """The ledger as a table for a terminal of ``width`` columns (None: this terminal's), with the
    counts by verdict under it.
    """
    width = width or max(80, shutil.get_terminal_size((120, 24)).columns)
    table = Table(
        title="paper | 2012 log | ours (mean, 95% interval, seeds) | verdict",
        title_justify="left",
        show_lines=False,
    )
    table.add_column("claim", no_wrap=True)
    for name in ("paper", "2012 log", "ours", "scale", "verdict"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.id, row.paper, row.log2012, *_ours_cells(row.ours), row.verdict)
        for other in row.others:
            table.add_row("", "", "", *_ours_cells(other.ours), other.verdict)
    text = io.StringIO()
    Console(file=text, width=width, markup=False, highlight=False, emoji=False).print(table)
    return text.getvalue() + counts_text(rows) + "\n"


def counts_text(rows: list[Row]) -> str:
    """How many claims have each verdict, on one line."""
    return f"{len(rows)} claims: " + ", ".join(
        f"{count} {word}" for word, count in counts(rows).items()
    )


def kinds_text(rows: list[Row]) -> str:
    """How many claims there are of each kind, one line a kind."""
    lines = [
        f"{sum(row.kind == kind for row in rows):3d}  {kind}  {meaning}"
        for kind, meaning in KINDS.items()
    ]
    return "\n".join([f"{len(rows):3d}  claims", *lines])


def counts_html(rows: list[Row]) -> str:
    """Counts by verdict (rows) and kind (columns), as an HTML table."""
    body = []
    for word, total in counts(rows).items():
        cells = [sum(row.verdict == word and row.kind == kind for row in rows) for kind in KINDS]
        labelled = [
            (meaning, str(cell or "")) for meaning, cell in zip(KINDS.values(), cells, strict=True)
        ]
        body.append([(None, _bold(word)), *labelled, ("all", str(total))])
    return _html(["verdict", *KINDS.values(), "all"], body)


def rows_html(rows: list[Row]) -> str:
    """The whole ledger as an HTML table, one row for every claim and the other variants beneath
    it.
    """
    published = chapters()
    body = []
    for row in rows:
        claim = (
            f'{html.escape(row.claim)}<span class="small">{html.escape(_place(row.section))},'
            f" {KINDS[row.kind]}</span>"
        )
        words = [(None, _link(row.id, row.experiment, published)), (None, claim)]
        numbers = [
            ("paper", html.escape(row.paper)),
            ("2012", html.escape(row.log2012)),
            ("ours", _ours(row.ours)),
        ]
        body.append([*words, *numbers, (None, _verdict(row.verdict, row.reason))])
        for other in row.others:
            body.append(
                [(None, "")] * 4
                + [
                    ("ours", _ours(other.ours, row.ours)),
                    (None, _verdict(other.verdict, other.reason)),
                ]
            )
    return _html(
        ["claim", "the paper says", "paper", "2012 log or source", "ours", "verdict"], body
    )


def verdicts_html(
    measurements: Sequence[Measurement], nothing: str = "not run: nothing was measured"
) -> str:
    """paper | 2012 log | ours | verdict for what one chapter measured, one row a measurement, as an
    HTML table; a claim is stated once.

    The verdict is the ledger's. ``nothing``: the line shown instead where there are no
    measurements."""
    if not measurements:
        return f"<p>{html.escape(nothing)}</p>"
    body: list[list[tuple[str | None, str]]] = []
    before = None
    for measurement in measurements:
        claim = find_claim(measurement.claim)
        verdict = (None, _verdict(*judge(claim, measurement)))
        if before is not None and before.claim == measurement.claim:
            body.append([(None, "")] * 4 + [("ours", _ours(measurement, before)), verdict])
            continue
        before = measurement
        said = (
            f"{html.escape(claim.statement)}<span"
            f' class="small">{html.escape(_place(claim.section))}, {KINDS[claim.kind]}</span>'
        )
        numbers = [
            ("paper", html.escape(claim.paper)),
            ("2012", html.escape(claim.log2012)),
            ("ours", _ours(measurement)),
        ]
        name = f'<span class="id">{html.escape(claim.id)}</span>'
        body.append([(None, name), (None, said), *numbers, verdict])
    return _html(
        ["claim", "the paper says", "paper", "2012 log or source", "ours", "verdict"], body
    )


def missing_html(rows: list[Row]) -> str:
    """What it would take to run each row that is ``not run``, as an HTML table; rows that are
    quoted by design come last.
    """
    waiting = sorted(
        (row for row in rows if row.verdict == "not run"), key=lambda row: not row.command
    )
    body = [
        [
            (None, f'<span class="id">{html.escape(row.id)}</span>'),
            (None, html.escape(row.reason)),
            ("command", f"<code>{html.escape(row.command)}</code>" if row.command else ""),
        ]
        for row in waiting
    ]
    return _html(["claim", "why it is not run", "command that would run it"], body)


def targets_html() -> str:
    """What each E and Q claim is measured by, and what would count as ``reproduced`` at the paper's
    scale, as an HTML table.
    """
    body = []
    for claim in claims():
        for target in claim.targets:
            unit = f" {target.unit}" if target.unit else ""
            paper = "" if target.value is None else f"{target.value:g}{unit}"
            direction = "" if target.null is None else f"{target.side} {target.null:g}"
            wanted = range_text(target.low, target.high)
            row = [
                ("number", target.quantity),
                ("paper", paper),
                ("direction", direction),
                ("reproduced", wanted),
            ]
            name = (
                f'<span class="id">{html.escape(claim.id)}</span><span'
                f' class="small">{html.escape(target.variant)}</span>'
            )
            body.append(
                [
                    (None, name),
                    *((label, html.escape(text)) for label, text in row),
                    (None, html.escape(claim.tolerance)),
                ]
            )
    return _html(
        [
            "claim",
            "number that is measured",
            "paper",
            "direction",
            "reproduced, at the paper's scale",
            "why this range",
        ],
        body,
    )


def chapters() -> set[str]:
    """The experiments that have a chapter in the book's table of contents."""
    contents = (paths.BOOK / "_toc.yml").read_text(encoding="utf-8")
    return set(re.findall(r"^ *- file: experiments/(\w+) *$", contents, flags=re.MULTILINE))


def _place(section: str) -> str:
    return section if section.startswith(("abstract", "fig.")) else f"section {section}"


def _ours_cells(measurement: Measurement | None) -> tuple[str, str]:
    if measurement is None:
        return "", ""
    variant = f", {measurement.variant}" if measurement.variant else ""
    return ours_text(measurement), f"{measurement.profile}{variant}"


def _ours(measurement: Measurement | None, above: Measurement | None = None) -> str:
    """A measurement with its variant and scale; the scale is left out where it is that of the row
    ``above`` of the same claim.
    """
    if measurement is None:
        return ""
    variant = (
        f'<span class="small">{html.escape(measurement.variant)}</span>'
        if measurement.variant
        else ""
    )
    same = above is not None and (above.profile, above.scale) == (
        measurement.profile,
        measurement.scale,
    )
    scale = "same scale" if same else html.escape(f"{measurement.profile}: {measurement.scale}")
    return f'{html.escape(ours_text(measurement))}{variant}<span class="small">{scale}</span>'


def _link(name: str, experiment: str, published: set[str]) -> str:
    text = f'<span class="id">{html.escape(name)}</span>'
    return (
        f'<a href="{html.escape(experiment)}.html">{text}</a>' if experiment in published else text
    )


def _bold(text: str) -> str:
    return f'<span class="verdict">{html.escape(text)}</span>'


def _verdict(word: str, reason: str) -> str:
    return f'{_bold(word)}<span class="small">{html.escape(reason)}</span>'


def _html(head: list[str], body: list[list[tuple[str | None, str]]]) -> str:
    """A table of cells (label for the narrow screen, HTML). The class ``dataframe`` keeps the theme
    from painting it white.
    """
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    rows = []
    for row in body:
        filled = (
            f'<td data-label="{html.escape(label)}">{text}</td>' if label else f"<td>{text}</td>"
            for label, text in row
        )
        rows.append(f"<tr>{''.join(filled)}</tr>")
    return (
        f'{STYLE}\n<table class="ledger'
        f' dataframe"><thead><tr>{cells}</tr></thead><tbody>\n{chr(10).join(rows)}\n'
        "</tbody></table>"
    )
