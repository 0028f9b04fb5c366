"""Numbers for prose that no claim has, read from the results when the book is built.

Roles: ``{change}`no-dropout`` is what a variant of the ablations does to the top-1 test error,
``{change}`no-lrn, half the rate`` what it does at half the learning rate, and
``{change}`paper-all`` what the paper's side of all differences from its source does;
``{differences}`higher`` are the differences from the source whose paper's side has the higher error
when it is the only one;
``{waited}`lrn_cifar`` is the share of the time in which an experiment's runs on a GPU waited for
their minibatches. A number that the results do not have is an error of the build."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx

from replication.base import files, paths
from replication.base.text import counted
from replication.book.current import note_results, rows
from replication.book.pages.paper_vs_source import answer
from replication.book.roles import ResultRole
from replication.experiments.common.comparison import speed
from replication.experiments.paper_vs_source import EXPERIMENT as SOURCE
from replication.ledger.rules import MIN_SEEDS
from replication.ledger.units import numbers, with_unit
from replication.paper.deviations import deviations

ABLATIONS, ERROR = "ablations", "test_top1"
LEARNT, LEARNT_EFFECTS = "learnt_differences.csv", "learnt_effects.csv"
FIRST = ", first baseline"
HALF, HALF_FACTOR = ", half the rate", "0.5"


def change_text(variant: str) -> str:
    """Return the change of the top-1 test error in a variant: "4.58 points (2.81 to 6.34, ...)".

    Of a variant of the baseline that has learnt. If ", first baseline" follows the name, it is that
    of the first baseline; if ", half the rate", that of the two nets at half the learning rate.
    Raises LookupError if it was not measured at the scale that has the ablations'
    verdicts."""
    name = variant.removesuffix(FIRST).removesuffix(HALF)
    if variant.endswith(HALF):
        rates = _table("rates.csv").astype({"factor": str})
        found = rates[(rates["factor"] == HALF_FACTOR) & rates["mean"].notna()]
    else:
        first = variant.endswith(FIRST)
        names = ("differences.csv", "effects.csv") if first else (LEARNT, LEARNT_EFFECTS)
        every = pd.concat([_table(names[0]), _table(names[1], SOURCE)])
        found = every[(every["quantity"] == ERROR) & every["mean"].notna()]
    for row in found[found["variant"] == name].itertuples():
        middle, low, high = numbers(row.mean, row.low, row.high)
        return f"{with_unit(middle, 'points')} ({low} to {high}, n = {row.n})"
    raise LookupError(variant)


def differences_text(outcome: str) -> str:
    """Return which differences from the source have that ``outcome``, and of how many.

    ``outcome``: "higher" or "lower", the error of a net with the paper's side of one difference
    alone. Raises LookupError for any other, and unless all have enough seeds for an answer."""
    effects = _table("effects.csv", SOURCE)
    single = effects[effects["deviation"].notna() & (effects["quantity"] == ERROR)]
    profile, what = _folder(ABLATIONS).parent.name, {one.id: one.what for one in deviations()}
    enough = len(single) and (single["n"] >= MIN_SEEDS[profile]).all()
    if outcome not in ("higher", "lower") or not enough:
        raise LookupError(outcome)
    found = [
        what[row["deviation"]]
        for _, row in single.iterrows()
        if answer(row, profile) == f"the {outcome} error"
    ]
    names = f" ({'; '.join(found)})" if found else ""
    return f"{len(found) or 'none'} of {len(single)}{names}"


def _table(name: str, experiment: str = ABLATIONS) -> pd.DataFrame:
    """Return a table of an experiment at the ablations' scale; one without rows if not stored."""
    file = _folder(ABLATIONS).with_name(experiment) / name
    columns = ["variant", "deviation", "quantity", "factor", "mean", "low", "high", "n"]
    return pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=columns)


def waited_text(experiment: str) -> str:
    """Return the lowest and the highest share of waiting of the runs on a GPU: "2% to 3% (3 runs)".

    Without the first epoch, which also warms up. Raises LookupError if there is no such run."""
    shares = []
    for provenance in sorted(_folder(experiment).glob("*/provenance.json")):
        if files.read_json(provenance)["device"].startswith("cuda"):
            shares.append(speed(provenance.parent)[1])
    shares = [share for share in shares if not math.isnan(share)]
    if not shares:
        raise LookupError(experiment)
    return f"{min(shares):.0%} to {max(shares):.0%} ({counted(len(shares), 'run')})"


def _folder(experiment: str) -> Path:
    """Return the results of an experiment at the scale of its verdicts. Raises LookupError."""
    every = (row.ours for row in rows().values() if row.experiment == experiment)
    profile = next((ours.profile for ours in every if ours is not None), None)
    if profile is None:
        raise LookupError(experiment)
    return paths.results() / profile / experiment


class _Number(ResultRole):
    """A role whose text says which number is wanted."""

    lacking = "the results have no such number"
    number_text: ClassVar[Callable[[str], str]]

    def read(self) -> nodes.Node:
        note_results(self.env)
        return nodes.inline("", type(self).number_text(self.text), classes=["ours"])


class Change(_Number):
    """``{change}`VARIANT``."""

    number_text = staticmethod(change_text)


class Differences(_Number):
    """``{differences}`OUTCOME``."""

    number_text = staticmethod(differences_text)


class Waited(_Number):
    """``{waited}`EXPERIMENT``."""

    number_text = staticmethod(waited_text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the roles."""
    app.add_role("change", Change())
    app.add_role("differences", Differences())
    app.add_role("waited", Waited())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
