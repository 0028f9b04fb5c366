"""A results page whose verdicts are not today's says so, and shows today's."""

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_output

from replication.book import old_verdicts, results_pages
from replication.ledger.measurement import measured, write_measurements
from replication.ledger.tables import verdicts_html


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Today's table of one measurement, which is stored."""
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    values = [0.8, 0.7, 0.75, 0.8, 0.7]
    ours = measured("kernels", values, profile="laptop", scale="made up")
    write_measurements("laptop", "kernels", [ours])
    return verdicts_html([ours])


def cell(table: str, source: str = "HTML(verdicts_html(ours))"):
    output = new_output("display_data", {"text/html": table})
    return new_code_cell(source, outputs=[output])


def test_a_page_with_today_s_verdicts_is_shown_as_it_is(shown: str) -> None:
    assert old_verdicts.note(cell(shown), "laptop", "kernels") == ""


@pytest.mark.parametrize("change", ["another verdict", "a table from before there were chips"])
def test_a_page_with_other_verdicts_says_so(shown: str, change: str) -> None:
    table = shown.replace('data-verdict="direction-reproduced"', 'data-verdict="inconclusive"')
    if change != "another verdict":
        table = "<table><tr><td>kernels</td><td>inconclusive</td></tr></table>"
    assert table != shown
    note = old_verdicts.note(cell(table), "laptop", "kernels")
    assert "{claims} kernels" in note and "By today's rules" in note


def test_two_claims_that_changed_places_are_not_today_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    sure, open_ = [3.0, 3.1, 2.9, 3.0, 3.1], [1.0, -1.0, 2.0, -2.0, 0.5]
    about = {"profile": "laptop", "scale": "made up"}
    before, today = (
        [
            measured("lrn-gain", first, variant="top-1", **about),
            measured("overlap-gain", second, variant="top-1", **about),
        ]
        for first, second in ((sure, open_), (open_, sure))
    )
    write_measurements("laptop", "ablations", today)
    assert old_verdicts.note(cell(verdicts_html(today)), "laptop", "ablations") == ""
    note = old_verdicts.note(cell(verdicts_html(before)), "laptop", "ablations")
    assert "{claims} lrn-gain overlap-gain" in note


def test_other_tables_and_other_results_are_left_alone(shown: str) -> None:
    assert old_verdicts.note(cell("<table></table>", "HTML(errors())"), "laptop", "kernels") == ""
    assert old_verdicts.note(cell("<table></table>"), "laptop", "not_stored") == ""


def test_the_table_of_the_day_is_folded_under_today_s(shown: str) -> None:
    old = cell("<table></table>")
    cells = results_pages._with_todays_verdicts([old], "laptop", "kernels")
    assert [one["cell_type"] for one in cells] == ["markdown", "code"]
    assert set(old.metadata.tags) == {"remove-input", "hide-output"}
