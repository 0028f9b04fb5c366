"""Two interactive figures that need no server: a Sphinx extension.

``{figure1-slider}``: the curves of Figure 1 as they are stored, with a slider for the target error;
the ratio follows. ``{normalisation-slider}``: the formula of section 3.3 on nine made-up responses.
The page carries the numbers as JSON, and ``_static/touch.js`` draws them. Without a script, a
sentence says what would be shown."""

import json
from typing import Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from replication.base import paths
from replication.base.epochs import METRICS
from replication.base.errors import InputError
from replication.book.findings import answer
from replication.experiments.candidates import NET
from replication.experiments.figure1 import CHANCE
from replication.figures.drawings import ALPHA, BETA, K, N
from replication.figures.learning import LABELS

CLAIM, EXPERIMENT = "relu-tanh", "relu_vs_tanh"
REGIMES = {"source2012": "started as in 2012", "modern": "started as today"}


def curves() -> dict[str, Any]:
    """Return the errors of every reporting run by regime and activation, and their scale.

    Each curve starts from epoch 0. Raises InputError if nothing is published.
    """
    _, measurement, _ = answer(CLAIM)
    if measurement is None:
        raise InputError(f"{CLAIM} was not measured, so there are no curves to show")
    folder = paths.results() / measurement.profile / EXPERIMENT
    table = pd.read_csv(folder / "table.csv")
    regimes: dict[str, dict[str, list[list[float]]]] = {}
    if "candidate" in table:  # tables of today name the net or regime that was tried
        table["regime"] = table["candidate"].replace(NET, "source2012")
        table = table[~table["selection"].astype(bool)]  # the run that chose a rate is no result
    column = "exact_error" if "candidate" in table else "running_error"
    for row in table.itertuples():
        if row.regime not in REGIMES or row.activation not in LABELS:
            continue
        text = (folder / row.run / METRICS).read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        found = [line[column] for line in lines if line.get(column) is not None]
        errors = [CHANCE, *(round(error, 5) for error in found)]
        regimes.setdefault(REGIMES[row.regime], {}).setdefault(row.activation, []).append(errors)
    return {"labels": LABELS, "regimes": regimes, "scale": measurement.scale}


class _Touch(SphinxDirective):
    name_of_script = ""
    without = ""

    def data(self) -> dict[str, Any]:
        """Return what the script is given."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        text = json.dumps(self.data(), separators=(",", ":")).replace("</", "<\\/")
        content = (
            f'<div class="touch" data-touch="{self.name_of_script}">'
            f'<script type="application/json">{text}</script>'
            f"<noscript><p>{self.without}</p></noscript></div>"
        )
        return [nodes.raw("", content, format="html")]


class Figure1Slider(_Touch):
    """``{figure1-slider}``: a slider for the target error of Figure 1."""

    name_of_script = "figure1"
    without = "With JavaScript, a slider for Figure 1's target error is shown here."

    def data(self) -> dict[str, Any]:
        return curves()


class NormalisationSlider(_Touch):
    """``{normalisation-slider}``: one kernel's response, and what becomes of its neighbours'."""

    name_of_script = "normalisation"
    without = "With JavaScript, a slider for the response of one kernel is shown here."

    def data(self) -> dict[str, Any]:
        return {"k": K, "n": N, "alpha": ALPHA, "beta": BETA}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("figure1-slider", Figure1Slider)
    app.add_directive("normalisation-slider", NormalisationSlider)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
