"""Tables 1 and 2 and the numbers of the running text, as printed (``tables.toml``)."""

from functools import cache

from replication.base.models import Frozen, validated
from replication.paper.entries import HERE, parse


class TableRow(Frozen):
    """One row of Table 1 or 2, errors in per cent; None is a dash in the paper.

    ``log2012``: the same cells as logged.
    """

    model: str
    cited: bool = False  # printed in italics in the paper: a result of others
    claim: str  # the row of the ledger
    top1: float | None = None
    top5: float | None = None
    test_top5: float | None = None  # table 2 has one column more
    log2012_top1: float | None = None
    log2012_top5: float | None = None
    log2012_run: str = ""


class Table(Frozen):
    """A table of the paper, with the data of its columns and the origin of our copy."""

    title: str
    columns: str
    provenance: str
    rows: tuple[TableRow, ...]


class Number(Frozen):
    """A number of the running text."""

    id: str
    value: float
    unit: str = ""
    section: str
    meaning: str


class Tables(Frozen):
    """Everything in ``tables.toml``."""

    table1: Table
    table2: Table
    number: tuple[Number, ...]

    def value(self, id: str) -> float:
        """Return the number of the text with this id. Raises KeyError."""
        return {number.id: number.value for number in self.number}[id]


@cache
def tables() -> Tables:
    """Return Tables 1 and 2 and the numbers of the text."""
    return validated(Tables, "tables.toml", parse(HERE / "tables.toml"))
