"""The page that leads from the paper's sentences to the code: the directive ``{paper-index}``.

One table per section. A symbol is shown with its file and line, and linked to it where the book is
built by GitHub; a claim is linked to its row in the ledger, or to the top of a ledger that was
executed before the claim had a row."""

import html
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from replication.book.directives import LEDGER, source_address
from replication.book.links import PAGES, up_to_root
from replication.ledger.chips import STYLE
from replication.ledger.tables import SECTIONS, anchor
from replication.paper import HERE
from replication.paper.index import Sentence, place, sentences

CHAPTERS = {  # section of the paper -> the chapter that follows it
    "abstract": "introduction",
    "1": "introduction",
    "2": "dataset",
    "3": "architecture",
    "3.1": "relu",
    "3.2": "two_gpus",
    "3.3": "normalisation",
    "3.4": "pooling",
    "3.5": "architecture",
    "4.1": "augmentation",
    "4.2": "dropout",
    "5": "learning",
    "6": "results",
    "6.1": "qualitative",
    "7": "discussion",
}
TITLES = SECTIONS | {"2": "2 The dataset", "7": "7 Discussion"}


def index_html(chosen: tuple[Sentence, ...], up: str, in_ledger: Collection[str] = ()) -> str:
    """Return the sentences with their code, tests and claims, by section; ``up``: to the root.

    ``in_ledger``: the ids of the rows on the ledger's page."""
    parts = [STYLE]
    for section, chapter in CHAPTERS.items():
        rows = [one for one in chosen if one.section == section]
        if not rows:
            continue
        title = html.escape(TITLES[section])
        parts.append(
            f'<h2 id="section-{section.replace(".", "-")}">{title}</h2>'
            f'<p class="small"><a href="{up}paper/{chapter}.html">The chapter</a></p>'
            '<table class="ledger index dataframe"><thead><tr><th>the paper</th><th>code</th>'
            "<th>test</th><th>claim</th></tr></thead><tbody>"
            f"{''.join(_row(one, up, in_ledger) for one in rows)}</tbody></table>"
        )
    return "\n".join(parts)


def _row(one: Sentence, up: str, in_ledger: Collection[str]) -> str:
    tests = [test.removeprefix("tests/").replace("::test_", ": ") for test in one.tests]
    cells = {
        "paper": f"<q>{html.escape(one.words)}</q>",
        "code": _lines(_symbol(symbol) for symbol in one.symbols),
        "test": _lines(f'<span class="small">{_path(_spaced(test))}</span>' for test in tests),
        "claim": _lines(
            f'<a href="{up}{PAGES}{LEDGER}.html{_fragment(claim, in_ledger)}">'
            f"{html.escape(claim)}</a>"
            for claim in one.claims
        ),
    }
    filled = (f'<td data-label="{label}">{cell}</td>' for label, cell in cells.items())
    return f'<tr id="{html.escape(one.id)}">{"".join(filled)}</tr>'


def _fragment(claim: str, in_ledger: Collection[str]) -> str:
    return f"#{html.escape(anchor(claim))}" if anchor(claim) in in_ledger else ""


def ids_of(page: Path) -> set[str]:
    """Return the ids of the rows in the tables of an executed notebook; none without the file."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    return set(re.findall(r'<tr[^>]* id=\\"([^"\\]+)\\"', text))  # its quotes are escaped: JSON


def _symbol(symbol: str) -> str:
    found = place(symbol)
    name = f"<code>{html.escape(symbol.rpartition('.')[2])}</code>"
    where = f'<span class="small">{_path(str(found))}</span>'
    address = source_address(found.file, found.line, found.line)
    return f'<a href="{html.escape(address)}">{name}</a>{where}' if address else name + where


def _path(text: str) -> str:
    """Return a path as HTML that breaks lines after its slashes and underscores only."""
    return re.sub(r"([/_])", r"\1<wbr>", html.escape(text))


def _spaced(test: str) -> str:
    file, _, name = test.partition(": ")
    return f"{file}: {name.replace('_', ' ')}"


def _lines(parts: Any) -> str:
    return "".join(f"<div>{part}</div>" for part in parts)


class PaperIndex(SphinxDirective):
    """``{paper-index}``: every sentence of the index."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(HERE / "index.toml"))
        ledger = Path(self.env.srcdir) / f"{PAGES}{LEDGER}.ipynb"
        self.env.note_dependency(str(ledger))
        page = index_html(sentences(), up_to_root(self.env.docname), ids_of(ledger))
        return [nodes.raw("", page, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive; called by Sphinx."""
    app.add_directive("paper-index", PaperIndex)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
