"""The tables and checks of the page on section 3.3's nets for CIFAR-10."""

import pandas as pd

from replication.base.errors import check
from replication.book.pages.tables import html_table, stored_check
from replication.experiments.lrn_cifar import GAIN, RELEASED, WITH, WITHOUT, Outcome, Settings
from replication.paper import claim as find_claim

TITLES = {WITH: "11% net", WITHOUT: "11% net without norms", RELEASED: "13% net"}
TITLES[GAIN] = "11% net, norms as constant gains"
QUANTITIES = {
    "test_top1": "test error, ten views",
    "test_top1_one": "test error, one view",
    "train_top1": "training error",
}
PAPER = {  # quantity -> variant -> the paper's difference
    "test_top1": {
        name: find_claim("lrn-cifar").target(name).value for name in (WITHOUT, GAIN, RELEASED)
    }
}


def errors_html(outcome: Outcome) -> str:
    """Return the errors of every net in per cent, by seed."""
    table = outcome.table
    shown = pd.DataFrame({"net": table["variant"].map(TITLES), "seed": table["seed"]})
    for column, title in QUANTITIES.items():
        shown[title] = table[column].map("{:.2f}".format)
    return html_table(shown.assign(epochs=table["epochs"], ended=table["ended"]))


def checks(settings: Settings, outcome: Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    said = [stored_check(outcome.runs)]
    parameters = {run.task.recipe.net: run.summary["parameters"] for run in outcome.runs}
    by_norms = {
        net.norms: count for net, count in parameters.items() if net.name == "conv-local-11pct"
    }
    check(
        by_norms[True] == by_norms[False],
        "taking the normalisations out changed the number of parameters",
    )
    said.append(f"parameters with and without the normalisations: {by_norms[True]:,}, the same")
    return "\n".join(said)
