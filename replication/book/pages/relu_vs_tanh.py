"""Figure 1's tables and checks, as its chapter shows them. Nothing is measured here."""

import math

import pandas as pd

from replication.base.errors import check
from replication.book.pages.tables import html_table
from replication.experiments.relu_vs_tanh import Outcome, Settings, epochs_to
from replication.ledger import tables as ledger_tables
from replication.runs.store import load


def selection_html(outcome: Outcome) -> str:
    """Return every rate that was tried, with epochs to the target error, cap and choice."""
    rows = outcome.selection.assign(
        epochs=[
            f"{e:.2f}" if not math.isnan(e) else "not reached" for e in outcome.selection["epochs"]
        ],
        chosen=["chosen" if c else "" for c in outcome.selection["chosen"]],
    )
    return html_table(rows[["regime", "activation", "rate", "seed", "epochs", "cap", "chosen"]])


def table_html(outcome: Outcome) -> str:
    """Return epochs and iterations to the target error and the last errors, one row per run."""
    table = outcome.table
    rows = pd.DataFrame(
        {
            "regime": table["regime"],
            "activation": table["activation"],
            "rate": table["rate"],
            "seed": table["seed"],
            "epochs to the target": [_or_never(value, ".2f") for value in table["epochs_to_mark"]],
            "iterations to the target": [
                _or_never(value, ",.0f") for value in table["iterations_to_mark"]
            ],
            "epochs run": table["epochs_run"],
            "running error at the end": [f"{value:.2%}" for value in table["last_running_error"]],
            "exact error at the end": [f"{value:.2%}" for value in table["last_exact_error"]],
        }
    )
    return html_table(rows)


def verdicts_html(outcome: Outcome) -> str:
    """Return paper, 2012 log, ours and verdict, one row per regime."""
    return ledger_tables.verdicts_html(
        outcome.measurements, "not run: no regime has a crossing of both activations"
    )


def checks(settings: Settings, outcome: Outcome) -> str:
    """The chapter's checks, one line each; AssertionError if one fails."""
    stored = [load(run.task) for run in outcome.runs]
    check(all(run is not None for run in stored), "a run that was just made is not stored")
    for run, (_, row) in zip(
        [r for r in stored if r.task.recipe.exact_error], outcome.table.iterrows(), strict=True
    ):
        again = epochs_to(run.history["running_error"], settings.mark)
        check(
            again == row["epochs_to_mark"]
            or (math.isnan(again) and math.isnan(row["epochs_to_mark"])),
            "the table is not of these runs",
        )
    check(
        not set(settings.seeds) & set(settings.selection_seeds),
        "a reporting seed took part in the choice of the rate",
    )
    edge = outcome.table.loc[
        outcome.table["rate_at_edge"], ["regime", "activation"]
    ].drop_duplicates()
    inside = (
        "yes"
        if edge.empty
        else "no: " + ", ".join(f"{r.activation} ({r.regime})" for r in edge.itertuples())
    )
    return "\n".join(
        [
            f"stored runs: {len(stored)}, each under the hash of its recipe",
            "crossings recomputed from the stored curves: equal",
            "reporting seeds apart from selection seeds: yes",
            f"chosen rates inside the grid: {inside}",
        ]
    )


def _or_never(value: float, form: str) -> str:
    return "not reached" if math.isnan(value) else format(value, form)
