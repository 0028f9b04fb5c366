"""Recipe files as people write them: numbers are read as they look, and nothing is guessed."""

from pathlib import Path

import pytest

from replication.base.errors import InputError
from replication.recipes import as_yaml, chosen


def _with(tmp_path: Path, line: str) -> str:
    key = line.split(":")[0]
    lines = as_yaml(chosen("alexnet", "quick")).splitlines()
    lines = [line if old.startswith(f"{key}:") else old for old in lines]
    path = tmp_path / "mine.yaml"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize(("text", "seed"), [("010", 10), ("'7'", 7), ("12", 12), ("+3", 3)])
def test_a_whole_number_is_decimal(tmp_path: Path, text: str, seed: int) -> None:
    assert chosen(_with(tmp_path, f"seed: {text}"), "quick").seed == seed


@pytest.mark.parametrize("text", ["yes", "on", "1:30", "0x10"])
def test_a_word_is_no_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="epochs: should be a whole number"):
        chosen(_with(tmp_path, f"epochs: {text}"), "quick")


def test_a_date_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not YAML"):
        chosen(_with(tmp_path, "seed: 2012-99-99"), "quick")


def test_a_field_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    path = Path(_with(tmp_path, "epochs: 3"))
    path.write_text(path.read_text() + "epochs: 4\n")
    with pytest.raises(InputError, match="epochs is given twice"):
        chosen(str(path), "quick")


def test_a_file_that_was_printed_is_the_same_recipe(tmp_path: Path) -> None:
    recipe = chosen("alexnet", "quick")
    assert chosen(_with(tmp_path, f"seed: {recipe.seed}"), "quick").id == recipe.id
