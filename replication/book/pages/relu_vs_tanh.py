"""Figure 1's tables and checks, as its page shows them. Nothing is measured here."""

import math
from typing import Any

import pandas as pd

from replication.base.errors import check
from replication.base.statistics import next_ratio
from replication.base.text import counted
from replication.book.pages.shared import html_table, interval_text
from replication.experiments.candidates import PAIR, RACE
from replication.experiments.figure1 import DEFINITIONS, READINGS, Settings
from replication.experiments.identification import BESIDE, END, START, TOGETHER
from replication.experiments.relu_vs_tanh import Outcome
from replication.experiments.speedup import EXACT, scale, variant
from replication.figures.learning import LABELS, reader_name
from replication.ledger import tables as ledger_tables
from replication.ledger.measurement import Measurement
from replication.paper import claim as find_claim
from replication.runs.store import load

NOTHING = "No run is stored at this profile yet."
NOT_RUN = "not run yet"
WORDS = {  # beside the stored distances
    "nearest": "nearest",
    "not told apart": "not excluded",
    "excluded": "excluded",
    "": "",  # one seed
}
MEANING = "meaning of training error"
# where an epoch's number may be drawn
PLACES = ("drawn at the epoch's start", "in the middle of its images", "at the epoch's end")
SEVERAL = float(find_claim("relu-several").target("smallest ratio").low)  # times
CURVES = {"relu": "The ReLU curve", "tanh": "The tanh curve", TOGETHER: "Both curves together"}


def stored_text(settings: Settings, outcome: Outcome) -> str:
    """Return the scale of what is stored, or that nothing is."""
    return scale(settings, outcome.runs[0]) if outcome.runs else NOTHING


def progress_html(outcome: Outcome) -> str:
    """Return how far every curve is: its rate, and its reporting seeds."""
    rows = [
        {
            "candidate": reader_name(row.candidate),
            "activation": LABELS[row.activation],
            "rates tried": row.rates_tried,
            "learning rate": _rate(row),
            "reporting seeds": f"{row.seeds} of {row.seeds_wanted}",
        }
        for row in outcome.progress.itertuples()
    ]
    return html_table(pd.DataFrame(rows))


def _rate(row: Any) -> str:
    if row.chosen:
        return f"{row.rate:g}"
    if not row.rates_tried:
        return NOT_RUN
    if pd.isna(row.rate):
        return f"target error not reached at {counted(row.rates_tried, 'rate')}"
    return f"{row.rate:g} so far"


def selection_html(outcome: Outcome) -> str:
    """Return a table of all rates tried: epochs to the target error, cap, and choice."""
    tried = outcome.selection
    if tried.empty:
        return f"<p>{NOTHING}</p>"
    rows = tried.assign(
        activation=tried["activation"].map(LABELS),
        rate=[f"{rate:g}" for rate in tried["rate"]],
        epochs=[_or_never(epochs, ".2f") for epochs in tried["epochs"]],
        chosen=["fastest" if chosen else "" for chosen in tried["chosen"]],
    )
    shown = rows[["candidate", "activation", "rate", "epochs", "cap", "chosen"]]
    titles = {"rate": "learning rate", "epochs": "epochs to the target", "cap": "epochs allowed"}
    return html_table(shown.rename(columns=titles))


def race_html(outcome: Outcome) -> str:
    """Return one row per run of the race: epochs to the target error."""
    table = outcome.table[outcome.table["candidate"] == RACE.name]
    if table.empty:
        return f"<p>{NOTHING}</p>"
    columns = {
        f"epochs to the target, error {meaning.title}": [
            _or_never(value, ".2f") for value in table[f"epochs_{definition}"]
        ]
        for definition, meaning in DEFINITIONS.items()
    }
    rows = pd.DataFrame(
        {
            "activation": table["activation"].map(LABELS),
            "learning rate": [f"{rate:g}" for rate in table["rate"]],
            "seed": [
                f"{row.seed} (selection)" if row.selection else str(row.seed)
                for row in table.itertuples()
            ],
            **columns,
            "iterations to the target": [_or_never(value, ",.0f") for value in table["iterations"]],
            "epochs run": table["epochs_run"],
        }
    )
    return html_table(rows)


def definitions_html(outcome: Outcome) -> str:
    """Return the race's ratio by each definition of the error, and how far it is from the exact.

    The last column is the systematic difference, in per cent of the ratio by the exact error.
    """
    by_variant = _by_variant(outcome)
    exact = by_variant.get(variant(RACE.name))
    rows = []
    for definition, meaning in READINGS.items():
        found = by_variant.get(variant(RACE.name, definition))
        both = found is not None and exact is not None and definition != EXACT
        rows.append(
            {
                "training error": meaning.title,
                "ratio": NOT_RUN if found is None else _ratio_text(found),
                "n": "" if found is None else str(found.n),
                "one more pair of runs": "" if found is None else _next_pair(found),
                "relative to the first row": (
                    f"{100 * (found.estimate.mean / exact.estimate.mean - 1):+.0f}%" if both else ""
                ),
            }
        )
    return html_table(pd.DataFrame(rows))


