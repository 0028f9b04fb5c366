"""The paper as data: its claims, tables, numbers and sentences.

``claims.toml`` has the claims, ``tables.toml`` the tables and the numbers of the text, and
``index.toml`` the index of its sentences.
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
