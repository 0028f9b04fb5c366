"""The commands of the chapters' exercises are commands that exist, with parameters that exist."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from replication.base import paths
from replication.book import notebooks
from replication.cli.app import app
from replication.recipes import chosen

CHAPTERS = sorted((paths.BOOK / "paper").glob("*.md"))
COMMANDS = [
    (path, found)
    for path in CHAPTERS
    for found in re.findall(r"`((?:replication|python -c) [^`]*)`", path.read_text("utf-8"))
]
WRITES = {"run", "train", "evaluate", "bench", "data"}  # not run here: their arguments are checked


def test_the_lesson_s_nets_differ_in_the_activation_and_the_rate_that_was_chosen_for_it() -> None:
    text = (paths.BOOK / "run.md").read_text("utf-8")
    lesson = text.partition("## A lesson on Figure 1")[2].partition("\n### ")[0]
    lesson = lesson.replace("\\\n", "")  # a command over two lines
    relu, tanh = (
        chosen(
            words[2], "laptop", [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        )
        for words in map(shlex.split, re.findall("^replication train .*$", lesson, re.MULTILINE))
    )
    tried = pd.read_csv(paths.results() / "paper" / "relu_vs_tanh" / "selection.csv")
    best = tried[tried["chosen"] & (tried["candidate"] == "19pct")].set_index("activation")["rate"]
    assert (relu.update.rate, tanh.update.rate) == (best["relu"], best["tanh"])
    net = relu.net.model_copy(update={"activation": "tanh"})
    update = relu.update.model_copy(update={"rate": tanh.update.rate})
    assert relu.model_copy(update={"net": net, "update": update}) == tanh


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
