"""Tables 1 and 2 beside ours, and the page's checks. Nothing is measured here."""

import pandas as pd

from replication.base.errors import check
from replication.base.statistics import mean_interval
from replication.book.pages.shared import html_table, interval_text, stored_check
from replication.experiments.common.collect import missing_text, variant_of
from replication.experiments.common.comparison import scale
from replication.experiments.common.table_gains import LONG, SIX, gained_over
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
    tasks,
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
CONTROL_ERRORS = {
    "top1": "top-1 error, ten views",
    "top5": "top-5 error, ten views",
    "top5_one": "top-5 error, one view",
    "top1_one": "top-1 error, one view",
    "unused": "top-1 error on unused images, one view",
}
NOT_YET = "not run yet"
GAINED = "gain of pre-training, top-5, points"
GAINS = {  # (claim, variant of its target) -> our gain and k
    ("ten-views", "top-1"): ("ten views", "top1"),
    ("ten-views", "top-5"): ("ten views", "top5"),
    ("table2-5cnn", "gain of five"): ("five", "top5"),
    ("table2-1cnn-pre", "gain of pre-training"): ("pre-training", "top5"),
    ("table2-7cnn", "gain of seven"): ("seven", "top5"),
}


def table1_html(outcome: Outcome) -> str:
    """Return Table 1: the paper's rows with ours beside them, and our errors over one view."""
    rows = outcome.table[(outcome.table["data"] == "table 1") & (outcome.table["split"] == "test")]
    one = rows[rows["views"] == 1]
    errors = (
        f"{name} {interval_text(*mean_interval(one[k].tolist()), form='.2f')}"
        for k, name in (("top1", "top-1"), ("top5", "top-5"))
    )
    beside = f"<p>Ours over one view: {', '.join(errors)}, n = {len(one)}.</p>" if len(one) else ""
    return _beside(outcome, paper_tables().table1) + beside


def table2_html(outcome: Outcome) -> str:
    """Return Table 2: the paper's rows with ours beside them."""
    return _beside(outcome, paper_tables().table2)


def _beside(outcome: Outcome, table: Table) -> str:
    with_test = any(row.test_top5 is not None for row in table.rows)
    rows = []
    for row in table.rows:
        cells = {
            "model": row.model + (" (other authors)" if row.cited else ""),
            "paper, top-1": _number(row.top1),
            "paper, top-5": _number(row.top5),
        }
        if with_test:  # Table 2's other columns are of the validation set
            cells["paper, test top-5"] = _number(row.test_top5)
        cells["ours, top-1"] = _ours(outcome, row.claim, "top1")
        cells["ours, top-5"] = _ours(outcome, row.claim, "top5")
        rows.append(cells | {"n": _count(outcome, row.claim)})
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
    return "not run" if claim in OURS else "not trained here"


def _count(outcome: Outcome, claim: str) -> str:
    return str(len(_values(outcome, claim, "top1")) or "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def scales(settings: Settings, outcome: Outcome) -> str:
    """Return what each of our tables was measured on, one line each."""
    first = {variant_of(run.task): run for run in reversed(outcome.runs)}
    one, larger = (variant_of_model(model) for model in (ONE, LARGER))
    lines = [
        f"table 1: {scale(first['baseline'], 'one view and ten')}",
        f"table 2: {scale(first[one], 'ten views')}",
    ]
    if larger in first:
        lines.append(f"pre-training: {scale(first[larger], 'ten views')}")
    if outcome.left_out:
        names = "; ".join(outcome.left_out)
        reason = "their nets' weights or images are not available"
        lines.append(f"averages left out, because {reason}: {names}")
    missing = missing_text(outcome.missing, len(tasks(settings)))
    return "\n".join(filter(None, [*lines, missing]))


def variant_of_model(model: str) -> str:
    """Return what the names of a model's runs begin with."""
    return run_name(model, 0).rpartition("-seed")[0]


def controls_html(settings: Settings, outcome: Outcome) -> str:
    """Return the nets on the target beside the pre-trained ones, and what these gain over them."""
    if not settings.control_epochs:
        return "<p>Not run at this profile.</p>"
    rows = outcome.controls
    shown = []
    for model in (ONE, SIX, LONG, PRE):
        of = rows[rows["model"] == model]
        cells = {"model": model, "n": len(of), "updates": "", GAINED: ""}
        if len(of):
            cells["updates"] = f"{of['updates'].mean():,.0f}"
        if model != PRE and (values := gained_over(rows, model)):
            cells[GAINED] = interval_text(*mean_interval(values))
        for column, title in CONTROL_ERRORS.items():
            values = of[column].dropna().tolist()
            cells[title] = interval_text(*mean_interval(values), ".2f") if values else NOT_YET
        shown.append(cells)
    return html_table(pd.DataFrame(shown))


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
    lines = [stored_check(outcome.runs)]
    seeds = [set(settings.seeds_of(group)) for group in range(settings.groups)]
    check(len(set.union(*seeds)) == settings.groups * settings.members, "two averages share a net")
    updates = outcome.controls.groupby("model")["updates"].mean()
    if {LONG, PRE} <= set(updates.index):
        apart = updates[LONG] / updates[PRE] - 1
        check(abs(apart) < 0.01, f"the control has {apart:+.1%} more updates than pre-training")
        lines.append(
            f"updates of the longer control, relative to the pre-trained nets': {apart:+.2%}"
        )
    lines.append(f"groups of nets that share no net: {settings.groups}")
    tests = outcome.table[(outcome.table["split"] == "test") & (outcome.table["data"] == "table 2")]
    check(tests["images"].nunique() == 1, "two rows of table 2 are errors of different images")
    lines.append(
        f"every row of Table 2 is measured on the same {tests['images'].iloc[0]:,} test images,"
        " each counted once"
    )
    return "\n".join(lines)
