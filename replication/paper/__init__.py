"""The paper as data: its claims (``claims.toml``), its tables and the numbers of its text
(``tables.toml``), and the index of its sentences (``index.toml``).
"""

from replication.paper.entries import HERE, read_entries
from replication.paper.printed import Number, Table, TableRow, Tables, tables
from replication.paper.statements import (
    KINDS,
    Change,
    Claim,
    Experiment,
    Kind,
    PaperScale,
    Target,
    claim,
    claims,
    paper_scale,
    rule_changes,
)

__all__ = [
    "HERE",
    "KINDS",
    "Change",
    "Claim",
    "Experiment",
    "Kind",
    "Number",
    "PaperScale",
    "Table",
    "TableRow",
    "Tables",
    "Target",
    "claim",
    "claims",
    "paper_scale",
    "read_entries",
    "rule_changes",
    "tables",
]
