"""What dropout and crops do to the test error, for prose: a Sphinx extension.

The numbers are those of the page on the amount of data. The role ``{pairs}`dropout`` says in how
many pairs of nets dropout lowers the error. ``{lowers} dropout crops`` holds prose that is shown
only while each of them lowers the error in some pair of nets and raises it in none; else the
sentences of ``{pairs}`` take its place, or, with ``:quiet:``, nothing does. The build fails if the
page has no results."""

from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from replication.base import paths
from replication.base.types import PUBLISHED, Profile
from replication.book.pages.effect_of_data import lowers, pairs_text
from replication.book.roles import ResultRole
from replication.experiments.effect_of_data import EXPERIMENT, REGULARISERS


def effects_file() -> tuple[Path, Profile]:
    """Return the effects at the largest published profile, and which it is.

    Raises LookupError if there are none."""
    for profile in reversed(PUBLISHED):
        file = paths.results() / profile / EXPERIMENT / "effects.csv"
        if file.is_file():
            return file, profile
    raise LookupError(EXPERIMENT)


def stored(env: BuildEnvironment, regularisers: list[str]) -> tuple[pd.DataFrame, Profile]:
    """Return the stored effects and their profile; let the page be built again when they change.

    Raises LookupError without results, and for what is no regulariser."""
    if wrong := set(regularisers) - set(REGULARISERS):
        raise LookupError(", ".join(sorted(wrong)))
    file, profile = effects_file()
    env.note_dependency(str(file))
    return pd.read_csv(file), profile


class Pairs(ResultRole):
    """``{pairs}`REGULARISER``."""

    lacking = "no such effect is stored"

    def read(self) -> nodes.Node:
        effects, profile = stored(self.env, [self.text])
        return nodes.inline("", pairs_text(effects, self.text, profile))


class Lowers(SphinxDirective):
    """``{lowers} REGULARISER ...``: prose for regularisers that lower the test error."""

    required_arguments = 1
    optional_arguments = len(REGULARISERS) - 1
    has_content = True
    option_spec = {"quiet": directives.flag}

    def run(self) -> list[nodes.Node]:
        try:
            effects, profile = stored(self.env, self.arguments)
        except LookupError as error:
            raise self.error(f"no effects are stored of {error}") from error
        if all(lowers(effects, regulariser) for regulariser in self.arguments):
            parent = nodes.container(classes=["finding"])
            self.state.nested_parse(self.content, self.content_offset, parent)
            return [parent]
        if "quiet" in self.options:
            return []
        return [nodes.paragraph("", pairs_text(effects, one, profile)) for one in self.arguments]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role and the directive."""
    app.add_role("pairs", Pairs())
    app.add_directive("lowers", Lowers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
