"""The book's own figures, its plates, as Sphinx directives.

``{plate} NAME``: a drawing of an idea, from ``replication.figures.drawings``. ``{result-figure}
PAGE NAME``: a figure of a committed results page, by the name that its cell carries, with the
cell's caption and a link to the page. The content of either directive is its caption."""

import base64
import os
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from replication.base import paths
from replication.book.links import PAGES, up_to_root
from replication.book.results_pages import PICTURES, anchor
from replication.book.stamps import notebook_of
from replication.figures import drawings, photographs

KINDS = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
SOURCES = tuple(Path(module.__file__ or "") for module in (drawings, photographs))


class Committed(NamedTuple):
    """One figure of an executed notebook."""

    name: str  # of the cell's metadata: mystnb, figure, name
    caption: str
    alt: str
    kind: str  # "image/png", "image/jpeg" or "image/svg+xml"
    content: bytes


def committed_figures(page: Path) -> dict[str, Committed]:
    """Return the named figures of one executed notebook; of a cell with several, the first.

    Raises InputError if the notebook is missing or damaged."""
    found: dict[str, Committed] = {}
    for cell in notebook_of(page).cells:
        options = cell.metadata.get("mystnb", {})
        figure = options.get("figure", {})
        if "name" not in figure:
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            kind = next((kind for kind in KINDS if kind in data), None)
            if kind is None:
                continue
            content = data[kind]
            raw = content.encode() if kind == "image/svg+xml" else base64.b64decode(content)
            alt = options.get("image", {}).get("alt", "")
            found[figure["name"]] = Committed(
                figure["name"], figure.get("caption", ""), alt, kind, raw
            )
            break
    return found


class _Figure(SphinxDirective):
    """A numbered figure whose image was written beside the doctrees."""

    has_content = True
    option_spec = {"alt": directives.unchanged_required}

    def image(self, file: Path, alt: str, picture: bool) -> nodes.image:
        """Return the image node. ``picture``: it shows photographs or kernels, so it is no plot."""
        here = Path(self.env.doc2path(self.env.docname)).parent
        uri = Path(os.path.relpath(file, here)).as_posix()
        return nodes.image(uri=uri, alt=alt, classes=["picture"] * picture)

    def figure(self, name: str, image: nodes.image, caption: list[nodes.Node]) -> nodes.figure:
        """Return the figure node, with a label of its page (``plate-intro-contest``)."""
        figure = nodes.figure("", image, nodes.caption("", "", *caption), classes=["plate"])
        label = f"plate-{self.env.docname.replace('/', '-')}-{name}"
        figure["names"].append(label)
        self.state.document.note_explicit_target(figure, figure)
        self.set_source_info(figure)
        return figure

    def place(self, file: str) -> Path:
        """Return where an image is written: beside the doctrees, out of the sources."""
        folder = Path(self.env.app.doctreedir) / "plates"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / file

    def caption(self) -> list[nodes.Node]:
        """Return the directive's content as inline nodes."""
        parent = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, parent)
        return [child for paragraph in parent.children for child in paragraph.children]


class Plate(_Figure):
    """``{plate} NAME``: a drawing; its content is the caption, ``:alt:`` describes the picture."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in drawings.DRAWINGS:
            raise self.error(f"no drawing {name}; there are {', '.join(drawings.DRAWINGS)}")
        file = self.place(f"{name}.svg")
        newest = max(source.stat().st_mtime for source in SOURCES)
        if not file.is_file() or file.stat().st_mtime < newest:
            drawings.DRAWINGS[name]().savefig(file, metadata={"Date": None})
        for source in SOURCES:
            self.env.note_dependency(str(source))
        alt = self.options.get("alt") or " ".join(self.content)
        picture = drawings.DRAWINGS[name].__module__ == photographs.__name__
        figure = self.figure(name, self.image(file, alt, picture), self.caption())
        if name in drawings.NARROW:
            figure["classes"].append("narrow")
        return [figure]


class ResultFigure(_Figure):
    """``{result-figure} PAGE NAME``: a figure of ``book/experiments/PAGE.ipynb``.

    With ``:teaser:`` it is the bare picture, without number and caption, that leads to the figure.
    """

    required_arguments = 2
    option_spec = {**_Figure.option_spec, "teaser": directives.flag}

    def run(self) -> list[nodes.Node]:
        page, name = self.arguments
        notebook = paths.BOOK / "experiments" / f"{page}.ipynb"
        figures = committed_figures(notebook) if notebook.is_file() else {}
        if name not in figures:
            there = ", ".join(figures) or "none"
            raise self.error(f"{notebook.name} has no figure {name}; it has {there}")
        self.env.note_dependency(str(notebook))
        found = figures[name]
        file = self.place(f"{page}-{name}.{KINDS[found.kind]}")
        if not file.is_file() or file.read_bytes() != found.content:
            file.write_bytes(found.content)
        alt = self.options.get("alt") or found.alt
        target = f"{up_to_root(self.env.docname)}{PAGES}{page}.html#{anchor(page, name)}"
        image = self.image(file, alt, name in PICTURES.get(page, set()))
        if "teaser" in self.options:
            link = nodes.reference("", "", image, refuri=target)
            return [nodes.container("", nodes.paragraph("", "", link), classes=["teaser"])]
        if not self.content:
            self.content.append(found.caption, str(notebook), 0)
        link = nodes.reference("", "Results page", refuri=target, internal=True)
        caption = [*self.caption(), nodes.Text(" "), link, nodes.Text(".")]
        return [self.figure(anchor(page, name), image, caption)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("plate", Plate)
    app.add_directive("result-figure", ResultFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
