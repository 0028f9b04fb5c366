"""The built book is what its source says: strictly built, stale pages gone, damaged ones rebuilt.

A stand-in for jupyter-book writes one page per source, so that this takes no minutes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from replication.base import paths
from replication.base.errors import InputError, NotebookError
from replication.base.locks import held
from replication.book import build
from replication.book.directives import page_fault


class Tool:
    """A stand-in for jupyter-book: copies each source to a page, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.status = 0

    def __call__(
        self, command: list[str], env: dict[str, str], **_: Any
    ) -> subprocess.CompletedProcess[str]:
        self.calls += 1
        self.environment = env
        stage, output = Path(command[2]), Path(command[4])
        html = output / "_build" / "html"
        html.mkdir(parents=True, exist_ok=True)
        for source in stage.glob("*.md"):
            (html / f"{source.stem}.html").write_text(source.read_text())
        return subprocess.CompletedProcess(command, self.status, "WARNING: a page is bad\n", "")


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    (tmp_path / "book").mkdir()
    for name in ("index", "one"):
        (tmp_path / "book" / f"{name}.md").write_text(name)
    (tmp_path / "_config.yml").write_text("title: x\n")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "BOOK", tmp_path / "book")
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    tool = Tool()
    monkeypatch.setattr(build.subprocess, "run", tool)
    return tool


def test_a_book_that_is_up_to_date_is_not_built_again(tool: Tool) -> None:
    assert build.build_book() == build.build_book()
    assert tool.calls == 1


@pytest.mark.parametrize("damage", [Path.unlink, lambda page: page.write_text("cut")])
def test_a_page_that_is_missing_or_damaged_is_built_again(tool: Tool, damage: Any) -> None:
    page = build.build_book().with_name("one.html")
    damage(page)
    build.build_book()
    assert page.read_text() == "one" and tool.calls == 2


def test_a_page_that_left_the_source_leaves_the_book(tool: Tool) -> None:
    page = build.build_book().with_name("one.html")
    (paths.BOOK / "one.md").unlink()
    build.build_book()
    assert not page.exists()


@pytest.mark.parametrize("name", build.SETTINGS)
def test_another_address_of_the_site_or_the_repository_is_another_book(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    build.build_book()
    monkeypatch.setenv(name, "https://example.org/here")
    build.build_book()
    assert tool.calls == 2


def test_the_chapters_quote_the_clones_results_wherever_new_ones_go(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "elsewhere"))
    build.build_book()
    assert tool.environment["REPLICATION_RESULTS"] == str(tmp_path / "results")


def test_a_missing_quick_run_is_an_error(tool: Tool) -> None:
    with pytest.raises(InputError, match="replication run --profile quick"):
        build.build_book("quick")
    assert tool.calls == 0


def test_new_times_on_the_front_page_are_built(tool: Tool) -> None:
    build.build_book()
    (paths.ROOT / "results").mkdir()
    (paths.ROOT / "results" / "times.json").write_text("{}")
    build.build_book()
    assert tool.calls == 2


def test_a_second_build_at_the_same_time_leaves_the_first_alone(tool: Tool) -> None:
    lock = paths.ROOT / "_build" / build.LOCK
    with held(lock), pytest.raises(InputError, match="another command builds the book"):
        build.build_book()
    assert tool.calls == 0
    build.build_book()


def test_a_build_with_warnings_does_not_count_as_built(tool: Tool) -> None:
    tool.status = 1
    for _ in range(2):
        with pytest.raises(NotebookError, match="a page is bad"):
            build.build_book()
    assert tool.calls == 2


def test_another_jupyter_book_is_refused_by_its_version(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "version", lambda package: "2.0.1")
    with pytest.raises(InputError, match=r"jupyter-book 1.*2\.0\.1"):
        build.build_book()
    assert tool.calls == 0


def test_a_read_only_clone_is_built_elsewhere(tool: Tool, tmp_path: Path) -> None:
    for path in (paths.BOOK, paths.BOOK / "one.md"):
        path.chmod(path.stat().st_mode & 0o555)
    try:
        page = build.build_book(output=tmp_path / "elsewhere")
    finally:
        paths.BOOK.chmod(0o755)
    assert page == tmp_path / "elsewhere" / "_build" / "html" / "index.html" and page.is_file()


@pytest.mark.parametrize(
    ("count", "outputs", "fault"),
    [
        (1, [], ""),
        (None, [], "cell 1 was not executed"),
        (1, [{"output_type": "error"}], "cell 1 ended with an error"),
    ],
)
def test_a_page_that_was_not_executed_or_failed_is_not_published(
    tmp_path: Path, count: int | None, outputs: list[Any], fault: str
) -> None:
    cell = {"cell_type": "code", "source": "1", "execution_count": count, "outputs": outputs}
    (tmp_path / "page.ipynb").write_text(json.dumps({"metadata": {}, "cells": [cell]}))
    assert page_fault(tmp_path / "page.ipynb") == fault


def test_links_of_a_part_of_the_pages_lead_to_the_published_others() -> None:
    text = "see [one](one.ipynb) and [two](two.ipynb#here), [three](https://a.org/three.ipynb)"
    assert build._linked(text, {"one"}) == (
        "see [one](one.ipynb) and [two](../experiments/two.ipynb#here),"
        " [three](https://a.org/three.ipynb)"
    )


def test_what_jupyter_book_complains_about_is_named_without_its_colours(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coloured(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "\x1b[91mWARNING: bad\x1b[39;49;00m\n", "")

    monkeypatch.setattr(build.subprocess, "run", coloured)
    with pytest.raises(NotebookError, match=r": WARNING: bad$"):
        build.build_book()


def test_a_part_of_the_quick_pages_is_staged_with_links_that_lead_somewhere(
    tool: Tool, tmp_path: Path
) -> None:
    (tmp_path / "book" / "_toc.yml").write_text("parts: []\n")
    page = tmp_path / "one.ipynb"
    page.write_text("[itself](one.ipynb), [another](two.ipynb)")
    stage = build._stage(tmp_path / "stage", [page])
    staged = (stage / "quick" / "one.ipynb").read_text()
    assert staged == "[itself](one.ipynb), [another](../experiments/two.ipynb)"
    assert "quick/one" in (stage / "_toc.yml").read_text()
