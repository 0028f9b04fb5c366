"""The directives of the chapters that quote code, claims and deviations: a Sphinx extension.

``{source} replication.nets.alexnet Dropout``: the source of named objects, as it is in the package,
with its lines. ``{claims} 3.3``: the ledger's rows of a section of the paper (or named by id, or by
verdict, such as ``inconclusive``), as published in ``results/``. ``{deviations} 3.3``: the
deviations that concern a section, or those of a part ("net") in which the source differs from the
paper. The pages of ``experiments/`` get the deviations that touch them at their end."""

import ast
import html
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from replication.base import paths
from replication.base.errors import InputError
from replication.base.pages import read_page
from replication.book.current import note_results, rows
from replication.book.links import PAGES, up_to_root
from replication.ledger import tables as ledger_tables
from replication.ledger import verdicts as ledger
from replication.paper import HERE
from replication.paper.deviations import PARTS, Deviation, deviations, of_section, touching
from replication.runs import seal

LOGGER = logging.getLogger(__name__)
LEDGER = "claims"
CHAPTER = "deviations"  # the notebook that shows all of them


class Source(SphinxDirective):
    """``{source} MODULE NAME...``: the code of named objects of one module of the package.

    They are functions, classes, methods (``Class.method``) or constants.
    """

    required_arguments = 2
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        module, names = self.arguments[0], self.arguments[1].split()
        place = paths.ROOT / Path(*module.split("."))
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if not file.is_file():
            raise self.error(f"no module {module}")
        self.env.note_dependency(str(file))
        text = file.read_text(encoding="utf-8")
        try:
            spans = [lines_of(text, name) for name in names]
        except LookupError as error:
            raise self.error(f"{module} has no {error.args[0]}") from error
        lines = text.splitlines()
        code = "\n\n".join(
            textwrap.dedent("\n".join(lines[first - 1 : last])) for first, last in spans
        )
        block = nodes.literal_block(code, code, language="python")
        name = file.relative_to(paths.ROOT)
        where = f"{name.as_posix()}, lines " + ", ".join(
            f"{first}" if first == last else f"{first} to {last}" for first, last in spans
        )
        caption = nodes.caption("", "", *_place(name, spans[0], where))
        wrapper = nodes.container(
            "", caption, block, literal_block=True, classes=["literal-block-wrapper"]
        )
        self.set_source_info(block)
        return [wrapper]


def lines_of(text: str, name: str) -> tuple[int, int]:
    """Return first and last line (from 1) of the definition of ``name``. Raises LookupError.

    ``name`` is "function", "Class.method" or "CONSTANT"."""
    body, found = ast.parse(text).body, None
    for part in name.split("."):
        found = next((node for node in body if part in _names(node)), None)
        if found is None:
            raise LookupError(name)
        body = getattr(found, "body", [])
    decorators = getattr(found, "decorator_list", [])
    return (
        min([found.lineno, *(one.lineno for one in decorators)]),
        found.end_lineno or found.lineno,
    )


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    for target in targets:
        yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def _place(file: Path, span: tuple[int, int], text: str) -> list[nodes.Node]:
    """Return where the code is, as a link if the book is built by GitHub."""
    address = source_address(file, *span)
    return [nodes.reference("", text, refuri=address) if address else nodes.Text(text)]


def source_address(file: Path, first: int, last: int) -> str:
    """Return the address of lines of a file at this commit; "" unless GitHub builds the book.

    GitHub's machines say where the repository is.
    """
    server, repository, commit = (
        os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "SHA")
    )
    if not (server and repository and commit):
        return ""
    return f"{server}/{repository}/blob/{commit}/{file.as_posix()}#L{first}-L{last}"


class Claims(SphinxDirective):
    """``{claims} SECTION|ID|VERDICT ...``: rows of the ledger.

    Each is shown at its largest published scale.
    """

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        every = rows()
        chosen: list[ledger.Row] = []
        given = self.arguments[0].strip()
        for word in [given] if given in ledger.VERDICTS else given.split():
            found = (
                [every[word]]
                if word in every
                else [
                    row for row in every.values() if word in (*sections(row.section), row.verdict)
                ]
            )
            # which verdicts there are depends on the results
            if not found and word not in ledger.VERDICTS:
                raise self.error(f"no claim has the id or the section {word}")
            chosen += [row for row in found if row not in chosen]
        note_results(self.env)
        up = up_to_root(self.env.docname)
        table = (ledger_tables.rows_html(chosen) if chosen else "<p>None at present.</p>").replace(
            '<a href="', f'<a href="{up}{PAGES}'
        )
        note = (
            f'<p class="small">All claims: <a href="{up}{PAGES}{LEDGER}.html">the ledger</a>.</p>'
        )
        return [nodes.raw("", table + note, format="html")]


