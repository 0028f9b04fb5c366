"""Directives of the front page: a Sphinx extension.

They show the verdicts as a bar, the headline claims as a table, and what each experiment took and
gave.
"""

import html
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from replication.book import headlines
from replication.book.current import note_results
from replication.book.links import up_to_root
from replication.ledger.chips import code_html


def _note(env: BuildEnvironment) -> None:
    note_results(env)
    env.note_dependency(str(headlines.__file__))


class VerdictBar(SphinxDirective):
    """``{verdict-bar}``: how many claims have each verdict."""

    def run(self) -> list[nodes.Node]:
        _note(self.env)
        return [nodes.raw("", headlines.bar_html(), format="html")]


class Headlines(SphinxDirective):
    """``{headlines}``: about a dozen claims with our number and verdict."""

    def run(self) -> list[nodes.Node]:
        _note(self.env)
        table = headlines.table_html(up_to_root(self.env.docname))
        return [nodes.raw("", table, format="html")]


class Costs(SphinxDirective):
    """``{costs}``: the command of each experiment, what it took and what it gave."""

    def run(self) -> list[nodes.Node]:
        _note(self.env)
        rows = "".join(
            f"<tr><td>{code_html(html.escape(command))}</td>"
            f'<td data-label="took">{html.escape(took)}</td>'
            f'<td data-label="gave">{html.escape(gave.replace("*", ""))}</td></tr>\n'
            for command, took, gave in headlines.costs()
        )
        table = (
            '<div class="wide"><table class="dataframe numbers headlines"><thead><tr>'
            f"<th>command</th><th>took</th><th>gave</th></tr></thead><tbody>\n{rows}</tbody>"
            "</table></div>"
        )
        return [nodes.raw("", table, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("verdict-bar", VerdictBar)
    app.add_directive("headlines", Headlines)
    app.add_directive("costs", Costs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
