"""How an executed notebook becomes a page of the book: a Sphinx extension.

The notebook is shown as it ran, but everything that a reader of results does not need is folded:
the code of the cells, the parameters, and the provenance of the runs. A published page begins with
"In short": a figure and what was found (``short.toml``), with a link to the chapter on the paper.
Verdicts by rules that have changed since are folded under today's. Nothing of a notebook's output
is changed."""

import copy
import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from replication.book import old_verdicts
from replication.book.current import note_results
from replication.book.links import PAGES

TRIAL = "quick/"  # documents whose names begin so are trials of the notebooks
RULE = "-" * 60  # a line that only a wide table of text has
PROVENANCE = "Where these numbers come from"  # heading of the cells that list the runs
BANNER = """:::{warning}
A trial on synthetic images. It shows that the code works, and says nothing about the paper.
:::"""
SHORT = Path(__file__).with_name("short.toml")
Notebook = dict[str, Any]
# figures that show photographs or kernels, by page: on a dark page their colours are kept, where
# those of plots are inverted (class ``picture`` in book.css)
PICTURES = {
    "data_pipeline": {
        "walk",
        "mean-image",
        "colour-directions",
        "colour-directions-2012",
        "versions",
        "two-pipelines",
    },
    "kernels": {"figure3"},
    "predictions_and_neighbours": {"predictions", "neighbours"},
}


@cache
def short() -> dict[str, dict[str, str]]:
    """Return the "In short" of each page: its chapter, figure, finding and text."""
    return tomllib.loads(SHORT.read_text(encoding="utf-8"))


def as_page(notebook: Notebook, name: str, published: bool) -> Notebook:
    """Return a notebook as the page ``name`` shows it; the argument is changed."""
    profile = notebook["metadata"].get("papermill", {}).get("parameters", {}).get("profile")
    place = name if published else f"quick-{name}"
    for cell in notebook["cells"]:
        _mark_picture(cell, name)
    notebook["cells"] = [
        part for cell in notebook["cells"] for part in _captioned(cell, place, profile)
    ]
    _fold(notebook["cells"])
    if published and profile:
        notebook["cells"] = _with_todays_verdicts(notebook["cells"], profile, name)
    if not published:
        mark_trial(notebook["cells"])
    if published and name in short():
        notebook["cells"].insert(1, _markdown(in_short(name, **short()[name])))
    return notebook


def _with_todays_verdicts(cells: list[Notebook], profile: str, experiment: str) -> list[Notebook]:
    """Return the cells, with today's verdicts before those by earlier rules."""
    shown = []
    for place, cell in enumerate(cells):
        if text := old_verdicts.note(cell, profile, experiment):
            shown.append(_markdown(text, f"verdicts-{place}"))
            _call(cell, old_verdicts.FOLD)
            _tags(cell)[:] = ["remove-input", "hide-output"]
        shown.append(cell)
    return shown


def mark_trial(cells: list[Notebook]) -> None:
    """Say in the title and in a banner under it that the page is a trial on synthetic images."""
    title = next((cell for cell in cells if cell["cell_type"] == "markdown"), None)
    if title is not None and _text(title).startswith("# "):
        title["source"] = "# Trial: " + _text(title).removeprefix("# ")
    place = 0 if title is None else cells.index(title) + 1
    cells.insert(place, _markdown(BANNER, "trial"))


def _captioned(cell: Notebook, page: str, profile: str | None) -> list[Notebook]:
    """Return the cell with its caption completed.

    A caption belongs to every output of its cell, so a cell with a figure and something else is
    shown as one cell per output; only the first figure keeps the name."""
    figure = cell["metadata"].get("mystnb", {}).get("figure")
    if not figure or cell["cell_type"] != "code":
        return [cell]
    scale = f" Profile: {profile}." if profile else ""
    named = {"caption": figure["caption"] + scale, "name": anchor(page, figure["name"])}
    parts: list[Notebook] = []
    for output in cell["outputs"] or [None]:
        part = copy.deepcopy(cell)
        part["id"] = f"{cell.get('id', 'cell')}-{len(parts)}"
        part["outputs"] = [] if output is None else [output]
        part["metadata"]["mystnb"].pop("figure")
        if parts:
            part["metadata"]["tags"] = [*_tags(part), "remove-input"]
        if output and any(kind.startswith("image/") for kind in output.get("data", {})):
            part["metadata"]["mystnb"]["figure"] = named
            named = {"caption": figure["caption"] + scale}
        parts.append(part)
    return parts


def _mark_picture(cell: Notebook, name: str) -> None:
    """Give the images of a cell that shows photographs or kernels the class ``picture``."""
    options = cell["metadata"].get("mystnb", {})
    if options.get("figure", {}).get("name") in PICTURES.get(name, set()):
        options.setdefault("image", {})["classes"] = "picture"


def anchor(page: str, figure: str) -> str:
    """Return a figure's anchor, which is unique in the book."""
    return f"{page.replace('_', '-')}-{figure}"


def _fold(cells: list[Notebook]) -> None:
    """Tag the cells: what is hidden, what is folded, and what the fold is called."""
    injected = any("injected-parameters" in _tags(cell) for cell in cells)
    heading = ""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            first = next(iter(_text(cell).splitlines()), "")
            heading = first.lstrip("# ") if first.startswith("#") else heading
            continue
        tags = _tags(cell)
        if any(RULE in _text(output, "text") for output in cell.get("outputs", [])):
            tags.append("wide-text")  # scrolls instead of wrapping
        if "parameters" in tags and injected:
            tags.append("remove-cell")
        elif {"parameters", "injected-parameters"} & set(tags):
            _call(cell, "Parameters")
            tags.append("hide-input")
        elif heading == PROVENANCE:
            _call(cell, "Every run with its commit, data, device and time")
            tags += ["remove-input", "hide-output"]
        elif "remove-input" not in tags:
            tags.append("hide-input")


def in_short(name: str, chapter: str, figure: str, finding: str, text: str) -> str:
    """Return the MyST text of a page's "In short"."""
    found = f"::::{{finding}} {finding}\n{text.strip()}\n::::" if finding else text.strip()
    return (
        ":::::{admonition} In short\n:class: in-short\n\n"
        f"{found}\n\n"
        f"```{{result-figure}} {name} {figure}\n:teaser:\n```\n"
        f"The chapter on the paper: {{doc}}`/{chapter}`.\n:::::\n"
    )


def _tags(cell: Notebook) -> list[str]:
    return cell["metadata"].setdefault("tags", [])


def _text(part: Notebook, key: str = "source") -> str:
    text = part.get(key, "")
    return text if isinstance(text, str) else "".join(text)


def _call(cell: Notebook, name: str) -> None:
    options = cell["metadata"].setdefault("mystnb", {})
    options |= {"code_prompt_show": name, "code_prompt_hide": name}


def _markdown(text: str, id: str = "in-short") -> Notebook:
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": text}


def _on_read(app: Sphinx, docname: str, source: list[str]) -> None:
    published = docname.startswith(PAGES)
    if not published and not docname.startswith(TRIAL):
        return
    app.env.note_dependency(str(SHORT))
    note_results(app.env)
    page = as_page(json.loads(source[0]), docname.rpartition("/")[2], published)
    source[0] = json.dumps(page)


def _leave_out_of_the_search(app: Sphinx, _doctree: nodes.document) -> None:
    """Trial pages are not found by the book's search."""
    if app.env.docname.startswith(TRIAL):
        app.env.metadata[app.env.docname]["nosearch"] = ""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("source-read", _on_read)
    app.connect("doctree-read", _leave_out_of_the_search)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
