"""The page that leads from the paper's sentences to the code."""

from replication.book.paper_index import CHAPTERS, index_html
from replication.paper.index import place, sentences


def test_every_sentence_is_on_the_page_with_file_and_line_test_and_claim() -> None:
    page = index_html(sentences(), "../")
    assert page.count("<tr id=") == len(sentences())
    one = next(one for one in sentences() if one.words.startswith("PCA"))
    row = page.split(f'<tr id="{one.id}">')[1].split("</tr>")[0].replace("<wbr>", "")
    assert str(place(one.symbols[0])) in row and "data/test_statistics.py" in row
    assert '<a href="../experiments/claims.html">colour-gain</a>' in row


def test_a_path_breaks_between_its_parts() -> None:
    page = index_html(sentences(), "../")
    assert "replication/<wbr>" in page and "tests/<wbr>" not in page


def test_every_section_has_a_chapter() -> None:
    assert {one.section for one in sentences()} <= set(CHAPTERS)