def _next_pair(one: Measurement) -> str:
    """Return the range of the ratio of a single pair of runs; "" if some were cut."""
    _, low, high = next_ratio(one.values, one.denominators)
    return "" if one.bound or low is None else f"{low:.2f} to {high:.2f}"


def several_html(outcome: Outcome) -> str:
    """Return the ratio of every net and regime by the exact error, smallest first."""
    ratios = _saturating(outcome)
    progress = {(row.candidate, row.activation): row for row in outcome.progress.itertuples()}
    order = sorted(
        ratios, key=lambda name: math.inf if ratios[name] is None else ratios[name].estimate.mean
    )
    rows = []
    for name in order:
        ratio = ratios[name]
        candidate, _, activation = name.partition(", ")
        curve = progress[candidate, activation or "tanh"]
        lacking = _rate(curve) if pd.isna(curve.rate) else NOT_RUN
        rows.append(
            {
                "net or regime": candidate,
                "saturating function": LABELS[curve.activation],
                "ratio": lacking if ratio is None else _ratio_text(ratio),
                "n": "" if ratio is None else str(ratio.n),
            }
        )
    return html_table(pd.DataFrame(rows))


def several_text(outcome: Outcome) -> str:
    """Return which nets and regimes have a factor of several: the whole interval is on a side."""
    sides: dict[str, list[str]] = {"more": [], "less": [], "open": [], "no ratio yet": []}
    for name, one in _saturating(outcome).items():
        if one is None:
            sides["no ratio yet"].append(name)
            continue
        _, low, high = one.estimate
        above = low is not None and low >= SEVERAL and one.bound != "upper"
        below = high is not None and high < SEVERAL and one.bound != "lower"
        sides["more" if above else "less" if below else "open"].append(name)
    if not any(names for side, names in sides.items() if side != "no ratio yet"):
        return f'no factor is measured yet; "several times" is read as {SEVERAL:g} times or more'
    words = {"more": f"{SEVERAL:g} times or more", "less": f"less than {SEVERAL:g} times"}
    return "\n".join(
        f"{words.get(side, side)}: {'; '.join(names) or 'none'}" for side, names in sides.items()
    )


def _saturating(outcome: Outcome) -> dict[str, Measurement | None]:
    """Return the ratio by the exact error of each net and regime, or None; they hold together."""
    by_variant = _by_variant(outcome)
    names = [
        row.candidate if row.activation == "tanh" else f"{row.candidate}, {row.activation}"
        for row in outcome.progress.itertuples()
        if row.activation != "relu" and not row.candidate.startswith(BESIDE)
    ]
    found = {name: by_variant.get(variant(name)) for name in names}
    together = {"comparisons": max(1, sum(one is not None for one in found.values()))}
    return {name: one and one.model_copy(update=together) for name, one in found.items()}


def _by_variant(outcome: Outcome) -> dict[str, Measurement]:
    return {one.variant: one for one in outcome.measurements if one.claim == "relu-tanh"}


def _ratio_text(one: Measurement) -> str:
    prefix = {"lower": "at least ", "upper": "at most ", None: ""}[one.bound]
    return prefix + interval_text(*one.estimate, form=".2f")


def placements_html(outcome: Outcome) -> str:
    """Return the race's distances with each number drawn at other places in its epoch."""
    table = outcome.placements
    if table.empty:
        return f"<p>{NOTHING}</p>"
    rows = []
    for (curve, definition), group in table.groupby(["curve", "definition"], sort=False):
        by_place = {row.drawn: row for row in group.itertuples()}
        places = (START, DEFINITIONS[definition].place, END)
        shown = {name: by_place[place] for name, place in zip(PLACES, places, strict=True)}
        rows.append(
            {"activation": LABELS[curve], MEANING: DEFINITIONS[definition].title}
            | {
                name: interval_text(row.mean, row.low, row.high, ".2f")
                for name, row in shown.items()
            }
            | {"n": group["n"].iloc[0]}
        )
    return html_table(pd.DataFrame(rows))


def starts_html(outcome: Outcome) -> str:
    """Return where the curves start at epoch 0: ours by the first fifth of epoch 1, the paper's."""
    if outcome.starts.empty:
        return f"<p>The error of the first fifths: {NOT_RUN}.</p>"
    rows = [
        {
            "candidate": row.candidate,
            "activation": LABELS[row.curve],
            "learning rate": row.rate,
            "n": row.n,
            "ours at epoch 0, %": _per_cent(row),
            "the paper's, %": f"{100 * row.paper:.2f}",
        }
        for row in outcome.starts.itertuples()
    ]
    return html_table(pd.DataFrame(rows))


