"""How the ledger looks in HTML: its style, table, chips of the verdicts, and filters.

Without a script. Colours of text and ground come from the page, so the dark mode is followed; a
chip has its own, with white text on a ground dark enough to read. The filters are check boxes that
the style sheet reads."""

import html
import re
from collections.abc import Sequence

from replication.ledger.rules import VERDICTS, Verdict
from replication.paper import KINDS

Cells = list[tuple[str | None, str]]  # label on a narrow screen, HTML
# sign and colour of each verdict; from the colour-blind safe palette of Okabe and Ito (2008),
# darkened until white text has a contrast of 4.5 and more
CHIPS: dict[Verdict, tuple[str, str]] = {
    "holds": ("✓", "#00684e"),
    "reproduced": ("✓", "#00684e"),
    "direction reproduced, other size": ("≠", "#00618f"),
    "direction reproduced": ("↗", "#00618f"),
    "inconclusive": ("?", "#6b5f00"),
    "reversed here": ("↘", "#a24b00"),
    "contradicted": ("✗", "#a3001b"),
    "trial": ("○", "#5c5c66"),
    "not run": ("–", "#5c5c66"),
}

STYLE = """<style>
.ledger { border-collapse: collapse; width: 100%; font-size: 0.85rem; line-height: 1.4;
  color: inherit; background: transparent; }
.ledger th, .ledger td { text-align: left; vertical-align: top; padding: 0.45em 0.7em;
  white-space: normal;
  border-bottom: 1px solid rgba(128, 128, 128, 0.4); color: inherit; background: transparent; }
.ledger td[data-label="ours"] { min-width: 12em; }
.ledger.index { table-layout: fixed; }
.ledger.index th:nth-child(1) { width: 30%; } .ledger.index th:nth-child(2) { width: 30%; }
.ledger.index th:nth-child(3) { width: 24%; }
.ledger.index td { overflow-wrap: break-word; }
@media (min-width: 45.01rem) {
  .ledger-page .ledger { table-layout: fixed; }
  .ledger-page .ledger th:nth-child(1) { width: 42%; }
  .ledger-page .ledger th:nth-child(2) { width: 13%; }
  .ledger-page .ledger th:nth-child(3) { width: 24%; }
  .ledger-page .ledger td { overflow-wrap: anywhere; }
  .ledger-page .chip { white-space: normal; }
}
.ledger .id { font-weight: 600; white-space: nowrap; }
.ledger .small { display: block; font-size: 0.9em; opacity: 0.85; }
.ledger details.more { font-size: 0.9em; }
.ledger details.more summary { font-weight: 400; opacity: 0.8; margin: 0.2em 0; cursor: pointer; }
.ledger details.more dl { margin: 0; }
.ledger details.more dt { font-weight: 600; }
.ledger details.more dd { margin: 0 0 0.3em 0; overflow-wrap: anywhere; }
.ledger code { font-size: 0.95em; overflow-wrap: anywhere; white-space: normal; }
.chip { display: inline-block; padding: 0.1em 0.6em; border-radius: 1em; color: white;
  font-weight: 600; font-size: 0.95em; line-height: 1.5; white-space: nowrap; }
.ledger-filters { display: flex; flex-wrap: wrap; gap: 0.3em 1em; font-size: 0.85rem; border: 0;
  padding: 0; margin: 0.6em 0; }
.ledger-filters legend { font-size: 0.85rem; font-weight: 600; float: left; margin: 0 0.8em 0 0;
  width: auto; }
.ledger-filters label { white-space: nowrap; cursor: pointer; }
.ledger-group > summary { cursor: pointer; font-weight: 600; margin: 0.8em 0 0.2em; }
.ledger-group .count { font-weight: 400; opacity: 0.8; }
@media (max-width: 45rem) {
  .ledger thead, .ledger-page .statement, .ledger-page .quantity { display: none; }
  .ledger, .ledger tbody, .ledger tr, .ledger td { display: block; width: 100%;
    box-sizing: border-box; }
  .ledger tr { padding: 0.5em 0; border-bottom: 2px solid rgba(128, 128, 128, 0.6); }
  .ledger td { border: 0; padding: 0.1em 0.2em; min-width: 0 !important; }
  .ledger td:empty { display: none; }
  .ledger td[data-label]:not(:empty)::before { content: attr(data-label) ": "; font-weight: 600;
    opacity: 0.8; }
}
</style>"""