def sections(text: str) -> list[str]:
    """Return the sections that a claim names: "4.1, note 5" gives ["4.1", "note 5"].

    A figure also stands for the section that it belongs to."""
    named = [part.strip() for part in text.split(",")]
    return named + [ledger_tables.FIGURES[part] for part in named if part in ledger_tables.FIGURES]


class Deviations(SphinxDirective):
    """``{deviations} SECTION|PART ...``: a list of deviations with links into their chapter.

    Those that concern a section of the paper, or those of a part in which the source differs from
    the paper."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        found: dict[str, Deviation] = {}
        for word in self.arguments[0].split():
            chosen = (
                [one for one in deviations() if one.part == word and one.kind == "source"]
                if word in PARTS
                else of_section(word)
            )
            if not chosen:
                raise self.error(f"no deviation concerns the section or the part {word}")
            found |= {one.id: one for one in chosen}
        self.env.note_dependency(str(HERE / "deviations.toml"))
        return [
            nodes.raw(
                "",
                deviations_html(list(found.values()), up_to_root(self.env.docname)),
                format="html",
            )
        ]


def deviations_html(chosen: list[Deviation], up: str) -> str:
    """Return a list of deviations as HTML: what the paper, its source and this project do."""
    items = []
    for one in chosen:
        sides = [("paper", one.paper), ("source", one.source), ("here", one.here)]
        text = "; ".join(f"<em>{name}</em> {html.escape(side)}" for name, side in sides if side)
        items.append(
            f'<li><a href="{up}{PAGES}{CHAPTER}.html#{anchor(one)}">{html.escape(one.what)}</a>:'
            f" {text}.</li>"
        )
    return f'<ul class="deviations">{"".join(items)}</ul>'


def anchor(one: Deviation) -> str:
    """Return the anchor of a deviation's entry on the page that shows all of them."""
    return f"deviation-{one.id}"


def _add_deviations(app: Sphinx, doctree: nodes.document) -> None:
    """Put the deviations that touch an experiment at the end of its page."""
    docname = app.env.docname
    chosen = touching(docname.removeprefix(PAGES)) if docname.startswith(PAGES) else ()
    if not chosen:
        return
    app.env.note_dependency(str(HERE / "deviations.toml"))
    title = "Deviations that touch this page"
    content = nodes.raw("", deviations_html(list(chosen), up_to_root(docname)), format="html")
    section = nodes.section(
        "", nodes.title(title, title), content, ids=["deviations-here"], names=["deviations-here"]
    )
    parent = next(iter(doctree.findall(nodes.section)), doctree)
    parent += section


def _drop_thebe(
    app: Sphinx,
    _page: str,
    _template: str,
    context: dict[str, Any],
    _doctree: nodes.document | None,
) -> None:
    """Leave out the script that would run cells on a server.

    It is not used, and Jupyter Book 1 loads it twice, which is an error."""
    scripts = context.get("script_files", [])
    context["script_files"] = [
        one
        for one in scripts
        if "thebe" not in f"{one.filename}{one.attributes.get('body', '')}".lower()
    ]


def _check_pages(app: Sphinx) -> None:
    """Warn of pages and results that are not as sealed, and of pages that were not executed.

    The book is built with warnings as errors."""
    for difference in seal.published_faults():
        LOGGER.warning("not as sealed: %s", difference)
    for page in sorted(Path(app.srcdir).glob(f"{PAGES}*.ipynb")):
        if fault := page_fault(page):
            LOGGER.warning("%s%s: %s", PAGES, page.name, fault)


def page_fault(page: Path) -> str:
    """Return why an executed notebook must not be published, or ""."""
    try:
        cells = read_page(page)["cells"]
    except InputError:
        return "it is no notebook"
    code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"])]
    for number, cell in enumerate(code, 1):
        if any(output["output_type"] == "error" for output in cell["outputs"]):
            return f"cell {number} ended with an error"
        if cell["execution_count"] is None:
            return f"cell {number} was not executed"
    return ""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("source", Source)
    app.add_directive("claims", Claims)
    app.add_directive("deviations", Deviations)
    # before Sphinx collects the page's headings
    app.connect("doctree-read", _add_deviations, priority=100)
    app.connect("builder-inited", _check_pages)
    app.connect("html-page-context", _drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
