"""The text, tables and checks of the page on the amount of data. Nothing is measured here.

What the effects say is also a sentence of other pages: ``book.data_effects``."""

import html

import pandas as pd

from replication.base.errors import check
from replication.base.text import counted
from replication.base.types import Profile
from replication.book.pages.shared import html_table, interval_text, stored_check
from replication.experiments.common.baselines import ALL
from replication.experiments.common.collect import stored_text as runs_stored
from replication.experiments.common.collect import variant_of
from replication.experiments.common.comparison import devices, trained_on
from replication.experiments.effect_of_data import REGULARISERS, Outcome, Settings, tasks
from replication.experiments.effect_of_data import effects as measured_effects
from replication.ledger.rules import MIN_SEEDS
from replication.ledger.units import numbers
from replication.runs.store import Task

ERROR = "test_top1"  # the error that is judged
NAMES = {"dropout": ("dropout", "it"), "crops": ("crops and reflections", "them")}
NOT_YET = "not run yet"
TITLES = {
    "test_top1": "top-1 test error, points",
    "test_top5": "top-5 test error, points",
    "gap": "gap, points",
}


def stored_text(settings: Settings, outcome: Outcome) -> str:
    """Return how many runs are shown, and which are missing."""
    return runs_stored(outcome.runs, outcome.missing, len(tasks(settings)))


def judged(effects: pd.DataFrame, regulariser: str) -> pd.DataFrame:
    """Return the effects of a regulariser on the top-1 test error, one row per pair of nets."""
    return effects[(effects["regulariser"] == regulariser) & (effects["quantity"] == ERROR)]


def lowers(effects: pd.DataFrame, regulariser: str) -> bool:
    """Return whether some pair has the lower error with the regulariser, and none the higher."""
    answers = set(judged(effects, regulariser)["answer"])
    return "lower with it" in answers and "higher with it" not in answers


def pairs_text(effects: pd.DataFrame, regulariser: str, profile: Profile) -> str:
    """Return in how many pairs of nets a regulariser lowers the top-1 test error, as sentences.

    ``profile``: at which the nets were trained."""
    rows = judged(effects, regulariser)
    name, it = NAMES[regulariser]
    if rows.empty:
        return f"No two nets that differ only in {name} are stored yet."
    answers = rows["answer"].value_counts()
    lower, higher, still_open, few = (
        int(answers.get(answer, 0))
        for answer in ("lower with it", "higher with it", "open", "too few seeds")
    )
    smallest, largest = numbers(rows["mean"].min(), rows["mean"].max())
    rest = [
        *([f"{counted(still_open, 'pair')} {_is(still_open)} open"] if still_open else []),
        *([f"{counted(few, 'pair')} {_has(few)} too few seeds"] if few else []),
    ]
    seeds = sorted({int(rows["n"].min()), int(rows["n"].max())})
    needed = MIN_SEEDS[profile]
    below = int((rows["n"] < needed).sum())
    fewer = f" A verdict needs {needed} seeds; {counted(below, 'pair')} {_has(below)} fewer."
    return (
        f"Of {counted(len(rows), 'pair')} of nets that differ only in {name}"
        f" ({' to '.join(map(str, seeds))} seeds each), {_count(lower)} a lower top-1 test error"
        f" with {it}, and {_count(higher)} a higher one"
        f"{'; ' if rest else ''}{', and '.join(rest)}. The means of the differences, without {it}"
        f" minus with {it}, are from {smallest} to {largest} points."
        f"{fewer if below else ''}"
    )


def _count(pairs: int) -> str:
    return f"{pairs or 'none'} {_has(pairs or 1)}"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def found_html(settings: Settings, outcome: Outcome) -> str:
    """Return what the effects say, one paragraph per regulariser."""
    texts = [pairs_text(outcome.effects, one, settings.profile) for one in REGULARISERS]
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


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
        texts = {}
        for column, title in TITLES.items():
            of = by_quantity.loc[column]
            texts[title] = interval_text(of["mean"], of["low"], of["high"])
        one = by_quantity.loc[ERROR]
        noise = pd.notna(one["images_low"])
        row[TITLES[ERROR]] = texts.pop(TITLES[ERROR])
        row["top-1, interval over seeds and images"] = (
            interval_text(one["mean"], one["images_low"], one["images_high"]) if noise else ""
        )
        rows.append(row | {"top-1 test error": one["answer"]} | texts)
    named = {"images": "images per class"}
    return html_table(pd.DataFrame(rows).rename(columns=named))


def cells_html(outcome: Outcome) -> str:
    """Return the mean errors of every cell, in per cent, and the devices that trained its runs.

    A cell that has no run yet says so."""
    columns = ["test_top1", "test_top1_one", "train_top1", "gap"]
    keys = ["images", *REGULARISERS]
    trained = [trained_on(run) for run in outcome.runs]
    groups = outcome.table.assign(device=trained).groupby(keys)
    shown = groups[columns].mean().map("{:.2f}".format)
    shown["n"] = groups["seed"].nunique()
    shown["trained on"] = groups["device"].agg(devices)
    for cell in sorted(set(filter(None, map(_cell, outcome.missing))) - set(shown.index)):
        shown.loc[cell, :] = [NOT_YET, *[""] * (len(columns) - 1), 0, ""]
    shown = shown.sort_index().astype({"n": int}).reset_index()
    for regulariser in REGULARISERS:
        shown[regulariser] = shown[regulariser].map({True: "on", False: "off"})
    titles = {
        "images": "images per class",
        "test_top1": "test error, ten views, %",
        "test_top1_one": "test error, one view, %",
        "train_top1": "training error, one view, %",
        "gap": "gap, one view, points",
    }
    return html_table(shown.rename(columns=titles))


def _cell(task: Task) -> tuple[int, bool, bool] | None:
    """Return a run's cell; None at the baseline's own number of images, which only a run knows."""
    images = ALL[variant_of(task)].get("images")
    recipe = task.recipe
    return None if images is None else (images, recipe.net.dropout, recipe.data.augment)


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
