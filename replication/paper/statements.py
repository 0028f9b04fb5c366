"""The paper's claims as data (``claims.toml``): models and reader.

Kinds of claim: A arithmetic, S structural, E experiment, Q a picture with a number beside it, C
context (quoted from others). An E or Q claim has targets: the numbers that can be measured for it,
each with the side of ``null`` on which the paper puts it, and the range that counts as
``reproduced`` at the paper's own scale.
"""

from datetime import date
from functools import cache
from typing import Any, Literal

from pydantic import Field, model_validator

from replication.base.errors import InputError
from replication.base.models import Frozen, validated
from replication.paper.entries import HERE, parse, read_entries

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


class PaperScale(Frozen):
    """What has to be run for a measurement to be at the paper's own scale."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    meaning: str  # as text, for a reader of the ledger
    data: tuple[str, ...] = ()  # names of the catalog; (): any
    # of the index of all training images; (): judged by name and count, for data that nobody here
    # has
    fingerprints: tuple[str, ...] = ()
    images: int = Field(ge=1)  # at least this many training images
    classes: int = Field(ge=2)
    side: int | None = Field(None, ge=8)  # of the square that the net sees, pixels
    # fields of the recipe's net, each with the values that are the paper's
    net: dict[str, tuple[str | float, ...]] = {}
    target_error: float | None = Field(None, gt=0, lt=1)  # the training error that is raced to
    epochs: int | None = Field(None, ge=1)  # at least so many are planned
    # first trained on data of at least so many classes; None: fresh weights
    pretrained_classes: int | None = Field(None, ge=2)


class Change(Frozen):
    """One change of how a claim is measured or judged, after its first entry."""

    date: date
    what: str
    why: str
    seen: bool  # whether results of the claim had been seen when it was changed


class Target(Frozen):
    """One number that can be measured for a claim, and the range that agrees with the paper."""

    variant: str = ""  # "" takes every variant that has no target of its own
    quantity: str  # what the number is, as text
    unit: str = ""  # "" for a pure ratio
    value: float | None = None  # the paper's number; None where the paper gives only a direction
    log2012: float | None = None  # the number that the 2012 code logged
    # the value that means no effect; None where only the paper's own scale can answer
    null: float | None = None
    side: Literal["above", "below"] | None = None  # the side of ``null`` that the paper claims
    # the range that counts as ``reproduced``, both ends included; None: open
    low: float | None = None
    high: float | None = None
    # the size of a difference without its sign: on the other side of ``null`` it says nothing
    unsigned: bool = False
    share: bool = False  # of the runs: its interval is that of a binomial proportion
    scale: str = ""  # the paper's own for this number; "": the claim's
    test: bool = False  # the p of a test of all runs decides, in place of the interval

    @model_validator(mode="after")
    def _consistent(self) -> "Target":
        if (self.null is None) != (self.side is None):
            raise ValueError("null and side go together")
        if self.low is None and self.high is None:
            raise ValueError("a target needs low, high, or both")
        if self.value is not None and not self.accepts(self.value):
            raise ValueError(
                f"the paper's own value {self.value} is outside the range that counts as reproduced"
            )
        return self

    @property
    def ratio(self) -> bool:
        """Whether the number is a ratio, whose statistics are on logarithms."""
        return self.null == 1.0

    def accepts(self, number: float) -> bool:
        """Return whether ``number`` is in the range that counts as ``reproduced``."""
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
    # what the 2012 logs or source say, or the contest's page of results; "" where they say nothing
    log2012: str = ""
    experiment: Experiment | None = None  # the module that measures it; None for C
    needs: str = ""  # hardware or data without which it cannot be measured, as text
    scale: str = ""  # id of the paper's own scale, for E and Q
    # A and S: why the check cannot come out false; "" if it can
    cannot_fail: str = ""
    primary: str = ""  # the variant whose verdict is the row's verdict
    analogue: str | None = None  # the variant that takes its place below the paper's scale
    targets: tuple[Target, ...] = ()
    # why the targets' ranges are what they are; of A and S, how what was found is compared with the
    # paper
    tolerance: str = ""
    changes: tuple[Change, ...] = ()  # oldest first

    @model_validator(mode="before")
    @classmethod
    def _fill_targets(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Copy ``quantity``, ``unit``, ``null`` and ``side`` to targets without their own."""
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
        if (self.kind in "EQ") != bool(self.scale):
            raise ValueError("an E or Q claim, and no other, names the paper's scale")
        if self.cannot_fail and self.kind not in "AS":
            raise ValueError("cannot_fail is for A and S claims")
        if list(self.changes) != sorted(self.changes, key=lambda change: change.date):
            raise ValueError("changes are listed from the oldest to the newest")
        if (self.kind == "C") != (self.experiment is None):
            raise ValueError("every claim but C names the experiment that measures it")
        if self.kind in "EQ":
            for variant in (self.primary, *([self.analogue] if self.analogue is not None else [])):
                if self.target(variant) is None:
                    raise ValueError(f"no target for variant {variant!r}")
        return self

    def target(self, variant: str) -> Target | None:
        """Return the target that judges ``variant``: its own, or else the one without a name.

        None if there is neither.
        """
        named = {target.variant: target for target in self.targets}
        return named.get(variant, named.get(""))

    def scale_of(self, variant: str | None = None) -> str:
        """Return the name of the paper's own scale for a variant; None: for the primary one."""
        target = self.target(self.primary if variant is None else variant)
        return (target.scale if target is not None else "") or self.scale

    def variant_at(self, profile: str) -> str:
        """Return the variant whose verdict is the row's verdict at ``profile``."""
        return self.primary if profile == "paper" or self.analogue is None else self.analogue

    @property
    def needs_paper_scale(self) -> bool:
        """Whether nothing measured below the paper's scale can answer the claim."""
        target = self.target(self.variant_at("laptop"))
        return target is not None and target.null is None


@cache
def claims() -> tuple[Claim, ...]:
    """Return every claim, in the paper's order."""
    read = read_entries(HERE / "claims.toml", "claim", Claim)
    for one in read:
        for scale in filter(None, (one.scale, *(target.scale for target in one.targets))):
            paper_scale(scale)
    return read


def claim(id: str) -> Claim:
    """Return the claim with this id. Raises InputError that lists the ids."""
    named = {claim.id: claim for claim in claims()}
    if id not in named:
        raise InputError(
            f"claim {id!r} is not in replication/paper/claims.toml; it has {', '.join(named)}"
        )
    return named[id]


@cache
def rule_changes() -> tuple[Change, ...]:
    """Return the changes of the rules for every row, oldest first."""
    entries = parse(HERE / "claims.toml").get("change", [])
    return tuple(validated(Change, "claims.toml, change", entry) for entry in entries)


@cache
def paper_scale(id: str) -> PaperScale:
    """Return the paper's scale with this id. Raises InputError that lists the ids."""
    named = {one.id: one for one in read_entries(HERE / "claims.toml", "scale", PaperScale)}
    if id not in named:
        raise InputError(f"scale {id!r} is not in claims.toml; it has {', '.join(named)}")
    return named[id]
