"""From words of the paper to code: the search, and where symbols are found."""

import json

import pytest
from typer.testing import CliRunner

from replication.base.errors import InputError
from replication.base.paths import ROOT
from replication.cli import app as command_line
from replication.paper import index

ENTRIES = (
    index.Sentence(
        id="pca",
        section="4.1",
        words="PCA on the set of RGB pixel values",
        symbols=("replication.data.prepared.statistics.Statistics.eigenvalues",),
        tests=("tests/data/test_statistics.py::test_x",),
        claims=("colour",),
        also="colour noise",
    ),
    index.Sentence(
        id="views",
        section="4.1",
        words="extracting five 224",
        symbols=("replication.cli.app.main",),
    ),
)


@pytest.fixture(autouse=True)
def entries(monkeypatch):
    monkeypatch.setattr(index, "sentences", lambda: ENTRIES)


@pytest.mark.parametrize("words", ["PCA", "pca rgb", "colour", "eigenvalues", "pixel value"])
def test_any_words_of_a_sentence_find_it_in_any_case(words):
    assert [one.id for one in index.find(words)] == ["pca"]


def test_a_section_lists_its_sentences():
    assert [one.id for one in index.find("4.1")] == ["pca", "views"]


def test_words_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="no sentence of the paper's index has 'transformer'"):
        index.find("transformer")


def test_a_symbol_is_found_in_its_file_without_importing_it():
    place = index.place("replication.data.prepared.statistics.Statistics.eigenvalues")
    line = (ROOT / place.file).read_text().splitlines()[place.line - 1]
    assert line.strip().startswith("eigenvalues:")
    with pytest.raises(InputError, match="Statistics.nothing is not defined"):
        index.place("replication.data.prepared.statistics.Statistics.nothing")


def test_the_command_prints_file_line_test_and_claim():
    answer = CliRunner().invoke(command_line.app, ["where", "PCA"])
    place = str(index.place(ENTRIES[0].symbols[0]))
    assert answer.exit_code == 0
    assert all(part in answer.output for part in (place, "test_x", "colour", "4.1"))
    found = json.loads(CliRunner().invoke(command_line.app, ["where", "PCA", "--json"]).stdout)
    assert found[0]["places"] == [place]
