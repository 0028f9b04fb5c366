"""Results pages that were executed before the rules of the verdicts changed.

A page shows the verdicts of the day on which it was executed. If the rules or a claim's quantity
have changed since, and the page was not executed again, it says so and shows today's verdicts."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from replication.base import paths
from replication.ledger.chips import slug
from replication.ledger.measurement import FILE, Measurement, read_measurements
from replication.ledger.rules import judge
from replication.paper import claim

Notebook = dict[str, Any]
CALL = "verdicts_html("  # in a cell that shows a page's verdicts
# a row of such a table: its verdict, and its claim unless it is that of the row above
SHOWN = re.compile(r'<tr data-verdict="([^"]+)"[^>]*>(?:<td><span class="id">([^<]+)</span>)?')
FOLD = "The table as it was when the page was executed"
NOTE = """:::{{warning}}
This page was executed before the last change of the verdict rules. By today's rules:

```{{claims}} {claims}
```
:::"""


def note(cell: Notebook, profile: str, experiment: str) -> str:
    """Return MyST text with today's verdicts for a cell that shows others; else ""."""
    if cell["cell_type"] != "code" or CALL not in "".join(cell["source"]):
        return ""
    file = paths.results() / profile / experiment / FILE
    if not file.is_file():
        return ""
    measurements = read_measurements(file)
    table = "".join("".join(one) for one in _html(cell))
    there = Counter(_shown(table))
    if there and not there - Counter((one.claim, _word(one)) for one in measurements):
        return ""
    named = {one.claim for one in measurements if f">{one.claim}<" in table}
    shown = dict.fromkeys(one.claim for one in measurements if one.claim in named or not named)
    return NOTE.format(claims=" ".join(shown)) if shown else ""


def _shown(table: str) -> Iterator[tuple[str, str]]:
    """Yield the claim and the verdict of every row."""
    claim = ""
    for row in SHOWN.finditer(table):
        claim = row[2] or claim
        yield claim, row[1]


def _word(measurement: Measurement) -> str:
    return slug(judge(claim(measurement.claim), measurement)[0])


def _html(cell: Notebook) -> list[list[str] | str]:
    return [output.get("data", {}).get("text/html", "") for output in cell["outputs"]]
