"""The one style of the tables on results pages: a DataFrame as HTML.

Every text is escaped.
The style itself is in ``book/_static/book.css``, under the class ``numbers``."""

import html
import math
import re
from collections.abc import Callable, Mapping

import pandas as pd

NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+ ?%?")
# a number and its interval, and a remark if there is one
INTERVAL = re.compile(rf"({NUMBER.pattern}) (\[[^\]]+\])( \w[\w ]*)?")
NOT_A_NUMBER = re.compile(r"[+-]?nan ?%?")  # what a format makes of NaN
Formats = Mapping[str, Callable[[object], str]]


def html_table(frame: pd.DataFrame, formats: Formats | None = None, missing: str = "") -> str:
    """Return a table that scrolls sideways on a narrow screen.

    ``formats`` turns a column's values into text; ``missing`` is the text for None and NaN. In a
    column of numbers the decimal points are under one another: floats get one number of decimals,
    cells are aligned to the right, and an interval has a line of its own, before a remark on it."""
    cells = {
        name: _texts(frame[name], (formats or {}).get(str(name)), missing) for name in frame.columns
    }
    numeric = {name: _is_numeric(texts) for name, texts in cells.items()}
    head = "".join(f"<th{_kind(numeric[name])}>{html.escape(str(name))}</th>" for name in cells)
    rows = (
        "".join(
            f"<td{_kind(numeric[name])}>{_cell(text)}</td>"
            for name, text in zip(cells, row, strict=True)
        )
        for row in zip(*cells.values(), strict=True)
    )
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        '<div class="wide"><table class="dataframe numbers">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _texts(column: pd.Series, form: Callable[[object], str] | None, missing: str) -> list[str]:
    if form is None:
        form = _decimals(column) if column.dtype.kind == "f" else str
    texts = [missing if _is_missing(value) else form(value) for value in column]
    return [missing if NOT_A_NUMBER.fullmatch(text) else text for text in texts]


def _decimals(column: pd.Series) -> Callable[[object], str]:
    """Return a format with as many decimals as the column's longest value, at most six."""
    texts = [f"{value:.6f}".rstrip("0") for value in column.dropna()]
    longest = max((len(text.partition(".")[2]) for text in texts), default=0)
    return lambda value: f"{value:,.{longest}f}"


def aligned(column: pd.Series) -> Callable[[object], str]:
    """Return a format with one number of decimals for measured numbers.

    Two significant digits of the smallest, at most four decimals."""
    sizes = column.abs()
    smallest = sizes[sizes > 0].min()
    decimals = 0 if math.isnan(smallest) else min(4, max(0, 1 - math.floor(math.log10(smallest))))
    return lambda value: f"{value:,.{decimals}f}"


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_numeric(texts: list[str]) -> bool:
    """Return whether most filled cells are numbers; other cells say why one is missing."""
    filled = [text for text in texts if text]
    numbers = [text for text in filled if NUMBER.fullmatch(text) or INTERVAL.fullmatch(text)]
    return bool(numbers) and 2 * len(numbers) >= len(filled)


def _kind(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


def _cell(text: str) -> str:
    if found := INTERVAL.fullmatch(text):
        mean, interval, remark = found.groups()
        cell = f'{html.escape(mean)} <span class="interval">{html.escape(interval)}</span>'
        return f"{cell}{html.escape(remark)}" if remark else cell
    return html.escape(text)