def _per_cent(row: Any) -> str:
    low, high = (None if pd.isna(end) else 100 * end for end in (row.low, row.high))
    return interval_text(100 * row.mean, low, high, ".2f")


def missing(outcome: Outcome, curve: str) -> list[str]:
    """Return the candidates that have no distance to ``curve`` yet, in their order."""
    wanted = [
        row.candidate
        for row in outcome.progress.itertuples()
        if row.activation == curve or (curve == TOGETHER and row.activation in PAIR)
    ]
    table = outcome.distances
    have = set(table.loc[table["curve"] == curve, "candidate"])
    return [name for name in dict.fromkeys(wanted) if name not in have]


def identified_html(outcome: Outcome) -> str:
    """Return what the figure shows: for ReLU and tanh apart, and for both together.

    Each curve has a summary and a table, which has one row per candidate, the nearest first. Its
    cells are the distances by each meaning of training error, with their verdicts."""
    return "\n".join(_identified_html(outcome, curve) for curve in CURVES)


def _identified_html(outcome: Outcome, curve: str) -> str:
    distances = outcome.distances[outcome.distances["curve"] == curve]
    absent = missing(outcome, curve)
    names = ", ".join(map(reader_name, absent))
    remark = f" {NOT_RUN.capitalize()}: {names}." if absent else ""
    if distances.empty:
        return f"<p><strong>{CURVES[curve]}.</strong> No distance is known yet.{remark}</p>"
    known = set(distances["definition"])
    rows = []
    for (candidate, rate), group in distances.groupby(["candidate", "rate"], sort=False):
        first, cells = group.iloc[0], group.set_index("definition")
        row = {"candidate": reader_name(candidate), "learning rate": rate}
        for definition, meaning in READINGS.items():
            if definition in cells.index:
                row[meaning.title] = _distance_text(cells.loc[definition])
            elif definition in known:
                row[meaning.title] = ""
        counts = dict.fromkeys(str(cells.loc[one, "n"]) for one in READINGS if one in cells.index)
        rows.append(row | {"n": f"{first.n} (selection)" if first.selection else ", ".join(counts)})
    table = pd.DataFrame(rows)
    table = table.drop(columns=["learning rate"] * (curve == TOGETHER))
    return f"<p>{_summary(distances, curve)}{remark}</p>\n{html_table(table)}"


def _distance_text(row: Any) -> str:
    distance = interval_text(row["mean"], row["low"], row["high"], ".2f")
    return f"{distance} {WORDS[row['verdict']]}".strip()


def _summary(distances: pd.DataFrame, curve: str) -> str:
    """Return the nearest reading of a curve, and how many others it can be told apart from."""
    nearest = distances[distances["verdict"] == "nearest"].iloc[0]
    counts = distances["verdict"].value_counts()
    rate = f" at rate {nearest['rate']}" if nearest["rate"] else ""
    seeds = "the selection seed alone" if nearest["selection"] else f"n = {nearest['n']}"
    excluded = counted(counts.get("excluded", 0), "reading")
    meaning = READINGS[nearest["definition"]].title
    own = nearest["seeds_apart"]
    apart = "" if pd.isna(own) else f"; two of its own runs are {own:.2f} points apart on average"
    single = f", and {counts['']} with one seed cannot be judged" if "" in counts else ""
    return (
        f"<strong>{CURVES[curve]}.</strong> The nearest of {counted(len(distances), 'reading')} is"
        f" {reader_name(nearest['candidate'])}{rate}, {meaning}: its distance is"
        f" {interval_text(nearest['mean'], nearest['low'], nearest['high'], '.2f')} points"
        f" ({seeds}{apart}). The figure excludes {excluded}; it does not exclude"
        f" {counts.get('not told apart', 0)} others{single}."
    )


def verdicts_html(outcome: Outcome) -> str:
    """Return paper, 2012 log, ours and verdict, one row per measurement."""
    return ledger_tables.verdicts_html(
        outcome.measurements, "Not run: no curve has both a chosen rate and a reporting seed."
    )


def checks(settings: Settings, outcome: Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    stored = [load(run.task) for run in outcome.runs]
    check(all(run is not None for run in stored), "a run that was just made is not stored")
    seeds = {*settings.seeds, *settings.candidate_seeds}
    apart = settings.selection_seed not in seeds
    check(apart, "a reporting seed took part in the choice of a rate")
    edge = outcome.selection.loc[
        outcome.selection["at_edge"].astype(bool), ["candidate", "activation"]
    ]
    names = ", ".join(
        f"{row.activation} of {row.candidate}" for row in edge.drop_duplicates().itertuples()
    )
    return "\n".join(
        [
            f"stored runs: {len(stored)}, each under the hash of its recipe",
            "the selection seed is none of the reporting seeds: yes",
            f"every chosen rate is inside its grid: {'no: ' + names if names else 'yes'}",
        ]
    )


def _or_never(value: float, form: str) -> str:
    return "not reached" if math.isnan(value) else format(value, form)
