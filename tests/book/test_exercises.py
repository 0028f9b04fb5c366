"""The commands of the chapters' exercises are commands that exist, with parameters that exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from replication.base import paths
from replication.book import notebooks
from replication.cli.app import app

CHAPTERS = sorted((paths.BOOK / "paper").glob("*.md"))
COMMANDS = [
    (path, found)
    for path in CHAPTERS
    for found in re.findall(r"`((?:replication|python -c) [^`]*)`", path.read_text("utf-8"))
]
WRITES = {"run", "train", "evaluate", "bench", "data"}  # not run here: their arguments are checked


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_exercises_and_a_picture(path: Path) -> None:
    text = path.read_text("utf-8")
    if "What the paper says" not in text:
        return  # the index of the paper's sentences
    exercises = text.partition("## Exercises")[2]
    assert len(re.findall(r"^\d\. ", exercises, flags=re.MULTILINE)) >= 2
    assert "```{plate}" in text or "```{result-figure}" in text
    assert text.index("## Exercises") > text.index("## What we found")


@pytest.mark.parametrize(
    ("path", "command"), COMMANDS, ids=[f"{path.stem}: {text[:40]}" for path, text in COMMANDS]
)
def test_an_exercise_s_command_is_right(path: Path, command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "python":
        exec(compile(arguments[1], str(path), "exec"), {})
        return
    name, *rest = arguments
    changes = [rest[i + 1] for i, word in enumerate(rest[:-1]) if word == "--set"]
    if name == "run":
        notebooks.parameters(rest[0], "quick", changes)
    elif name == "train":
        done = CliRunner().invoke(app, [name, *rest, "--dry-run"])
        assert done.exit_code == 0, done.output
    elif name in WRITES:
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0
    else:
        assert CliRunner().invoke(app, [name, *rest]).exit_code == 0
