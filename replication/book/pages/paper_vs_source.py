"""The table and checks of the page on the paper and its source. Nothing is measured here."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from replication.base.errors import check
from replication.base.types import Profile
from replication.book.pages.deviations import NOT_YET
from replication.book.pages.shared import html_table, interval_text, stored_check
from replication.experiments.common import beside_baseline
from replication.experiments.common.baselines import BASELINE, title
from replication.experiments.common.collect import stored_text as runs_stored
from replication.experiments.common.collect import variant_of
from replication.experiments.common.comparison import scale
from replication.experiments.paper_vs_source import ALL, Outcome, Settings, tasks
from replication.ledger.rules import MIN_SEEDS
from replication.paper.deviations import deviations
from replication.runs.store import Run

TOP1 = "test_top1"
NO_SPREAD = "no spread over seeds yet: fewer than two variants have two seeds and an interval"
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


def learnt_html(settings: Settings, outcome: Outcome) -> str:
    """Return the same table of the nets that have learnt, only of what is stored."""
    if not settings.seeds_beside:
        return "<p>No seeds of such nets were asked for in <code>learnt_seeds</code>.</p>"
    if not outcome.learnt_runs:
        return "<p>No variant of these nets has all of its seeds yet.</p>"
    shown = scale(outcome.learnt_runs[0], "ten views and one")
    measured = outcome.learnt_effects[outcome.learnt_effects["n"] > 0]
    return f"<p>{shown}</p>" + effects_html(measured, settings.profile)


def spreads_text(outcome: Outcome) -> str:
    """Return how much the variant that varies most widens the other intervals of the top-1 error.

    The text says so if there are too few runs to compare with and without that variant."""
    errors = outcome.table[["variant", TOP1]].dropna().groupby("variant")[TOP1]
    spreads = errors.std().dropna()
    if len(spreads) < 2 or set(spreads.index) == {BASELINE}:
        return NO_SPREAD
    widest = spreads.drop(BASELINE, errors="ignore").idxmax()
    others = outcome.table[outcome.table["variant"] != widest]
    with_it, without_it = (
        table[table["quantity"] == TOP1].set_index("variant").dropna(subset=["low", "high"])
        for table in (
            outcome.differences,
            beside_baseline.differences(others, BASELINE, [TOP1]),
        )
    )
    widths = (with_it["high"] - with_it["low"]) / (without_it["high"] - without_it["low"])
    widths = widths[widths.notna() & (widths < math.inf)]
    if not len(widths):
        return NO_SPREAD
    name = "all differences" if widest == ALL else title(widest)
    return (
        f"the variant that varies most over seeds: {name}, with top-1 errors of"
        f" {_range(errors.get_group(widest))}; those of the released net are"
        f" {_range(errors.get_group(BASELINE))}\n"
        f"because of it, the intervals of the other variants are {widths.min():.1f} to"
        f" {widths.max():.1f} times as wide as without it"
    )


def _range(errors: pd.Series) -> str:
    return f"{errors.min():.1f} to {errors.max():.1f}%"


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
    lines = [stored_check(outcome.runs), *_compared(outcome.runs, outcome.table)]
    again = beside_baseline.differences(outcome.table, BASELINE)
    check(again.equals(outcome.differences), "a difference is not of these runs")
    lines.append(f"differences recomputed from the runs: {len(again)}, all equal to those shown")
    if outcome.learnt_runs:
        lines.append(f"of the nets that have learnt, {stored_check(outcome.learnt_runs)}")
        lines += _compared(outcome.learnt_runs, outcome.learnt)
    return "\n".join(lines)


def _compared(runs: Sequence[Run], table: pd.DataFrame) -> list[str]:
    """Return the line of the check that variants differ only in what they are named for."""
    check(list(table["run"]) == [run.task.folder.name for run in runs], "a run is not in the table")
    by_seed = {run.task.recipe.seed: run for run in runs if variant_of(run.task) == BASELINE}
    for run in runs:
        whole = by_seed.get(run.task.recipe.seed, run)
        check(
            _shared(run) == _shared(whole),
            f"{run.task.name} differs from the baseline in more than its net and its biases' rate",
        )
    return ["everything but the net and its biases' rate is the baseline's in every run"]


def _shared(run: Run) -> dict[str, Any]:
    """Return what a variant's recipe has in common with the baseline's."""
    shared = run.task.recipe.model_dump(exclude={"net"})
    del shared["update"]["bias_rate_factor"]
    return shared
