"""What the book needs when it is published on the web: a Sphinx extension.

One setting drives the buttons and links to the repository: ``REPLICATION_REPOSITORY``, its address
(on GitHub's machines it is known). With it each page gets a repository button, and each results
page a launch button. ``REPLICATION_SITE``, the address of the published book, adds a sitemap."""

import os
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from sphinx.application import Sphinx
from sphinx.config import Config

REPOSITORY, SITE = "REPLICATION_REPOSITORY", "REPLICATION_SITE"
BRANCH = "main"
DESCRIPTION = (
    "A replication of the AlexNet paper (Krizhevsky, Sutskever, Hinton 2012): every checkable"
    " statement, the code that does it, and what was measured."
)


def repository() -> str:
    """Return the repository's address, or "" if it is not known."""
    given = os.environ.get(REPOSITORY, "")
    if given:
        return given.rstrip("/")
    server, name = (os.environ.get(f"GITHUB_{part}", "") for part in ("SERVER_URL", "REPOSITORY"))
    return f"{server}/{name}" if server and name else ""


def theme_options(address: str) -> dict[str, Any]:
    """Return the options of the theme that turn the buttons on; {} without an address."""
    if not address:
        return {}
    return {
        "repository_url": address,
        "repository_branch": BRANCH,
        "path_to_docs": "book",
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": {"binderhub_url": "https://mybinder.org"},
    }


def sitemap(pages: list[str], address: str) -> str:
    """Return the sitemap of ``pages`` under the site's address as XML."""
    places = "".join(
        f"<url><loc>{escape(f'{address}/{page}.html')}</loc></url>\n" for page in sorted(pages)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{places}</urlset>\n'
    )


def _configure(app: Sphinx, config: Config) -> None:
    config.html_theme_options = {**config.html_theme_options, **theme_options(repository())}
    config.html_baseurl = os.environ.get(SITE, config.html_baseurl)


def _describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    context["metatags"] = (
        context.get("metatags", "") + f'\n<meta name="description" content="{DESCRIPTION}">'
    )


def _finish(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    if address := os.environ.get(SITE, "").rstrip("/"):
        text = sitemap(list(app.env.found_docs), address)
        (out / "sitemap.xml").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("config-inited", _configure)
    app.connect("html-page-context", _describe)
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
