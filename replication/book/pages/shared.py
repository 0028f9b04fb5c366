"""The tables that several results pages show, as HTML. Nothing is measured here."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from replication.base.errors import check
from replication.base.html_tables import html_table
from replication.base.text import counted
from replication.experiments.common.baselines import title
from replication.experiments.common.comparison import QUANTITIES, scale
from replication.ledger import tables as ledger_tables
from replication.ledger.chips import prose_html
from replication.ledger.measurement import Measurement
from replication.paper import claim as find_claim
from replication.runs.store import Run, load, trained_again


def interval_text(mean: float, low: float | None, high: float | None, form: str = "+.2f") -> str:
    """Return a mean and its interval for a table's cell, each formatted by ``form``.

    With one seed it is the mean only; "" for NaN."""
    if math.isnan(mean):
        return ""
    if low is None or math.isnan(low):
        return format(mean, form)
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def verdicts_html(measurements: Sequence[Measurement], claims: Sequence[str], command: str) -> str:
    """Return paper, 2012 log, ours and verdict for everything that was measured of ``claims``.

    Claims that were not measured are named with the ``command`` that would measure them, or with
    what they need besides, such as two GPUs."""
    found = [
        measurement
        for claim in claims
        for measurement in measurements
        if measurement.claim == claim
    ]
    missing = [
        claim for claim in claims if claim not in {measurement.claim for measurement in found}
    ]
    needs = {claim: find_claim(claim).needs for claim in missing}
    names = ", ".join(_claim_html(claim) for claim in missing if not needs[claim])
    lines = [f"Not run here: {names}. To measure: <code>{html.escape(command)}</code>"] * bool(
        names
    )
    lines += [
        f"Not run here: {_claim_html(claim)}, which needs {prose_html(what)}."
        for claim, what in needs.items()
        if what
    ]
    return ledger_tables.verdicts_html(found) + "".join(f"<p>{line}</p>" for line in lines)


def _claim_html(claim: str) -> str:
    return f"<code>{html.escape(claim)}</code>"


def errors_html(table: pd.DataFrame, quantities: Mapping[str, str] = QUANTITIES) -> str:
    """Return the mean errors of each variant over its seeds, in per cent.

    ``table`` is that of ``comparison.error_rows``; with a column of parameters these are shown. The
    last column is the name that a notebook's parameter and the runs have."""
    means = table.groupby("variant", sort=False)[list(quantities)].mean()
    seeds = table.groupby("variant", sort=False)["seed"].nunique()
    cells = {
        heading: [f"{value:.2f}" if not math.isnan(value) else "" for value in means[column]]
        for column, heading in quantities.items()
    }
    shown = {"variant": means.index.map(title), "n": seeds.to_numpy()}
    if "parameters" in table:
        counts = table.groupby("variant", sort=False)["parameters"].first()
        shown["parameters"] = counts.map("{:,}".format).to_numpy()
    return html_table(pd.DataFrame(shown | cells | {"name": means.index}))


def differences_html(differences: pd.DataFrame, quantities: Mapping[str, str] = QUANTITIES) -> str:
    """Return variant minus baseline in percentage points, with 95% intervals.

    ``differences`` are those of ``beside_baseline.differences``."""
    rows = []
    for variant, group in differences.groupby("variant", sort=False):
        found = {
            row.quantity: interval_text(row.mean, row.low, row.high) for row in group.itertuples()
        }
        rows.append(
            {
                "variant": title(variant),
                "n": group["n"].max(),
                **{heading: found.get(key, "") for key, heading in quantities.items()},
            }
        )
    return html_table(pd.DataFrame(rows))


def stored_check(runs: Sequence[Run]) -> str:
    """Return a line saying that every run is stored under the hash of its recipe.

    Raises CheckError if one is not, or not with all its evaluations."""
    for run in runs:
        again = load(run.task)
        check(
            again is not None and again.evaluation == run.evaluation,
            f"{run.task.name} is not stored as it was shown",
        )
    return f"stored runs: {len(runs)}, each under the hash of its recipe"


def commit_text(provenance: Mapping[str, Any]) -> str:
    """Return the commit of a run, and whether its code had changes that were not committed."""
    commit = (provenance["commit"] or "unknown")[:10]
    return commit + {True: " (changed)", False: "", None: " (unknown)"}[provenance["dirty"]]


def runs_html(runs: Sequence[Run]) -> str:
    """Return every run with its provenance."""
    rows = [
        {
            "run": run.task.folder.name,
            "commit": commit_text(run.provenance),
            "data, fingerprint": "{name} {fingerprint}".format_map(run.provenance["data"]),
            "device": _device(run.provenance["device"], run.provenance["threads"]),
            "PyTorch": run.provenance["libraries"]["torch"],
            "training time, s": f"{run.provenance['seconds']:,.0f}",
            "finished": run.provenance["finished"],
        }
        for run in runs
    ]
    return html_table(pd.DataFrame(rows))


def _device(name: str, threads: int) -> str:
    return f"{name}, {counted(threads, 'thread')}"


def pictured(run: Run) -> str:
    """Return whose pictures the page shows: those of ``run``."""
    return f"pictures of seed {run.task.recipe.seed}: {scale(run)}"


def nets_line(runs: Sequence[Run]) -> str:
    """Return which nets the page shows that are not those of the stored results."""
    again = ", ".join(run.task.name for run in runs if trained_again(run)) or "none"
    return f"nets trained again, with other numbers than the stored results: {again}"
