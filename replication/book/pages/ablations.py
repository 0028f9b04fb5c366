"""The ablations' own tables and checks. Nothing is measured here."""

import html
import math

import pandas as pd

from replication.base.errors import check
from replication.book.pages.shared import (
    differences_html,
    errors_html,
    html_table,
    interval_text,
    stored_check,
)
from replication.experiments.ablation_claims import NO_DROPOUT
from replication.experiments.ablations import Outcome, Settings, learnt_differences, tasks
from replication.experiments.common import beside_baseline, controls
from replication.experiments.common.baselines import BASELINE, DATA, SIZES, title
from replication.experiments.common.collect import missing_text, variant_of
from replication.experiments.common.comparison import (
    MID_EPOCH,
    QUANTITIES,
    UNUSED,
    last_measured,
    scale,
    trained_on,
)

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
# variants that have other images, or another length
TRAINED_OTHERWISE = {*DATA, *(name for name, changes in SIZES.items() if "length" in changes)}
NOT_YET = "not run yet"
EFFECT = "change of the top-1 test error, points"


def iterations_html(table: pd.DataFrame, settings: Settings) -> str:
    """Return the iterations to the targets by seed, for the variants compared at them.

    ``table``: ``Outcome.table`` or ``Outcome.learnt``."""
    rows = table[table["variant"].isin([BASELINE, NO_DROPOUT, "biases-zero"])]
    shown = {"variant": rows["variant"].map(title), "seed": rows["seed"]}
    for column, mark in (
        ("iterations_to_early_mark", settings.early_mark),
        ("iterations_to_mark", settings.mark),
    ):
        cells = zip(rows[column], last_measured(rows, MID_EPOCH), strict=True)
        shown[f"iterations to a training loss of {mark:g}"] = [
            f"more than {last:,.0f}" if math.isnan(value) else f"{value:,.0f}"
            for value, last in cells
        ]
    half = (
        rows["iterations_to_halfway"]
        .map("{:,.0f}".format)
        .where(rows["iterations_to_halfway"].notna(), "")
    )
    shown["iterations to the target validation error"] = half
    if rows["iterations_to_plateau"].notna().any():
        shown["iterations to the end of the plateau rule"] = rows["iterations_to_plateau"].map(
            lambda value: "" if math.isnan(value) else f"{value:,.0f}"
        )
    return html_table(pd.DataFrame(shown))


def stored_text(settings: Settings, outcome: Outcome) -> str:
    """Return what was run, and which runs are missing."""
    shown = scale(outcome.runs[0], "ten views and one")
    missing = missing_text(outcome.missing, len(tasks(settings)))
    return "\n".join(filter(None, [shown, missing]))


def learnt_html(outcome: Outcome, settings: Settings) -> str:
    """Return the errors of the baseline that has learnt and its variants, and each one's change.

    Before them what was run and on which device, after them the iterations to the targets."""
    if outcome.learnt.empty:
        return "<p>Not run here: no variant of the learnt baseline has all its seeds.</p>"
    shown = scale(outcome.learnt_runs[0], "ten views and one")
    named = dict.fromkeys((trained_on(run), variant_of(run.task)) for run in outcome.learnt_runs)
    devices = {kind: [title(name) for on, name in named if on == kind] for kind, _ in named}
    trained = "; ".join(f"on a {kind}: {', '.join(of)}" for kind, of in devices.items())
    about = f"<p>{html.escape(shown)}. Trained {html.escape(trained)}.</p>"
    quantities = QUANTITIES | UNUSED
    errors = errors_html(outcome.learnt, quantities)
    changes = differences_html(outcome.learnt_differences, quantities)
    return about + errors + changes + iterations_html(outcome.learnt, settings)


def controls_html(settings: Settings, outcome: Outcome) -> str:
    """Return each control beside its variant, with the nets' parameters, then the sizes."""
    first = settings.regime == "first"
    learnt = "the baseline that has learnt (<code>regime: learnt</code>)"
    if first and not settings.learnt_seeds:
        return f"<p>Not run for this baseline; they belong to {learnt}.</p>"
    beside = outcome.controls.differences
    if first and not set(beside["variant"]) & {*controls.CONTROL_OF.values()}:
        return f"<p>Of {learnt}, no control is stored. Its other sizes:</p>" + _sizes_html(outcome)
    table, differences = (
        (outcome.learnt, outcome.learnt_differences)
        if first
        else (outcome.table, outcome.differences)
    )
    counts = table.groupby("variant")["parameters"].first()
    variants = differences.assign(parameters=differences["variant"].map(counts))
    rows = []
    for variant, control in controls.CONTROL_OF.items():
        count = f"{counts[BASELINE]:,}" if BASELINE in counts else ""
        whole = {"parameters": count, EFFECT: "0", "n": ""}
        ours = whole if variant == BASELINE else _effect(variants, variant)
        rows.append(
            {"variant": title(variant)}
            | ours
            | {"control": title(control)}
            | {f"control's {name}": text for name, text in _effect(beside, control).items()}
        )
    return html_table(pd.DataFrame(rows)) + _sizes_html(outcome)


