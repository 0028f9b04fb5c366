"""The base of the roles whose text names something that the results have."""

from typing import ClassVar

from docutils import nodes
from sphinx.util.docutils import SphinxRole


class ResultRole(SphinxRole):
    """A role that reads the results. What they do not have is an error of the build."""

    lacking: ClassVar[str]  # what the error says of the role's text

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            return [self.read()], []
        except LookupError:
            message = self.inliner.reporter.error(f"{self.text}: {self.lacking}", line=self.lineno)
            return [nodes.problematic(self.rawtext, self.rawtext)], [message]

    def read(self) -> nodes.Node:
        """Return the text for the sentence. Raises LookupError if the results lack it."""
        raise NotImplementedError
