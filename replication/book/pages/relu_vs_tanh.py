"""Figure 1's tables and checks, as its chapter shows them. Nothing is measured here."""

import math
from typing import Any

import pandas as pd

from replication.base.errors import check
from replication.book.pages.tables import html_table, interval_text
from replication.experiments.figure1 import DEFINITIONS, RACE, Settings
from replication.experiments.relu_vs_tanh import Outcome
from replication.ledger import tables as ledger_tables
from replication.runs.store import load


def selection_html(outcome: Outcome) -> str:
    """Return a table of all rates tried: epochs to the target error, cap, and choice."""
    tried = outcome.selection
    rows = tried.assign(
        epochs=[_or_never(epochs, ".2f") for epochs in tried["epochs"]],
        chosen=["chosen" if chosen else "" for chosen in tried["chosen"]],
    )
    return html_table(rows[["candidate", "activation", "rate", "epochs", "cap", "chosen"]])


def race_html(outcome: Outcome) -> str:
    """Return one row per reporting run of the race: epochs to the target error."""
    table = outcome.table[outcome.table["candidate"] == RACE.name]
    columns = {
        f"epochs, error {meaning.title}": [
            _or_never(value, ".2f") for value in table[f"epochs_{definition}"]
        ]
        for definition, meaning in DEFINITIONS.items()
    }
    rows = pd.DataFrame(
        {
            "activation": table["activation"],
            "rate": table["rate"],
            "seed": table["seed"],
            **columns,
            "iterations": [_or_never(value, ",.0f") for value in table["iterations"]],
            "epochs run": table["epochs_run"],
        }
    )
    return html_table(rows)


def distances_html(outcome: Outcome) -> str:
    """Return every candidate's distance to the paper's curves, nearest first."""
    table = outcome.distances
    rows = pd.DataFrame(
        {
            "curve": table["curve"],
            "candidate": table["candidate"],
            "rate": table["rate"],
            "error": [DEFINITIONS[definition].title for definition in table["definition"]],
            "distance, points": [
                interval_text(row.mean, row.low, row.high, ".2f") for row in table.itertuples()
            ],
            "seeds": table["n"],
            "": table["verdict"],
        }
    )
    return html_table(rows)


def identified(outcome: Outcome) -> str:
    """Describe what the figure shows, as far as the distances to both curves tell."""
    table = outcome.distances
    both = table[table["curve"] == "together"] if len(table) else table
    if both.empty:
        return "No candidate has both curves yet."
    nearest, *_ = both.itertuples()
    distance = interval_text(nearest.mean, nearest.low, nearest.high, ".2f")
    lines = [f"nearest: {_name(nearest)}, {distance} points"]
    for verdict in ("not told apart", "excluded"):
        names = [_name(row) for row in both.itertuples() if row.verdict == verdict]
        lines.append(f"{verdict}: {'; '.join(names) or 'none'}")
    if open_ones := [_name(row) for row in both.itertuples() if not row.verdict]:
        lines.append(f"one seed, no verdict: {'; '.join(open_ones)}")
    return "\n".join(lines)


def _name(row: Any) -> str:
    return f"{row.candidate}, error {DEFINITIONS[row.definition].title}"


def verdicts_html(outcome: Outcome) -> str:
    """Return paper, 2012 log, ours and verdict, one row per measurement."""
    return ledger_tables.verdicts_html(
        outcome.measurements, "not run: no crossing of both activations"
    )


def checks(settings: Settings, outcome: Outcome) -> str:
    """Return the chapter's checks, one line each. Raises AssertionError if one fails."""
    stored = [load(run.task) for run in outcome.runs]
    check(all(run is not None for run in stored), "a run that was just made is not stored")
    seeds = {*settings.seeds, *settings.candidate_seeds}
    apart = settings.selection_seed not in seeds
    check(apart, "a reporting seed took part in the choice of a rate")
    edge = outcome.selection.loc[outcome.selection["at_edge"], ["candidate", "activation"]]
    names = ", ".join(
        f"{row.activation} of {row.candidate}" for row in edge.drop_duplicates().itertuples()
    )
    return "\n".join(
        [
            f"stored runs: {len(stored)}, each under the hash of its recipe",
            "reporting seeds apart from the selection seed: yes",
            f"chosen rates inside the grid: {'no: ' + names if names else 'yes'}",
        ]
    )


def _or_never(value: float, form: str) -> str:
    return "not reached" if math.isnan(value) else format(value, form)
