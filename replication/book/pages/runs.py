"""The page that lists every stored run with its provenance. Nothing is computed here.

It reads every run folder of ``results/``, regardless of the experiment, and the times that
papermill noted in the executed notebooks.
"""

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from replication.base import paths
from replication.base.errors import check
from replication.base.files import read_json
from replication.base.html_tables import html_table
from replication.base.pages import notes_of, read_page
from replication.base.text import counted
from replication.base.types import Profile
from replication.book.pages.shared import commit_text
from replication.ledger.verdicts import scales
from replication.recipe import Recipe
from replication.runs.store import check_files

COLUMNS = (
    "profile",
    "experiment",
    "run",
    "id",
    "commit",
    "data",
    "images",
    "fingerprint",
    "seed",
    "device",
    "threads",
    "precision",
    "python",
    "torch",
    "dali",
    "platform",
    "epochs",
    "ended",
    "seconds",
    "memory",
    "finished",
)
TITLES = {  # of columns that a reader could not decode
    "ended": "ended by",
    "seconds": "time, s",
    "memory": "memory, MiB",
    "torch": "PyTorch",
    "dali": "DALI",
    "python": "Python",
}


class Stored(NamedTuple):
    """One run folder as it is stored."""

    profile: str
    experiment: str
    folder: Path
    recipe: dict[str, Any]
    summary: dict[str, Any]
    provenance: dict[str, Any]


def stored_runs(profile: Profile) -> list[Stored]:
    """Return every run of the published scales, or of ``quick`` only.

    Raises InputError for an unknown profile, or a folder without provenance."""
    return list(_runs(scales(profile)))


def _runs(profiles: tuple[str, ...]) -> Iterator[Stored]:
    for scale in profiles:
        for recipe in sorted((paths.results() / scale).glob("*/*/recipe.json")):
            folder = recipe.parent
            if folder.name.startswith("."):
                continue
            check_files(folder)
            yield Stored(
                scale,
                folder.parent.name,
                folder,
                *(
                    read_json(folder / f"{name}.json")
                    for name in ("recipe", "summary", "provenance")
                ),
            )


def table(runs: list[Stored]) -> pd.DataFrame:
    """Return one row per run, with ``COLUMNS``."""
    return pd.DataFrame([_row(run) for run in runs], columns=COLUMNS)


def _row(run: Stored) -> dict[str, Any]:
    made, data = run.provenance, run.provenance["data"]
    name, _, identity = run.folder.name.rpartition("-")
    dali = [version for library, version in made["libraries"].items() if "dali" in library]
    return {
        "profile": run.profile,
        "experiment": run.experiment,
        "run": name,
        "id": identity,
        "commit": commit_text(made),
        "data": f"{data['name']} ({data['form']})" if data.get("form") else data["name"],
        "images": data["images"],
        "fingerprint": data["fingerprint"],
        "seed": made["seed"],
        "device": made["device"],
        "threads": made["threads"],
        "precision": run.recipe.get("precision", "float32"),
        "python": made["python"],
        "torch": made["libraries"].get("torch"),
        "dali": dali[0] if dali else None,
        "platform": made["platform"],
        "epochs": run.summary["epochs"],
        "ended": run.summary["ended"],
        "seconds": made["seconds"],
        "memory": made["peak_memory_mib"],
        "finished": made["finished"],
    }


def experiments_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs, epochs, hours and the largest memory per scale and experiment."""
    if runs.empty:
        return pd.DataFrame(
            columns=[
                "profile",
                "experiment",
                "runs",
                "seeds",
                "epochs",
                "hours",
                "peak memory, MiB",
            ]
        )
    groups = runs.groupby(["profile", "experiment"], sort=False)
    summed = groups.agg(
        runs=("id", "size"),
        seeds=("seed", "nunique"),
        epochs=("epochs", "sum"),
        seconds=("seconds", "sum"),
        memory=("memory", "max"),
    )
    summed = (
        summed.assign(hours=(summed["seconds"] / 3600).round(2))
        .drop(columns="seconds")
        .rename(columns={"memory": "peak memory, MiB"})
    )
    return summed.reset_index()


def environments_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the machines and versions of the runs, with the number of runs of each."""
    columns = ["device", "threads", "python", "torch", "dali", "platform"]
    return runs[columns].fillna("none").value_counts(sort=True).rename("runs").reset_index()


def pages_table() -> pd.DataFrame:
    """Return how long each published notebook took to execute, by papermill's notes.

    Runs that were stored before are not included."""
    rows = []
    for path in sorted(paths.pages().glob("*.ipynb")):
        page = read_page(path)
        notes = page["metadata"].get("papermill", {})
        rows.append(
            {
                "page": path.stem,
                "profile": notes_of(page).get("profile", "not noted"),
                "seconds": (
                    round(notes["duration"], 1) if notes.get("duration") is not None else None
                ),
                "executed": (notes.get("end_time") or "not noted")[:19],
            }
        )
    return pd.DataFrame(rows, columns=["page", "profile", "seconds", "executed"])


def counts_text(runs: pd.DataFrame) -> str:
    """Return how many runs there are, and what they cost."""
    if runs.empty:
        return "no stored runs"
    dirty = runs["commit"].str.contains("(", regex=False).sum()
    hours = runs["seconds"].sum() / 3600
    return (
        f"{counted(len(runs), 'run')} of {counted(runs['experiment'].nunique(), 'experiment')},"
        f" {counted(runs['epochs'].sum(), 'epoch')}, {hours:.1f} hours\n{dirty} of the runs were"
        " made with code that differed from its commit, or whose commit is unknown"
    )


def runs_html(runs: pd.DataFrame) -> str:
    """Return every run, one folded table per scale and experiment."""
    shown = [
        column
        for column in COLUMNS
        if column not in ("profile", "experiment", "platform", "python", "precision")
    ]
    parts = []
    for (profile, experiment), rows in runs.groupby(["profile", "experiment"], sort=False):
        heading = html.escape(f"{experiment}, {profile}: {counted(len(rows), 'run')}")
        parts.append(f"<details><summary>{heading}</summary>{table_html(rows[shown])}</details>")
    return "\n".join(parts) or "<p>No run is stored.</p>"


def table_html(rows: pd.DataFrame) -> str:
    """Return a table of runs as HTML."""
    formats = {
        column: "{:,.0f}".format
        for column in ("seconds", "memory", "peak memory, MiB")
        if column in rows
    }
    named = rows.rename(columns=TITLES)
    return html_table(
        named, {TITLES.get(name, name): form for name, form in formats.items()}, missing="none"
    )


def checks(runs: list[Stored]) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    for run in runs:
        identity = Recipe.model_validate(run.recipe).id
        check(
            run.folder.name.endswith(identity), f"{run.folder} is not under the hash of its recipe"
        )
    identities = [run.folder.name.rpartition("-")[2] for run in runs]
    return (
        f"each of {len(runs)} runs is stored under the hash of its recipe\nrecipes that are"
        " stored more than once, at several scales or for several experiments:"
        f" {len(identities) - len(set(identities))}"
    )
