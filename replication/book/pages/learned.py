"""Tables and checks of the pages on Figure 3, Figure 4 and the binary codes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from replication.analysis import kernels as analysis
from replication.analysis import neighbours
from replication.base.errors import check
from replication.base.statistics import mean_interval
from replication.base.text import counted
from replication.book.pages.tables import html_table, interval_text, stored_check
from replication.experiments import binary_codes, kernels, predictions_and_neighbours
from replication.experiments.common.collect import missing_text
from replication.experiments.common.comparison import scale
from replication.runs.store import Run, trained_again

KERNEL_MEANS = {
    "colourfulness": "mean colourfulness",
    "coloured": "kernels with more colour than brightness",
}
SELECTIVE = {name: f"selective for {name}" for name in (*analysis.KINDS, "any")}


def pictured(run: Run) -> str:
    """Return whose pictures the page shows: those of ``run``."""
    return f"pictures of seed {run.task.recipe.seed}: {scale(run)}"


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


def kernels_checks(outcome: kernels.Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    lines = [stored_check(outcome.runs), _nets_line(outcome.runs)]
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


def _nets_line(runs: Sequence[Run]) -> str:
    """Return which nets the page shows that are not those of the stored results."""
    again = ", ".join(run.task.name for run in runs if trained_again(run)) or "none"
    return f"nets trained again, with other numbers than the stored results: {again}"


def neighbours_html(outcome: predictions_and_neighbours.Outcome) -> str:
    """Return shares of neighbours of the query's class and how far the distances agree, per net."""
    table = outcome.table
    shown = {
        "net": table["net"],
        "seed": table["seed"],
        "queries": table["queries"],
        "same class, by features": table["same_class_features"].map("{:.1%}".format),
        "same class, by pixels": table["same_class_pixels"].map("{:.1%}".format),
        "same class, by chance": table["same_class_chance"].map("{:.1%}".format),
        "features minus pixels, points": [
            interval_text(
                100 * row.difference, 100 * row.difference_low, 100 * row.difference_high, "+.1f"
            )
            for row in table.itertuples()
        ],
        "found by both searches": table["found_both_ways"].map("{:.1%}".format),
        "rank correlation of distances": table["rank_correlation"].map("{:.2f}".format),
    }
    return html_table(pd.DataFrame(shown))


def closeness_html(outcome: predictions_and_neighbours.Outcome) -> str:
    """Return the similarity of wrong labels to the right one per net, or why it is missing."""
    if outcome.without:
        return f"<p>Not measured here: {outcome.without}</p>"
    table = outcome.table.dropna(subset="closeness")
    shown = {
        "net": table["net"],
        "seed": table["seed"],
        "similarity of wrong top-5 labels": table["closeness"].map("{:.3f}".format),
        "similarity of random labels": table["closeness_chance"].map("{:.3f}".format),
        "difference": (table["closeness"] - table["closeness_chance"]).map("{:+.3f}".format),
    }
    return html_table(pd.DataFrame(shown))


def neighbours_checks(outcome: predictions_and_neighbours.Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    pictures = outcome.pictures
    flat = [
        images.reshape(*images.shape[:-3], -1).astype(np.float64)
        for images in (pictures.queries, pictures.by_pixels)
    ]
    apart = np.square(flat[0][:, None] - flat[1]).sum(2)
    check((np.diff(apart, axis=1) >= 0).all(), "the neighbours by pixels are not in order")
    check(np.allclose(pictures.p.sum(1), 1, atol=1e-5), "probabilities do not add up to 1")
    return "\n".join(
        [
            stored_check(outcome.runs),
            _nets_line(outcome.runs),
            (
                "neighbours by pixels in order of distance, measured again on the pictures:"
                f" those of {len(apart)} of {counted(len(apart), 'query')}"
            ),
            f"neighbours of each query: {neighbours.K}, found by exact search",
        ]
    )


def precision_html(settings: binary_codes.Settings, outcome: binary_codes.Outcome) -> str:
    """Return mean precision with its interval, from features and from pixels, per code length."""
    rows = []
    for bits, group in outcome.table.groupby("bits"):
        row = {"code": f"{bits} bits" if bits else "no code: Euclidean distance"}
        for source in binary_codes.SOURCES:
            values = 100 * group.loc[group["source"] == source, "precision"]
            row[f"from {source}, %"] = interval_text(*mean_interval(values.tolist()), ".1f")
        rows.append(row)
    chance = f"{100 * outcome.chance:.1f}"
    rows = [
        *rows[1:],
        rows[0],
        {
            "code": "random order",
            **{f"from {source}, %": chance for source in binary_codes.SOURCES},
        },
    ]
    return html_table(
        pd.DataFrame(rows).rename(columns={"code": f"code; precision of the {settings.k} nearest"})
    )


def costs_html(outcome: binary_codes.Outcome) -> str:
    """Return memory and time of the search, as ratios to the Euclidean one on the same vectors."""
    costs = outcome.costs
    shown = {
        "vectors": costs["source"],
        "code": [f"{bits} bits" if bits else "no code: float32 vectors" for bits in costs["bits"]],
        "bytes per image": costs["bytes"].map("{:,}".format),
        "times smaller": costs["times_smaller"].map("{:,.0f}".format),
        "times faster": costs["times_faster"].map("{:,.1f}".format),
    }
    return html_table(pd.DataFrame(shown))


def codes_checks(settings: binary_codes.Settings, outcome: binary_codes.Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    table = outcome.table
    seeds = table.groupby(["source", "bits"])["seed"].nunique()
    check(
        (seeds == len(settings.seeds)).all() and len(seeds) == 2 * (len(settings.bits) + 1),
        "a length or a seed is missing",
    )
    pixels = table[(table["source"] == "pixels") & (table["bits"] == 0)]["precision"]
    check(pixels.nunique() == 1, "the pixels' own ranking differs between seeds")
    return "\n".join(
        [
            stored_check(outcome.runs),
            _nets_line(outcome.runs),
            (
                f"codes judged: {counted(len(settings.bits), 'length')} from each of 2 sources"
                f" on each of {counted(len(settings.seeds), 'seed')}"
            ),
            "the pixels' Euclidean ranking is the same on every seed: yes",
        ]
    )
