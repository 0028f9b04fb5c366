"""The table and checks of the page on the paper and its source. Nothing is measured here."""

import math

import pandas as pd

from replication.base.errors import check
from replication.base.types import Profile
from replication.book.pages.deviations import NOT_YET
from replication.book.pages.tables import html_table, interval_text, stored_check
from replication.experiments.common import beside_baseline
from replication.experiments.common.baselines import BASELINE, title
from replication.experiments.common.collect import stored_text as runs_stored
from replication.experiments.common.comparison import scale
from replication.experiments.paper_vs_source import ALL, Outcome, Settings, tasks
from replication.ledger.families import family
from replication.ledger.rules import MIN_SEEDS
from replication.paper.deviations import deviations

TITLES = {
    "test_top1": "top-1 test error, points",
    "test_top5": "top-5 test error, points",
    "train_top1": "training error, points",
    "gap": "gap, points",
}


def stored_text(settings: Settings, outcome: Outcome) -> str:
    """Return how many runs are shown, and which are missing."""
    return runs_stored(outcome.runs, outcome.missing, len(tasks(settings)))


def effects_html(effects: pd.DataFrame, profile: Profile) -> str:
    """Return the paper's side of each difference minus the source's, one row per difference.

    ``effects``: those of an ``Outcome``."""
    entries = {one.id: one for one in deviations()}
    rows = []
    for (variant, deviation), group in effects.groupby(["variant", "deviation"], sort=False):
        by_quantity = group.set_index("quantity")
        one = by_quantity.loc["test_top1"]
        what = "all of the above" if variant == ALL else entries[deviation].what
        row = {"difference": what, "n": int(one["n"])}
        for column, heading in TITLES.items():
            of = by_quantity.loc[column]
            row[heading] = interval_text(of["mean"], of["low"], of["high"]) if of["n"] else NOT_YET
        row["top-1, interval over seeds and images"] = (
            interval_text(one["mean"], one["images_low"], one["images_high"])
            if pd.notna(one["images_low"])
            else ""
        )
        rows.append(row | {"with the paper's side, the net has": answer(one, profile)})
    return html_table(pd.DataFrame(rows))


def learnt_html(outcome: Outcome, profile: Profile) -> str:
    """Return the same table of the nets that have learnt, only of what is stored."""
    if not outcome.learnt_runs:
        return "<p>Of no variant are all seeds of the nets that have learnt stored yet.</p>"
    shown = scale(outcome.learnt_runs[0], "ten views and one")
    measured = outcome.learnt_effects[outcome.learnt_effects["n"] > 0]
    return f"<p>{shown}</p>" + effects_html(measured, profile)


def spreads_text(outcome: Outcome) -> str:
    """Return the pooled spread of the top-1 error, and what the variant that varies most adds.

    The text says so if there are too few runs for a spread with and without that variant."""
    column = "test_top1"
    values = {
        name: rows[column].dropna().tolist() for name, rows in outcome.table.groupby("variant")
    }
    several = [name for name, of in values.items() if name != BASELINE and len(of) > 1]
    if BASELINE not in values or len(several) < 2:
        return "no spread over seeds yet: fewer than two variants have two seeds"
    whole = family(column, values, BASELINE)
    widest = max(several, key=lambda name: whole.groups[name].variance)
    rest = family(column, {name: of for name, of in values.items() if name != widest}, BASELINE)
    return (
        f"spread of the top-1 error over seeds, pooled over all nets: {whole.spread:.2f} points;"
        f" {math.sqrt(whole.groups[widest].variance):.2f} in the one that varies most"
        f" ({title(widest)}), and {rest.spread:.2f} in the others, whose intervals are"
        f" about {whole.spread / rest.spread:.1f} times as wide for it\n"
        f"errors over seeds: {_range(values[widest])} there, {_range(values[BASELINE])} in the"
        " released net"
    )


def _range(errors: list[float]) -> str:
    return f"{min(errors):.1f} to {max(errors):.1f}%"


def answer(effect: pd.Series, profile: Profile) -> str:
    """Return what the intervals of an effect on the top-1 error say, once it has enough seeds."""
    needed = MIN_SEEDS[profile]
    if not effect["n"]:
        return NOT_YET
    if effect["n"] < needed or pd.isna(effect["low"]):
        return f"open: {effect['n']} of {needed} seeds"
    ends = effect[["low", "high", "images_low", "images_high"]].dropna().astype(float)
    low, high = ends.min(), ends.max()
    return "the higher error" if low > 0 else "the lower error" if high < 0 else "open"


def checks(outcome: Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    lines = [stored_check(outcome.runs)]
    by_name = {run.task.name: run.task.recipe for run in outcome.runs}
    for name, recipe in by_name.items():
        whole = by_name.get(f"{BASELINE}-seed{recipe.seed}", recipe)
        same = ("data", "schedule", "batch", "epochs")
        alike = all(getattr(recipe, part) == getattr(whole, part) for part in same)
        check(alike, f"{name} differs from the baseline in more than its net and its biases' rate")
    lines.append("data, schedule and length are those of the baseline in every run")
    again = beside_baseline.differences(outcome.table, BASELINE)
    check(again.equals(outcome.differences), "a difference is not of these runs")
    lines.append(f"differences recomputed from the runs: {len(again)}, all equal to those shown")
    if outcome.learnt_runs:
        lines.append(f"of the nets that have learnt, {stored_check(outcome.learnt_runs)}")
    return "\n".join(lines)
