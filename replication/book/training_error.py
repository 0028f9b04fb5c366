"""Which of three training errors is nearest to the paper's Figure 1: a Sphinx extension.

``{training-error}`` says it in a few sentences, from the stored distances of the race's net to the
paper's curves (``distances.csv``). They name only what the tanh curve excludes; if it excludes
nothing, or if nothing is stored, the directive shows nothing. The last one says what none of the
three explains: where the printed curves start."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from replication.base import paths
from replication.book.findings import measured, note_results
from replication.experiments.candidates import RACE
from replication.experiments.figure1 import CHANCE, DEFINITIONS
from replication.ledger.units import numbers, with_unit
from replication.paper.figures import start

CLAIM, EXPERIMENT = "fig1-curves/tanh", "relu_vs_tanh"
EXCLUDED = "excluded"
NAMES = {"relu": "ReLU", "tanh": "tanh"}
QUESTION = "The paper does not say which training error it plots. We compare three."


class Answer(NamedTuple):
    """What one curve says about the training errors: each one's name and distance."""

    nearest: tuple[str, str]
    excluded: list[tuple[str, str]]
    open: list[str]  # names only


def answer(distances: pd.DataFrame, curve: str) -> Answer | None:
    """Return what a curve of the race's net says; None unless one of its errors is the nearest.

    ``distances``: the table of ``identification.table``."""
    chosen = distances[
        (distances["candidate"] == RACE.name)
        & (distances["curve"] == curve)
        & ~distances["selection"].astype(bool)
    ]
    rows = list(chosen.sort_values("mean").itertuples())
    nearest = [row for row in rows if row.verdict == "nearest" and row.n > 1]
    if not nearest:
        return None
    return Answer(
        (_name(nearest[0]), f"{_distance(nearest[0])}, n = {nearest[0].n})"),
        [(_name(row), f"{_distance(row)})") for row in rows if row.verdict == EXCLUDED],
        [_name(row) for row in rows if row.verdict not in ("nearest", EXCLUDED)],
    )


def sentences(distances: pd.DataFrame) -> list[tuple[str, bool]]:
    """Return the answer as pieces of text, each with whether it is a number of ours; or nothing."""
    found = answer(distances, "tanh")
    if found is None or not found.excluded:
        return []
    name, number = found.nearest
    pieces = [
        (f"{QUESTION} Our tanh curve tells them apart: by the {name} its distance is ", False)
    ]
    pieces += [(number, True)]
    for place, (name, number) in enumerate(found.excluded, start=1):
        link = ", and by the" if place == len(found.excluded) else ", by the"
        pieces += [(f"{link} {name} ", False), (number, True)]
    several = len(found.excluded) > 1
    pieces += [("; the last two are excluded." if several else "; the last is excluded.", False)]
    if found.open:
        pieces += [(f" It cannot exclude {_listed(found.open)}.", False)]
    relu = answer(distances, "relu")
    if relu is not None:
        names = [name for name, _ in relu.excluded]
        only = f"excludes only {_listed(names)}" if names else "excludes none of them"
        pieces += [(f" The ReLU curve {only}.", False)]
    starts = " and ".join(f"{start(kind):.0%} ({name})" for kind, name in NAMES.items())
    pieces += [
        (
            f" None of the three explains where the printed curves start: at epoch 0 they are at"
            f" {starts}, but an untrained net has {CHANCE:.0%}. So the paper may plot a fourth.",
            False,
        )
    ]
    return pieces


def _name(row: Any) -> str:
    title = DEFINITIONS[row.definition].title
    return f"error {title}" if title.startswith("over") else title


def _distance(row: Any) -> str:
    middle, low, high = numbers(row.mean, row.low, row.high)
    return f"{with_unit(middle, 'points')} ({low} to {high}"


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"the {name}" for name in names)


class TrainingError(SphinxDirective):
    """``{training-error} TITLE``: which training errors the tanh curve of Figure 1 excludes."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        note_results(self.env)
        _, measurement, _ = measured(CLAIM)
        if measurement is None:
            return []
        file = paths.results() / measurement.profile / EXPERIMENT / "distances.csv"
        self.env.note_dependency(str(file))
        pieces = sentences(pd.read_csv(file)) if file.is_file() else []
        if not pieces:
            return []
        paragraph = nodes.paragraph()
        if self.arguments:
            paragraph += [nodes.strong("", self.arguments[0]), nodes.Text(" ")]
        paragraph += [
            nodes.inline("", text, classes=["ours"]) if ours else nodes.Text(text)
            for text, ours in pieces
        ]
        return [nodes.container("", paragraph, classes=["finding"])]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("training-error", TrainingError)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
