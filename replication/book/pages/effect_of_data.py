"""The tables and checks of the page on the amount of data. Nothing is measured here."""

import pandas as pd

from replication.base.errors import check
from replication.book.pages.tables import html_table, interval_text, stored_check
from replication.experiments.common.collect import stored_text as runs_stored
from replication.experiments.effect_of_data import REGULARISERS, Outcome, Settings, tasks
from replication.experiments.effect_of_data import effects as measured_effects

TITLES = {
    "test_top1": "top-1 test error, points",
    "test_top5": "top-5 test error, points",
    "gap": "gap, points",
}


def stored_text(settings: Settings, outcome: Outcome) -> str:
    """Return how many runs are shown, and which are missing."""
    return runs_stored(outcome.runs, outcome.missing, len(tasks(settings)))


def effects_html(outcome: Outcome) -> str:
    """Return the effect of each regulariser at each number of images, one row per effect."""
    effects = outcome.effects
    if effects.empty:
        return "<p>No two nets that differ in one regulariser only are stored yet.</p>"
    keys = ["regulariser", "other", "images"]
    rows = []
    for key, group in effects.groupby(keys, sort=False):
        by_quantity = group.set_index("quantity")
        row = dict(zip(keys, key, strict=True)) | {"n": int(group["n"].iloc[0])}
        for column, title in TITLES.items():
            of = by_quantity.loc[column]
            row[title] = interval_text(of["mean"], of["low"], of["high"])
        one = by_quantity.loc["test_top1"]
        noise = pd.notna(one["images_low"])
        row["top-1, interval over seeds and images"] = (
            interval_text(one["mean"], one["images_low"], one["images_high"]) if noise else ""
        )
        rows.append(row | {"top-1 test error, by both intervals": one["answer"]})
    named = {"images": "images per class"}
    return html_table(pd.DataFrame(rows).rename(columns=named))


def cells_html(outcome: Outcome) -> str:
    """Return the mean errors of every cell, in per cent."""
    means = outcome.table.groupby(["images", *REGULARISERS])[
        ["test_top1", "test_top1_one", "train_top1", "gap"]
    ].mean()
    counts = outcome.table.groupby(["images", *REGULARISERS])["seed"].nunique()
    shown = means.map("{:.2f}".format).assign(n=counts).reset_index()
    for regulariser in REGULARISERS:
        shown[regulariser] = shown[regulariser].map({True: "on", False: "off"})
    titles = {
        "images": "images per class",
        "test_top1": "test error, ten views, %",
        "test_top1_one": "test error, one view, %",
        "train_top1": "training error, one view, %",
    }
    return html_table(shown.rename(columns=titles))


def checks(outcome: Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    lines = [stored_check(outcome.runs)]
    for (images, seed), rows in outcome.table.groupby(["images", "seed"]):
        twice = rows.duplicated(["dropout", "crops"]).any()
        check(not twice, f"two runs of seed {seed} are the same cell of {images} images")
    lines.append(f"one run per seed and combination of regularisers: {len(outcome.table)}")
    again = measured_effects(outcome.table, list(outcome.runs))
    check(again["mean"].equals(outcome.effects["mean"]), "an effect is not of these runs")
    lines.append(f"effects recomputed from the runs: {len(again)}, all equal to those shown")
    return "\n".join(lines)
