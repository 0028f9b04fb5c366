"""Counts with their nouns."""

import pytest

from replication.base.text import counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "run", "0 runs"),
        (1, "thread", "1 thread"),
        (1600, "training image", "1,600 training images"),
        (2, "class", "2 classes"),
        (2, "process", "2 processes"),
        (2, "epoch", "2 epochs"),
        (3, "copy", "3 copies"),
        (2, "display", "2 displays"),
    ],
)
def test_a_noun_agrees_with_its_number(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
