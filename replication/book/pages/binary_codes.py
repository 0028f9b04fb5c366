"""The tables and checks of the page on binary codes. Nothing is measured here."""

import pandas as pd

from replication.base.errors import check
from replication.base.statistics import mean_interval
from replication.base.text import counted
from replication.book.pages.shared import html_table, interval_text, nets_line, stored_check
from replication.experiments import binary_codes


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


def checks(settings: binary_codes.Settings, outcome: binary_codes.Outcome) -> str:
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
            nets_line(outcome.runs),
            (
                f"codes judged: {counted(len(settings.bits), 'length')} from each of 2 sources"
                f" on each of {counted(len(settings.seeds), 'seed')}"
            ),
            "the pixels' Euclidean ranking is the same on every seed: yes",
        ]
    )
