"""Tables 1 and 2 beside ours, and the page's checks. Nothing is measured here."""

import pandas as pd

from replication.base.errors import check
from replication.base.statistics import mean_interval
from replication.book.pages.tables import html_table, interval_text, stored_check
from replication.experiments.common.comparison import scale
from replication.experiments.tables import (
    FIVE,
    LARGER,
    ONE,
    PRE,
    SEVEN,
    VIEWS,
    Outcome,
    Settings,
    run_name,
)
from replication.paper import Table
from replication.paper import claim as find_claim
from replication.paper import tables as paper_tables

CLAIMS = (
    "ten-views",
    "table1-cnn",
    "table2-1cnn",
    "table2-5cnn",
    "table2-1cnn-pre",
    "table2-7cnn",
    "val-test",
    "fall2009",
)
OURS = {  # the claim that a row of the paper's tables belongs to -> our model
    "table1-cnn": ("table 1", ONE),
    "table2-1cnn": ("table 2", ONE),
    "table2-5cnn": ("table 2", FIVE),
    "table2-1cnn-pre": ("table 2", PRE),
    "table2-7cnn": ("table 2", SEVEN),
}
MODELS = (ONE, FIVE, PRE, SEVEN)
GAINS = {  # (claim, variant of its target) -> our gain and k
    ("ten-views", "top-1"): ("ten views", "top1"),
    ("ten-views", "top-5"): ("ten views", "top5"),
    ("table2-5cnn", "gain of five"): ("five", "top5"),
    ("table2-1cnn-pre", "gain of pre-training"): ("pre-training", "top5"),
    ("table2-7cnn", "gain of seven"): ("seven", "top5"),
}


def table1_html(outcome: Outcome) -> str:
    """Return Table 1: the paper's rows with ours beside them."""
    return _beside(outcome, paper_tables().table1)


def table2_html(outcome: Outcome) -> str:
    """Return Table 2: the paper's rows with ours beside them."""
    return _beside(outcome, paper_tables().table2)


def _beside(outcome: Outcome, table: Table) -> str:
    rows = []
    for row in table.rows:
        top1, top5 = (
            (_number(value), _ours(outcome, row.claim, k))
            for value, k in ((row.top1, "top1"), (row.top5, "top5"))
        )
        said = {
            "model": row.model + (" (of others)" if row.cited else ""),
            "paper, top-1": top1[0],
            "paper, top-5": top5[0],
        }
        rows.append(
            said | {"ours, top-1": top1[1], "ours, top-5": top5[1], "n": _count(outcome, row.claim)}
        )
    return html_table(pd.DataFrame(rows))


def _values(outcome: Outcome, claim: str, k: str) -> pd.Series:
    data, model = OURS.get(claim, ("", ""))
    table = outcome.table
    return table.loc[
        (table["data"] == data)
        & (table["model"] == model)
        & (table["split"] == "test")
        & (table["views"] == VIEWS),
        k,
    ]


def _ours(outcome: Outcome, claim: str, k: str) -> str:
    values = _values(outcome, claim, k)
    if len(values):
        return interval_text(*mean_interval(values.tolist()), form=".2f")
    return "not run" if claim in OURS else "quoted"


def _count(outcome: Outcome, claim: str) -> str:
    return str(len(_values(outcome, claim, "top1")) or "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def scales(settings: Settings, outcome: Outcome) -> str:
    """Return what each of our tables was measured on, one line each."""
    by_name = {run.task.name: run for run in outcome.runs}
    lines = [
        f"table 1: {scale(by_name[f'baseline-seed{settings.seeds[0]}'], 'one view and ten')}",
        f"table 2: {scale(by_name[run_name(ONE, 0)], 'ten views')}",
    ]
    if (larger := by_name.get(run_name(LARGER, 0))) is not None:
        lines.append(f"trained on first: {scale(larger, 'ten views')}")
    return "\n".join(lines)


def paper_gains() -> dict[tuple[str, str], float]:
    """Return the paper's gains in percentage points, by our name of the gain and k."""
    found = {ours: find_claim(claim).target(variant) for (claim, variant), ours in GAINS.items()}
    return {
        ours: target.value
        for ours, target in found.items()
        if target is not None and target.value is not None
    }


def checks(settings: Settings, outcome: Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    said = [stored_check(outcome.runs)]
    seeds = [set(settings.seeds_of(group)) for group in range(settings.groups)]
    check(len(set.union(*seeds)) == settings.groups * settings.members, "two averages share a net")
    said.append(f"groups of nets without a net in common: {settings.groups}")
    tests = outcome.table[(outcome.table["split"] == "test") & (outcome.table["data"] == "table 2")]
    check(tests["images"].nunique() == 1, "two rows of table 2 are errors of different images")
    said.append(
        f"every row of table 2 is of the same {tests['images'].iloc[0]:,} held-out images, each"
        " counted once"
    )
    return "\n".join(said)
