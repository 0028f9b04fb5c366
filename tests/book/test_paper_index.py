"""The page that leads from the paper's sentences to the code."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from replication.book.paper_index import CHAPTERS, ids_of, index_html
from replication.ledger.tables import anchor, ledger_html
from replication.ledger.verdicts import ledger
from replication.paper import claims
from replication.paper.index import place, sentences


def test_every_sentence_is_on_the_page_with_file_and_line_test_and_claim() -> None:
    page = index_html(sentences(), "../")
    assert page.count("<tr id=") == len(sentences())
    one = next(one for one in sentences() if one.words.startswith("PCA"))
    row = page.split(f'<tr id="{one.id}">')[1].split("</tr>")[0].replace("<wbr>", "")
    assert str(place(one.symbols[0])) in row and "data/test_statistics.py" in row
    assert '<a href="../experiments/claims.html">colour-gain</a>' in row
    page = index_html(sentences(), "../", {"claim-colour-gain"})
    assert '<a href="../experiments/claims.html#claim-colour-gain">colour-gain</a>' in page


def test_the_ids_of_an_executed_ledger_are_those_to_which_the_index_links(tmp_path: Path) -> None:
    assert ids_of(tmp_path / "claims.ipynb") == set()
    output = new_output("display_data", {"text/html": ledger_html(ledger())})
    cell = new_code_cell("", outputs=[output])
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "claims.ipynb")
    found = ids_of(tmp_path / "claims.ipynb")
    assert found == {anchor(one.id) for one in claims()}


def test_a_path_breaks_between_its_parts() -> None:
    page = index_html(sentences(), "../")
    assert "replication/<wbr>" in page and "tests/<wbr>" not in page


def test_every_section_has_a_chapter() -> None:
    assert {one.section for one in sentences()} <= set(CHAPTERS)