def _sizes_html(outcome: Outcome) -> str:
    beside = outcome.controls.differences
    sizes = [
        {"size": title(name), **_effect(beside, name)}
        | {"change of the gap, points": _effect(beside, name, "gap")[EFFECT]}
        for name in SIZES
    ]
    return html_table(pd.DataFrame(sizes))


def _effect(differences: pd.DataFrame, variant: str, quantity: str = "test_top1") -> dict[str, str]:
    """Return cells: parameters, difference from the baseline with its interval, seeds."""
    of = differences["variant"] == variant
    rows = differences[of & (differences["quantity"] == quantity)]
    if rows.empty:
        return {"parameters": "", EFFECT: NOT_YET, "n": "0"}
    row = rows.iloc[0]
    return {
        "parameters": f"{row['parameters']:,.0f}",
        EFFECT: interval_text(row["mean"], row["low"], row["high"]),
        "n": str(row["n"]),
    }


def rates_html(outcome: Outcome) -> str:
    """Return each variant's errors by rate, and its difference from the baseline at that rate.

    Below them which best rates are at an end of the range, and what is missing for a best rate."""
    rates = outcome.controls.rates
    if rates.empty:
        return ""
    shown = {
        "variant": rates["variant"].map(title),
        "learning rate": [
            f"{controls.RATE_NAMES[row.factor]}: {controls.RATE_NAMES[row.chosen]}"
            if row.factor == controls.OWN
            else controls.RATE_NAMES[row.factor]
            for row in rates.itertuples()
        ],
        "n": rates["n"],
        "trained on": rates["trained"],
        "validation error, top-1, one view, %": rates["validation"].map("{:.2f}".format),
        "test error, top-1, ten views, %": rates["test"].map("{:.2f}".format),
        "test error minus the baseline's, points": [
            interval_text(row.mean, row.low, row.high) for row in rates.itertuples()
        ],
    }
    return html_table(pd.DataFrame(shown)) + f"<p>{_ends_text(rates)}</p>"


def _ends_text(rates: pd.DataFrame) -> str:
    """Return which variants' best rates are at an end of the range, and which are not known."""
    named = rates.assign(variant=rates["variant"].map(title))
    chosen = named.groupby("variant", sort=False)["chosen"].first()
    known = chosen.dropna()
    ends = [name for name, factor in known.items() if factor != controls.SAME]
    unknown = ", ".join(chosen.index[chosen.isna()])
    lines = []
    if ends:
        lines.append(
            f"The best rate is at an end of the range for {', '.join(ends)}, so a rate beyond it"
            " may be better still."
        )
    if unknown:
        lines.append(f"The best rate is not known yet for {unknown}: not all three are stored.")
    return " ".join(lines)


def dropout_html(outcome: Outcome) -> str:
    """Return the distances to the geometric mean of the dropped-out nets, one row per net."""
    if outcome.dropout.empty:
        return "<p>Not run: no baseline has dropout.</p>"
    titles = {
        "halved": "distance of the halved net",
        "single": "distance of one dropped-out net",
        "floor": "distance between two halves of the sample",
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
        return "<p>No times were kept.</p>"
    wide = rows.pivot(index="seed", columns="variant", values="images_per_second").map(
        "{:,.0f}".format
    )
    named = wide.rename_axis(columns=None).rename(columns="{}, images/s".format)
    return html_table(named.reset_index())


def checks(settings: Settings, outcome: Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    lines = [stored_check(outcome.runs)]
    complete = 0
    for seed in settings.seeds:
        of_seed = [run.task for run in outcome.runs if run.task.recipe.seed == seed]
        ours = [one.recipe for one in of_seed if variant_of(one) not in TRAINED_OTHERWISE]
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
        check(len(alike) <= 1, "the variants of a seed are not trained alike")
        whole = len(of_seed) == len(settings.variants)
        check(whole or settings.only_stored, "a seed lacks a variant")
        complete += whole
    names = [name for name in settings.variants if name in TRAINED_OTHERWISE]
    otherwise = f", except {', '.join(names)}, which differ in these" if names else ""
    lines.append(
        f"each of {complete} seeds has every variant, and all runs of a seed have the same images,"
        f" minibatches, epochs and schedule{otherwise}"
    )
    again = beside_baseline.differences(outcome.table, BASELINE)
    check(again.equals(outcome.differences), "a difference is not of these runs")
    lines.append(
        f"differences recomputed from the runs: {len(outcome.differences)} in"
        f" {len(QUANTITIES)} quantities, all equal to those shown"
    )
    if outcome.learnt_runs:
        again = learnt_differences(outcome.learnt)
        check(again.equals(outcome.learnt_differences), "a difference is not of the learnt runs")
        lines.append(
            f"of the baseline that has learnt, {stored_check(outcome.learnt_runs)};"
            f" {len(again)} differences recomputed, all equal to those shown"
        )
    return "\n".join(lines)
