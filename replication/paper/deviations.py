"""The differences between paper, released source of 2012 and this replication, as data.

They are read from ``deviations.toml``. A deviation names its place in the source, why it matters or
why it was chosen, the recipe's option that chooses a side, the chapters that it touches, and the
place in ``results/`` of its measured effect.
"""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from replication.base.errors import InputError
from replication.base.models import Frozen
from replication.paper import claim, claims, read_entries

FILE = Path(__file__).resolve().parent / "deviations.toml"
Part = Literal["net", "learning", "data", "scale", "numbers", "figures"]
PARTS: dict[Part, str] = {
    "net": "The net",
    "learning": "Learning",
    "data": "Data",
    "scale": "Scale",
    "numbers": "Where the numbers come from",
    "figures": "Figures and evaluation",
}


class Effect(Frozen):
    """The place of a deviation's measured effect.

    It is a cell of an experiment's table, or a claim of the ledger.
    """

    quantity: str = ""  # the name of the number, as text
    unit: str = ""
    experiment: str = ""  # folder in results/<profile>/
    file: str = ""  # its CSV file
    row: dict[str, str] = {}  # the one row whose columns have these values
    column: str = ""
    # columns of the interval's ends and of the number of seeds; an empty cell in ``column`` is an
    # effect that is not measured yet
    low: str = ""
    high: str = ""
    seeds: str = ""
    claim: str = ""  # instead of a cell: a claim, shown as the ledger shows it
    variant: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> "Effect":
        cell = (self.experiment, self.file, self.row, self.column, self.quantity)
        if self.claim:
            if any(cell):
                raise ValueError("a claim or a cell of a table, not both")
            try:
                claim(self.claim)
            except InputError as error:
                raise ValueError(str(error)) from error
        elif not all(cell):
            raise ValueError("experiment, file, row, column and quantity go together")
        if len({bool(part) for part in (self.low, self.high, self.seeds)}) > 1:
            raise ValueError("low, high and seeds go together")
        return self


class Deviation(Frozen):
    """One difference between the paper, its source and this replication."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    # the paper against its source, or the paper against this replication
    kind: Literal["source", "ours"]
    part: Part
    what: str
    paper: str  # what the paper says
    source: str = ""  # what the source does; "" for ours
    here: str  # what this project does
    section: str  # of the paper, several joined by ", "
    file: str  # the file of the source, with lines; "" if no file has it
    why: str  # reason why it matters, or was done
    switch: str = ""  # option of the recipe that chooses a side
    pages: tuple[str, ...] = ()  # experiments whose chapters it touches
    measured: tuple[Effect, ...] = ()

    @property
    def sections(self) -> tuple[str, ...]:
        """The paper's sections as a list."""
        return tuple(self.section.split(", "))

    @model_validator(mode="after")
    def _consistent(self) -> "Deviation":
        if (self.kind == "source") != bool(self.source):
            raise ValueError(
                "a deviation of the source says what the source does, one of ours does not"
            )
        return self


@cache
def deviations() -> tuple[Deviation, ...]:
    """Return every deviation, in the file's order.

    Raises InputError that names the entry and the field at fault.
    """
    claims()  # so that a damaged claims.toml is not taken for a fault of this file
    return read_entries(FILE, "deviation", Deviation)


def touching(page: str) -> tuple[Deviation, ...]:
    """Return the deviations that touch the chapter of an experiment."""
    return tuple(one for one in deviations() if page in one.pages)


def of_section(section: str) -> tuple[Deviation, ...]:
    """Return the deviations that concern a section of the paper."""
    return tuple(one for one in deviations() if section in one.sections)
