"""The one style of the results' tables."""

import pandas as pd

from replication.base.html_tables import aligned, html_table


def test_decimal_points_are_under_one_another() -> None:
    shown = html_table(pd.DataFrame({"rate": [0.02, 0.004], "net": ["a", "b<c"]}))
    assert "0.020</td>" in shown and "0.004</td>" in shown
    assert shown.count('class="number"') == 3  # the heading and two cells
    assert "b&lt;c" in shown


def test_an_interval_is_on_a_line_of_its_own() -> None:
    shown = html_table(pd.DataFrame({"error": ["+4.24 [+0.75, +7.73]", "-1.09"]}))
    assert '+4.24 <span class="interval">[+0.75, +7.73]</span>' in shown
    assert shown.count('class="number"') == 3


def test_a_remark_stands_below_the_interval() -> None:
    cells = ["1.10 [0.18, 2.02] excluded", "2.30", "1.50 [0.01, 2.99] possible"]
    shown = html_table(pd.DataFrame({"distance": cells}))
    assert '1.10 <span class="interval">[0.18, 2.02]</span> excluded</td>' in shown
    assert shown.count('class="number"') == 4


def test_words_for_a_missing_number_do_not_change_its_column() -> None:
    shown = html_table(
        pd.DataFrame({"epochs": ["7.86", "not reached", "9.10"], "x": [1.0, None, 2]})
    )
    assert '<td class="number">not reached</td>' in shown
    assert "nan" not in shown.lower()


def test_a_format_applies_to_its_column() -> None:
    frame = pd.DataFrame({"share": [0.123, 0.5], "ok": [True, False]})
    shown = html_table(frame, {"share": "{:.1%}".format, "ok": lambda yes: "yes" if yes else "no"})
    assert "12.3%" in shown and "50.0%" in shown and "<td>yes</td>" in shown


def test_nan_that_a_format_turned_into_text_is_missing() -> None:
    speeds = pd.Series([1346.0, float("nan")]).map("{:,.0f}".format)
    shown = html_table(pd.DataFrame({"images/s": speeds}))
    assert "nan" not in shown and '<td class="number">1,346</td>' in shown


def test_measured_numbers_keep_two_digits_of_the_smallest() -> None:
    column = pd.Series([5.7128, 0.428, 0.0836])
    assert [aligned(column)(value) for value in column] == ["5.713", "0.428", "0.084"]
    assert aligned(pd.Series([14600.0, 213.4]))(14600.0) == "14,600"
    assert aligned(pd.Series([0.0, 0.0000012]))(0.0) == "0.0000"
    assert aligned(pd.Series([0.0]))(0.0) == "0"
