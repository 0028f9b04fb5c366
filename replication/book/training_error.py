"""Which training error the paper's Figure 1 plots: a Sphinx extension.

``{training-error}`` says it in a few sentences, from the stored distances of the race's net to the
paper's curves (``distances.csv``) and from where its curves start (``starts.csv``). Without a
distance of the tanh curve, the directive shows nothing."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from replication.base import paths
from replication.book.current import note_results
from replication.book.findings import measured
from replication.experiments.candidates import RACE
from replication.experiments.figure1 import CHANCE, READINGS
from replication.ledger.units import numbers, with_unit
from replication.paper.figures import start

CLAIM, EXPERIMENT = "fig1-curves/tanh", "relu_vs_tanh"
EXCLUDED = "excluded"
NAMES = {"relu": "ReLU", "tanh": "tanh"}
QUESTION = "The paper does not say which training error it plots."
SHOWNET = (
    " Of the meanings of training error that we compare, only one has a number there: the mean over"
    " the first fifth of the next epoch. The source of 2012 prints one number for each of"
    " CIFAR-10's five files, and its plotting program (plot_cost in shownet.py) draws the first of"
    " a run at epoch 0."
)
Pieces = list[tuple[str, bool]]


class Reading(NamedTuple):
    """A meaning of training error, and what one curve of the race's net says about it."""

    definition: str
    name: str
    distance: str  # with its interval
    verdict: str


def readings(distances: pd.DataFrame, curve: str) -> list[Reading]:
    """Return the meanings of training error by which the race's net was compared, nearest first.

    ``distances``: the table of ``identification.table``. A single seed is left out."""
    chosen = distances[
        (distances["candidate"] == RACE.name)
        & (distances["curve"] == curve)
        & (distances["n"] > 1)
        & ~distances["selection"].astype(bool)
    ]
    return [
        Reading(row.definition, _name(row), _distance(row), row.verdict)
        for row in chosen.sort_values("mean").itertuples()
    ]


def sentences(distances: pd.DataFrame, starts: pd.DataFrame) -> Pieces:
    """Return the answer as pieces of text, each with whether it is a number of ours; or nothing.

    ``starts``: the table of ``first_fifths.starts``."""
    tanh = readings(distances, "tanh")
    if not tanh:
        return []
    papers = " and ".join(f"{start(kind):.0%} ({name})" for kind, name in NAMES.items())
    pieces: Pieces = [
        (
            f"{QUESTION} But its curves start at epoch 0, at {papers}, where an untrained net has"
            f" {CHANCE:.0%}. (The frame cuts the first line of the ReLU curve; its start is that of"
            f" the line, extended.){SHOWNET}",
            False,
        )
    ]
    pieces += _starts(starts)
    for kind, name in NAMES.items():
        of_curve = readings(distances, kind)
        if of_curve:
            pieces += _distances(of_curve, name)
    return pieces


def _starts(starts: pd.DataFrame) -> Pieces:
    """Return where the race's curves start by the first fifth of epoch 1."""
    race = starts[(starts["candidate"] == RACE.name) & (starts["n"] > 1)].set_index("curve")
    if not set(NAMES) <= set(race.index):
        return []
    relu, tanh = (_start(race.loc[kind]) for kind in NAMES)
    return [
        (" By this error our curves start at ", False),
        (relu, True),
        (f" for {NAMES['relu']} and ", False),
        (tanh, True),
        (f" for {NAMES['tanh']}.", False),
    ]


def _start(row: pd.Series) -> str:
    ends = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}, n = {row['n']}"
    return f"{100 * row['mean']:.1f}% ({ends})"


def _distances(of_curve: list[Reading], name: str) -> Pieces:
    """Return which meaning is nearest to a curve, and which ones the curve excludes."""
    nearest = of_curve[0]
    pieces: Pieces = [(f" To the paper's {name} curve, the {nearest.name} is nearest, at ", False)]
    pieces += [(nearest.distance, True)]
    excluded = [one.name for one in of_curve[1:] if one.verdict == EXCLUDED]
    only = f"excludes {_listed(excluded)}" if excluded else "excludes no other"
    return [*pieces, (f"; the curve {only}.", False)]


def _name(row: Any) -> str:
    title = READINGS[row.definition].title
    return f"error {title}" if title.startswith("over") else title


def _distance(row: Any) -> str:
    middle, low, high = numbers(row.mean, row.low, row.high)
    return f"{with_unit(middle, 'points')} ({low} to {high}, n = {row.n})"


def _listed(names: Iterable[str]) -> str:
    *others, last = [f"the {name}" for name in names]
    return f"{', '.join(others)} and {last}" if others else last


class TrainingError(SphinxDirective):
    """``{training-error} TITLE``: which training error the curves of Figure 1 show."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        note_results(self.env)
        _, measurement, _ = measured(CLAIM)
        if measurement is None:
            return []
        folder = paths.results() / measurement.profile / EXPERIMENT
        files = [folder / f"{name}.csv" for name in ("distances", "starts")]
        for file in files:
            self.env.note_dependency(str(file))
        known = all(file.is_file() for file in files)
        pieces = sentences(*map(pd.read_csv, files)) if known else []
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
