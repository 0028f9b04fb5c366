"""What the published site needs: buttons by one setting, and a sitemap."""

import xml.etree.ElementTree as ElementTree

import pytest

from replication.book import site


def test_one_setting_turns_the_buttons_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (site.REPOSITORY, "GITHUB_SERVER_URL", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    assert site.repository() == "" and site.theme_options("") == {}
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/alexnet")
    assert site.repository() == "https://github.com/somebody/alexnet"
    monkeypatch.setenv(site.REPOSITORY, "https://example.org/alexnet/")
    options = site.theme_options(site.repository())
    assert options["repository_url"] == "https://example.org/alexnet"
    assert options["use_repository_button"] and options["launch_buttons"]


def test_the_sitemap_names_every_page() -> None:
    tree = ElementTree.fromstring(site.sitemap(["intro", "paper/relu"], "https://example.org/b"))
    places = [node.text for node in tree.iter() if node.tag.endswith("loc")]
    assert places == ["https://example.org/b/intro.html", "https://example.org/b/paper/relu.html"]
