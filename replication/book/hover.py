"""Hover text: a citation shows its reference, a term its definition. A Sphinx extension.

The text is the link's ``title``, which browsers show and screen readers read; no script is needed.
"""

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 400  # characters of a hover text
GLOSSARY, REFERENCES = "glossary", "references"


def _definitions(app: Sphinx) -> Iterator[tuple[str, str]]:
    """Yield the anchor of each term or reference with its text."""
    for docname, kind in ((GLOSSARY, nodes.definition_list_item), (REFERENCES, nodes.citation)):
        if docname not in app.env.found_docs:
            continue
        for node in app.env.get_doctree(docname).findall(kind):
            if kind is nodes.citation:
                label = next(iter(node.findall(nodes.label)), None)
                text = node.astext().removeprefix(label.astext() if label else "")
                anchors = node["ids"]
            else:
                text = " ".join(one.astext() for one in node.findall(nodes.definition))
                anchors = [one for term in node.findall(nodes.term) for one in term["ids"]]
            text = " ".join(text.split())
            for anchor in anchors:
                yield f"{docname}#{anchor}", text[:LONGEST]


def _add_titles(texts: dict[str, str], doctree: nodes.document, docname: str) -> None:
    for node in doctree.findall(nodes.reference):
        target = node.get("refuri", "").rpartition("/")[2].replace(".html", "")
        if target in texts and docname != target.partition("#")[0]:
            node["reftitle"] = texts[target]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    texts: dict[str, str] = {}
    # every page has been read when the environment is complete, and none has been written
    app.connect("env-updated", lambda app, env: texts.update(_definitions(app)))
    app.connect("doctree-resolved", lambda app, tree, name: _add_titles(texts, tree, name))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
