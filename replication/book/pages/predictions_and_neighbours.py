"""The tables and checks of the page on Figure 4. Nothing is measured here."""

import numpy as np
import pandas as pd

from replication.analysis import neighbours
from replication.base.errors import check
from replication.base.text import counted
from replication.book.pages.shared import html_table, interval_text, nets_line, stored_check
from replication.experiments.predictions_and_neighbours import Outcome


def neighbours_html(outcome: Outcome) -> str:
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


def closeness_html(outcome: Outcome) -> str:
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


def checks(outcome: Outcome) -> str:
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
            nets_line(outcome.runs),
            (
                "neighbours by pixels in order of distance, measured again on the pictures:"
                f" those of {len(apart)} of {counted(len(apart), 'query')}"
            ),
            f"neighbours of each query: {neighbours.K}, found by exact search",
        ]
    )
