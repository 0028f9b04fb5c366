"""The tables of the page about power, computed when the book is built: the directive ``{power}``.

``{power} needed``: the spread of each quantity and the seeds that the paper's effect needs.
``{power} intervals``: the two intervals that a verdict needs, side by side.
``{power} false``: how often the rules find an effect where there is none.
``{power} reproduced``: how often an effect counts as reproduced although there is none."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from replication.base.html_tables import html_table
from replication.book.current import note_results, rows
from replication.ledger import power
from replication.ledger.intervals import Compared, compared
from replication.ledger.units import (
    factor_and_unit,
    number,
    numbers,
    shown_unit,
    unit_of_differences,
    with_unit,
)
from replication.ledger.verdicts import Row
from replication.paper import claim, claims

# whose spread is that of top-1 error, in the family of the variants
TOP1 = "two-gpu-gain"
# whose families the simulation takes: one with about equal spreads, and one with unequal ones
UNEQUAL = {TOP1: "the top-1 error", "overlap-overfit": "the gap"}


def needed_table(rows: list[Row]) -> pd.DataFrame:
    """Return claim, spread, seeds, smallest effect found, the paper's effect, seeds needed."""
    table = []
    for one in power.needed(rows):
        target = claim(one.claim).target(claim(one.claim).primary)
        factor, unit = shown_unit(one.unit, target)
        unit = unit_of_differences(unit)  # every number below is a distance from no effect
        table.append(
            {
                "claim": one.claim,
                "spread": number(factor * one.spread),
                "seeds": one.seeds,
                "smallest effect found": with_unit(number(factor * one.detectable), unit),
                "the paper's": (
                    "" if one.paper is None else with_unit(f"{factor * one.paper:g}", unit)
                ),
                "seeds it needs": _seeds(one),
            }
        )
    return pd.DataFrame(table)


def _seeds(one: power.Needed) -> str:
    if one.needed is not None:
        return str(one.needed)
    return "" if one.paper is None else f"more than {power.MOST_SEEDS}"


def intervals_table(rows: list[Row]) -> pd.DataFrame:
    """Return both intervals of every comparison, and which of them exclude no effect."""
    table = []
    for one in compared(rows):
        factor, unit = factor_and_unit(one.ours)
        null = one.ours.null or 0.0
        table.append(
            {
                "claim": _named(one),
                "decides its row": "yes" if one.primary else "",
                "ours": with_unit(number(factor * one.ours.estimate.mean), unit),
                "one spread for all": _interval(factor, one.pooled, null),
                "a spread for each": _interval(factor, one.separate, null),
                "exclude no effect": WHICH[one.sides[0] is not None, one.sides[1] is not None],
            }
        )
    return pd.DataFrame(table)


def intervals_text(rows: list[Row]) -> str:
    """Return how many comparisons have the same answer by both intervals."""
    every = compared(rows)
    other = [one for one in every if one.sides[0] != one.sides[1]]
    covered = sum(one.pooled == one.separate for one in every)
    same = f"{len(every) - len(other)} of the {len(every)} comparisons have the same answer by both"
    text = f"{same} intervals."
    if covered:
        text += f" In {covered} of them the interval over images is wider than both."
    if other:
        names = ", ".join(f"{_named(one)}{' (decides its row)' * one.primary}" for one in other)
        text += f" The answers differ, so that there is no direction, for: {names}."
    return text


def _named(one: Compared) -> str:
    return f"{one.claim}, {one.ours.variant}".removesuffix(", ")


def _interval(factor: float, ends: tuple[float, ...], null: float) -> str:
    return f"[{', '.join(numbers(*(factor * end for end in ends), null=factor * null))}]"


def false_table(rows: list[Row]) -> pd.DataFrame:
    """Return the share of families and of rows with a false verdict, in per cent."""
    ours = {row.id: row.ours for row in rows if row.ours is not None}
    measured = {
        name: one.family
        for claim, name in UNEQUAL.items()
        if (one := ours.get(claim)) is not None and one.family is not None
    }
    rates = power.false_verdicts(measured)
    return pd.DataFrame(
        {
            "rule": rates["rule"],
            "spreads": rates["spreads"],
            "variants": rates["variants"],
            "seeds of a variant": rates["seeds"],
            "seeds of the baseline": rates["baseline"],
            "families with a false verdict": rates["family"].map("{:.1%}".format),
            "rows with a false verdict": rates["row"].map("{:.1%}".format),
        }
    )


def reproduced_table(rows: list[Row]) -> pd.DataFrame | None:
    """Return how often each effect of top-1 error counts as reproduced; None without a spread."""
    ours = {row.id: row.ours for row in rows}[TOP1]
    if ours is None or ours.detectable is None:
        return None
    targets = {
        one.id: target
        for one in claims()
        if one.experiment == "ablations"
        and (target := one.target(one.primary)) is not None
        and target.value is not None
        and target.unit == ours.unit
    }
    rates = power.false_reproductions(power.spread_of(ours), targets)
    return pd.DataFrame(
        {
            "claim": rates["claim"],
            "one seed, mean in the range": rates["before"].map("{:.1%}".format),
            "three seeds, interval and mean": rates["now"].map("{:.1%}".format),
        }
    )


WHICH = {  # by whether the interval of one spread excludes no effect, and whether the other does
    (True, True): "both",
    (True, False): "only the first",
    (False, True): "only the second",
    (False, False): "neither",
}
TABLES: dict[str, Callable[[list[Row]], pd.DataFrame | None]] = {
    "needed": needed_table,
    "intervals": intervals_table,
    "false": false_table,
    "reproduced": reproduced_table,
}
TEXTS = {"intervals": intervals_text}  # before a table


class Power(SphinxDirective):
    """``{power} needed|intervals|false|reproduced``: one table."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.arguments[0] not in TABLES:
            raise self.error(f"power has the tables {', '.join(TABLES)}")
        note_results(self.env)
        every = [*rows().values()]
        table = TABLES[self.arguments[0]](every)
        if table is None or table.empty:
            return [nodes.paragraph("", "Nothing was measured.")]
        text = TEXTS.get(self.arguments[0])
        before = [nodes.paragraph("", text(every))] if text else []
        return [*before, nodes.raw("", html_table(table), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive; called by Sphinx."""
    app.add_directive("power", Power)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