def chip(word: Verdict) -> str:
    """Return a verdict as a coloured chip with a sign."""
    sign, colour = CHIPS[word]
    return (
        f'<span class="chip" style="background: {colour}"><span aria-hidden="true">{sign}</span>'
        f" {html.escape(word)}</span>"
    )


def prose_html(text: str) -> str:
    """Return text as HTML, with what is between backticks as code."""
    return re.sub("`([^`]+)`", lambda found: code_html(found[1]), html.escape(text))


def code_html(escaped: str) -> str:
    """Return escaped text as code; the style sheet breaks lines between its words only."""
    words = " ".join(f'<span class="pre">{word}</span>' for word in escaped.split())
    return f"<code>{words}</code>"


def signs(words: dict[Verdict, int]) -> str:
    """Return how many rows have each verdict, as coloured signs; a sign's title is the verdict."""
    return " ".join(
        f'<span class="chip" style="background: {CHIPS[word][1]}" title="{html.escape(word)}">'
        f"{CHIPS[word][0]} {words[word]}</span>"
        for word in VERDICTS
        if words.get(word)
    )


def filters(words: dict[Verdict, int]) -> str:
    """Return check boxes that hide rows by verdict and by kind.

    ``words``: how many rows have each verdict; those without one get no box. The rows are
    ``tr[data-verdict][data-kind]`` inside the same ``.ledger-page``."""
    present = [word for word in VERDICTS if words.get(word)]
    verdicts = [(slug(word), f"{chip(word)} {words[word]}") for word in present]
    kinds = [(kind, html.escape(meaning)) for kind, meaning in KINDS.items()]
    return (
        _rules("verdict", [name for name, _ in verdicts])
        + _rules("kind", [name for name, _ in kinds])
        + _boxes("verdict", "Show verdicts", verdicts)
        + _boxes("kind", "Show kinds", kinds)
    )


def group_rules(groups: dict[str, set[tuple[str, str]]]) -> str:
    """Return the style that hides a section whose rows are all hidden by the filters.

    ``groups``: by the section's ``data-group``, each verdict (as ``slug`` writes it) with the kind
    of a row."""
    off = ':has(input[data-{}="{}"]:not(:checked))'.format
    rules = []
    for name, rows in groups.items():
        hidden = "".join(
            f":is({off('verdict', word)}, {off('kind', kind)})" for word, kind in sorted(rows)
        )
        if hidden:
            rules.append(f'.ledger-page{hidden} details[data-group="{name}"] {{ display: none; }}')
    return "<style>\n" + "\n".join(rules) + "\n</style>"


def row_attributes(word: Verdict, kind: str) -> str:
    """Return what the filters read of a row."""
    return f' data-verdict="{slug(word)}" data-kind="{kind}"'


def _boxes(field: str, title: str, choices: list[tuple[str, str]]) -> str:
    labels = "".join(
        f'<label><input type="checkbox" checked data-{field}="{name}"> {text}</label>'
        for name, text in choices
    )
    return f'<fieldset class="ledger-filters"><legend>{title}</legend>{labels}</fieldset>'


def _rules(field: str, names: list[str]) -> str:
    rules = "\n".join(
        f'.ledger-page:has(input[data-{field}="{name}"]:not(:checked))'
        f' tr[data-{field}="{name}"] {{ display: none; }}'
        for name in names
    )
    return f"<style>\n{rules}\n</style>"


def slug(word: str) -> str:
    """Return a verdict as the filters write it."""
    return word.replace(",", "").replace(" ", "-")


def table_html(head: Sequence[str], body: Sequence[tuple[str, Cells]]) -> str:
    """Return a table. The class ``dataframe`` keeps the theme from painting it white."""
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    rows = []
    for attributes, row in body:
        filled = (
            f'<td data-label="{html.escape(label)}">{text}</td>' if label else f"<td>{text}</td>"
            for label, text in row
        )
        rows.append(f"<tr{attributes}>{''.join(filled)}</tr>")
    return (
        f'<table class="ledger dataframe"><thead><tr>{cells}</tr></thead><tbody>\n'
        f"{chr(10).join(rows)}\n</tbody></table>"
    )
