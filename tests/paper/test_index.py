"""The paper's index: every symbol and test exists, every claim occurs, and words find the code."""

import ast

import pytest

from replication.base import paths
from replication.paper import claim, claims
from replication.paper.index import find, place, sentences


def test_it_has_60_to_90_sentences_in_the_papers_order() -> None:
    assert 60 <= len(sentences()) <= 90
    sections = ["abstract", "1", "2", "3", "3.1", "3.2", "3.3", "3.4", "3.5"]
    sections += ["4.1", "4.2", "5", "6", "6.1", "7"]
    order = [sections.index(one.section) for one in sentences()]
    assert order == sorted(order) and set(order) == set(range(len(sections)))
    assert len({one.words for one in sentences()}) == len(sentences())


@pytest.mark.parametrize("symbol", sorted({s for one in sentences() for s in one.symbols}))
def test_every_symbol_exists(symbol: str) -> None:
    assert (paths.ROOT / place(symbol).file).is_file()


def test_every_test_exists() -> None:
    names: dict[str, set[str]] = {}
    missing = []
    for file, _, name in (test.partition("::") for one in sentences() for test in one.tests):
        if file not in names:
            path = paths.ROOT / file
            body = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
            names[file] = {node.name for node in body if isinstance(node, ast.FunctionDef)}
        if name not in names[file]:
            missing.append(f"{file}::{name}")
    assert missing == []
    assert all(one.tests for one in sentences())


def test_every_claim_occurs_and_no_other() -> None:
    named = {id for one in sentences() for id in one.claims}
    assert {one.id for one in claims()} - named == set()
    assert all(claim(id).id == id for id in named)


@pytest.mark.parametrize(
    ("words", "symbol"),  # what a reader of the PDF looks for
    [
        ("dropout", "nets.dropout.Dropout"),
        ("PCA", "data.prepared.statistics.statistics"),
        ("ten views", "data.augment.views.offsets"),
        ("normalization", "nets.normalisation.LocalResponseNorm"),
        ("overlapping pooling", "nets.alexnet.Tower"),
        ("update rule", "training.sgd.PaperSGD"),
        ("plateau rule", "training.schedule.decide"),
        ("biases constant 1", "nets.alexnet.initialise"),
        ("Gaussian 0.01", "nets.alexnet.initialise"),
        ("random patches", "data.augment.draws.draw"),
        ("mean activity", "data.prepared.statistics.mean_image"),
        ("figure 1 rates", "experiments.figure1.next_rate"),
        ("footnote 2", "nets.alexnet.NAMED"),
        ("sixth convolutional layer", "nets.alexnet.Tower"),
        ("Fall 2009", "paper.printed.tables"),
        ("dropout iterations", "experiments.common.comparison.iterations_to_validation"),
        ("binary codes", "analysis.codes.Autoencoder"),
    ],
)
def test_a_reader_with_the_pdf_finds_the_code(words: str, symbol: str) -> None:
    assert f"replication.{symbol}" in [name for one in find(words) for name in one.symbols]
