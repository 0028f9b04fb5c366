"""The ablations' own tables and checks. Nothing is measured here."""

import math

import pandas as pd

from replication.base.errors import check
from replication.book.pages.tables import html_table, stored_check
from replication.experiments.ablations import BASELINE, NO_DROPOUT, Outcome, Settings
from replication.experiments.common import beside_baseline
from replication.experiments.common.comparison import QUANTITIES

CLAIMS = (
    "two-gpu-gain",
    "two-gpu-time",
    "lrn-gain",
    "overlap-gain",
    "overlap-overfit",
    "crop-overfit",
    "colour-gain",
    "dropout-overfit",
    "dropout-iterations",
    "dropout-average",
    "weight-decay",
    "bias-one",
    "depth",
    "lrn-generalises",
    "importance-order",
    "bigger-longer",
)


def iterations_html(outcome: Outcome, settings: Settings) -> str:
    """Return the iterations to the target losses by seed, for the variants compared at them."""
    rows = outcome.table[outcome.table["variant"].isin([BASELINE, NO_DROPOUT, "biases-zero"])]
    shown = {"variant": rows["variant"], "seed": rows["seed"]}
    for column, mark in (
        ("iterations_to_early_mark", settings.early_mark),
        ("iterations_to_mark", settings.mark),
    ):
        cells = zip(rows[column], rows["iterations"], strict=True)
        shown[f"iterations to loss {mark:g}"] = [
            f"more than {last:,}" if math.isnan(value) else f"{value:,.0f}" for value, last in cells
        ]
    half = (
        rows["iterations_to_halfway"]
        .map("{:,.0f}".format)
        .where(rows["iterations_to_halfway"].notna(), "")
    )
    shown["iterations to half way in validation error"] = half
    return html_table(pd.DataFrame(shown))


def dropout_html(outcome: Outcome) -> str:
    """Return the distances to the geometric mean of the dropped-out nets, one row per net."""
    if outcome.dropout.empty:
        return "<p>not run: no baseline run has dropout</p>"
    titles = {
        "halved": "halved net",
        "single": "one dropped-out net",
        "floor": "two halves of the masks",
    }
    rows = outcome.dropout.rename(columns=titles)
    return html_table(
        rows.assign(**{title: rows[title].map("{:.4f}".format) for title in titles.values()})
    )


def speed_html(outcome: Outcome) -> str:
    """Return training images per second on one device, two towers against one, by seed.

    Other runs shared the machine."""
    rows = outcome.table[outcome.table["variant"].isin([BASELINE, "one-gpu"])].dropna(
        subset="images_per_second"
    )
    if rows.empty:
        return "<p>no times were kept</p>"
    wide = rows.pivot(index="seed", columns="variant", values="images_per_second").map(
        "{:,.0f}".format
    )
    return html_table(wide.rename_axis(columns=None).reset_index())


def checks(settings: Settings, outcome: Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    said = [stored_check(outcome.runs)]
    recipes = {run.task.name: run.task.recipe for run in outcome.runs}
    for seed in settings.seeds:
        ours = [recipe for recipe in recipes.values() if recipe.seed == seed]
        alike = {
            (
                recipe.batch,
                recipe.epochs,
                recipe.data.count,
                recipe.data.validation,
                recipe.schedule,
            )
            for recipe in ours
        }
        check(
            len(ours) == len(settings.variants) and len(alike) == 1,
            "the variants of a seed are not trained alike",
        )
    said.append(
        f"each of {len(settings.seeds)} seeds has every variant, with the same images, minibatches,"
        " epochs and schedule"
    )
    again = beside_baseline.differences(outcome.table, BASELINE)
    check(again.equals(outcome.differences), "a difference is not of these runs")
    said.append(
        f"differences recomputed from the runs: {len(outcome.differences)} of {len(QUANTITIES)}"
        " quantities, equal"
    )
    return "\n".join(said)
