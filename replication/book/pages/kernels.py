"""The tables and checks of the page on Figure 3. Nothing is measured here."""

import numpy as np
import pandas as pd

from replication.analysis import kernels as analysis
from replication.base.errors import check
from replication.book.pages.shared import html_table, nets_line, stored_check
from replication.experiments import kernels
from replication.experiments.common.collect import missing_text

KERNEL_MEANS = {
    "colourfulness": "mean colourfulness",
    "coloured": "kernels with more colour than brightness",
}
SELECTIVE = {name: f"selective for {name}" for name in (*analysis.KINDS, "any")}


def kernels_html(outcome: kernels.Outcome) -> str:
    """Return mean colourfulness and shares of selective kernels, per net, seed and tower."""
    table = outcome.table
    shown = {name: table[name] for name in ("net", "seed", "tower", "kernels")}
    shown["mean colourfulness"] = table["colourfulness"].map("{:.3f}".format)
    shown |= {
        title: table[name].map("{:.0%}".format)
        for name, title in (KERNEL_MEANS | SELECTIVE).items()
        if name != "colourfulness"
    }
    return html_table(pd.DataFrame(shown))


def specialisation_html(outcome: kernels.Outcome) -> str:
    """Return the permutation tests, one row per net and seed, the paper's own kernels first."""
    tests = with_paper(outcome)
    shown = {
        "net": tests["net"],
        "seed": tests["seed"].astype(str).where(tests["net"] != kernels.PAPER, ""),
        "tower 0 minus tower 1": tests["difference"].map("{:+.3f}".format),
        "mean size by chance": tests["chance"].map("{:.3f}".format),
        "size divided by chance": tests["ratio"].map("{:.2f}".format),
        "p": tests["p"].map("{:.2g}".format),
        "difference of median colour shares": tests["medians"].map("{:.3f}".format),
        "the same by chance": tests["medians_chance"].map("{:.3f}".format),
    }
    return html_table(pd.DataFrame(shown))


def with_paper(outcome: kernels.Outcome) -> pd.DataFrame:
    """Return the tests of the paper's own kernels, then those of our nets."""
    return pd.concat([kernels.paper_tests(), outcome.tests], ignore_index=True)


def stored_text(settings: kernels.Settings, outcome: kernels.Outcome) -> str:
    """Return which runs are missing; "" if all are stored."""
    return missing_text(outcome.missing, len(kernels.tasks(settings)))


def checks(outcome: kernels.Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    lines = [stored_check(outcome.runs), nets_line(outcome.runs)]
    again = kernels.specialisation(outcome.kernels)
    check(
        np.allclose(again["p"], outcome.tests["p"]),
        "the permutation test depends on something but its seed",
    )
    lines.append("repeating the permutation tests gives the same p")
    side = outcome.shown[0].shape[-1]
    share = analysis.selective(analysis.untrained(side, seed=1)).any.mean()
    # standard error 0.005
    check(abs(share - 0.05) < 0.02, "untrained kernels are not selective at the rate of chance")
    lines.append(f"of other untrained kernels, {share:.1%} count as selective; 5% are expected")
    return "\n".join(lines)
