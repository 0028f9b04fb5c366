"""The paper as data: its claims (``claims.toml``), its tables and the numbers of its text
(``tables.toml``), and their reader.

Kinds of claim: A arithmetic, S structural, E experiment, Q a picture with a number beside it, C
context (quoted from others). An E or Q claim has targets: the numbers that can be measured for it,
each with the side of ``null`` on which the paper says it lies, and the range that counts as
``reproduced`` at the paper's own scale, fixed before any run at that scale."""

import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from replication.base.errors import InputError
from replication.base.models import Frozen, Model, validated

HERE = Path(__file__).resolve().parent

Kind = Literal["A", "S", "E", "Q", "C"]
Experiment = Literal[
    "architecture",
    "data_pipeline",
    "training",
    "relu_vs_tanh",
    "lrn_cifar",
    "ablations",
    "tables",
    "kernels",
    "predictions_and_neighbours",
    "binary_codes",
]
KINDS: dict[str, str] = {
    "A": "arithmetic",
    "S": "structural",
    "E": "experiment",
    "Q": "qualitative",
    "C": "context",
}


class Target(Frozen):
    """One number that can be measured for a claim, and what would make it agree with the paper."""

    variant: str = ""  # "" takes every variant that has no target of its own
    quantity: str  # what the number is, in words
    unit: str = ""  # "" for a pure ratio
    value: float | None = None  # the paper's number; None where the paper gives only a direction
    log2012: float | None = None  # the number that the 2012 code logged
    # the value that means no effect; None where only the paper's own scale can answer
    null: float | None = None
    side: Literal["above", "below"] | None = None  # the side of ``null`` that the paper claims
    # the range that counts as ``reproduced``, both ends included; None: open
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Target":
        if (self.null is None) != (self.side is None):
            raise ValueError("null and side go together")
        if self.low is None and self.high is None:
            raise ValueError("a target needs low, high, or both")
        if self.value is not None and not self.accepts(self.value):
            raise ValueError(
                f"the paper's own value {self.value} lies outside the range that counts as"
                " reproduced"
            )
        return self

    def accepts(self, number: float) -> bool:
        """Whether ``number`` lies in the range that counts as ``reproduced`` at the paper's
        scale.
        """
        return (self.low is None or number >= self.low) and (
            self.high is None or number <= self.high
        )


class Claim(Frozen):
    """One checkable statement of the paper."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    section: str
    kind: Kind
    statement: str  # in our own words
    paper: str  # the paper's value as text
    log2012: str = ""  # what the 2012 logs or source say; "" where they say nothing
    experiment: Experiment | None = None  # the module that measures it; None for C
    needs: str = ""  # hardware or data without which it cannot be measured, in words
    primary: str = ""  # the variant whose verdict is the row's verdict
    analogue: str | None = None  # the variant that takes its place below the paper's scale
    targets: tuple[Target, ...] = ()
    # why the targets' ranges are what they are; of A and S, how what was found is compared with the
    # paper
    tolerance: str = ""

    @model_validator(mode="before")
    @classmethod
    def _fill_targets(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Hand ``quantity``, ``unit``, ``null`` and ``side`` of the claim down to the targets that
        do not state their own.
        """
        fields = dict(fields)
        shared = {
            name: fields.pop(name)
            for name in ("quantity", "unit", "null", "side")
            if name in fields
        }
        if "targets" in fields:
            fields["targets"] = [{**shared, **target} for target in fields["targets"]]
        return fields

    @model_validator(mode="after")
    def _consistent(self) -> "Claim":
        if self.kind in "EQ" and not (self.targets and self.tolerance):
            raise ValueError("an E or Q claim needs targets and the reason of their tolerance")
        if self.kind in "ASC" and self.targets:
            raise ValueError("only E and Q claims have targets")
        if (self.kind == "C") != (self.experiment is None):
            raise ValueError("every claim but C names the experiment that measures it")
        if self.kind in "EQ":
            for variant in (self.primary, *([self.analogue] if self.analogue is not None else [])):
                if self.target(variant) is None:
                    raise ValueError(f"no target for variant {variant!r}")
        return self

    def target(self, variant: str) -> Target | None:
        """The target that judges ``variant``: its own, or the one without a name; None when there
        is neither.
        """
        named = {target.variant: target for target in self.targets}
        return named.get(variant, named.get(""))

    def variant_at(self, profile: str) -> str:
        """The variant whose verdict is the row's verdict at ``profile``."""
        return self.primary if profile == "paper" or self.analogue is None else self.analogue

    @property
    def needs_paper_scale(self) -> bool:
        """Whether nothing measured below the paper's scale can answer the claim."""
        target = self.target(self.variant_at("laptop"))
        return target is not None and target.null is None


class TableRow(Frozen):
    """One row of table 1 or 2. Errors in per cent; None is a dash in the paper. ``log2012``: the
    same cells as logged.
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
    """A table of the paper: what its columns were measured on, and where our copy of the cells
    comes from.
    """

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
        """The number of the text with this id. Raises KeyError."""
        return {number.id: number.value for number in self.number}[id]


@cache
def claims() -> tuple[Claim, ...]:
    """Every claim, in the paper's order."""
    return read_entries(HERE / "claims.toml", "claim", Claim)


def claim(id: str) -> Claim:
    """The claim with this id. Raises InputError that lists the ids."""
    named = {claim.id: claim for claim in claims()}
    if id not in named:
        raise InputError(
            f"claim {id!r} is not in replication/paper/claims.toml; it has {', '.join(named)}"
        )
    return named[id]


@cache
def tables() -> Tables:
    """Tables 1 and 2 and the numbers of the text."""
    return validated(Tables, "tables.toml", _parse(HERE / "tables.toml"))


def read_entries(path: Path, word: str, kind: type[Model]) -> tuple[Model, ...]:
    """Every ``[[word]]`` of a TOML file, in its order. Raises InputError that names the entry at
    fault and why.
    """
    read = [
        validated(kind, f"{path.name}, {word} {entry.get('id', '?')}", entry)
        for entry in _parse(path).get(word, [])
    ]
    twice = sorted(id for id, count in Counter(one.id for one in read).items() if count > 1)
    if twice:
        raise InputError(f"{path.name}: {word} {twice[0]} stands there twice; keep one")
    return tuple(read)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is not TOML: {error}") from error
