"""The tables and checks of the page on section 3.3's nets for CIFAR-10."""

import itertools
from collections.abc import Sequence

import pandas as pd

from replication.base.errors import check
from replication.base.text import counted
from replication.book.pages.shared import html_table, interval_text, stored_check
from replication.data.augment.views import GRID
from replication.experiments.common.comparison import VIEWS, scale, trained_on
from replication.experiments.lrn_cifar import Outcome, claim_length
from replication.experiments.lrn_cifar_nets import (
    AUTHORS_PARTS,
    EARLIER_OWN,
    EARLIER_SHORT,
    FIRST_EPOCHS,
    FIRST_PART,
    GAIN,
    IN_TWO_PARTS,
    OWN,
    PRINTED_AFTER,
    PRINTED_ERROR,
    PRINTED_IMAGES,
    PRINTED_LOSS,
    PRINTED_TEST_ERROR,
    RELEASED,
    RELEASED_LONGER,
    TRAININGS,
    WITH,
    WITHOUT,
    Settings,
    own_trainings,
    stages,
    variant_of,
)
from replication.ledger.rules import MIN_SEEDS
from replication.paper import claim as find_claim
from replication.runs.store import Run

CLAIM = find_claim("lrn-cifar")
NOTHING = "No run is stored at this profile yet."
TITLES = {
    WITH: "11% net",
    WITHOUT: "11% net without normalisation",
    RELEASED: "13% net",
    GAIN: "11% net with constant gains",
    # the planned epochs are beside the title, and tell the trainings of a net apart
    OWN: "13% net",
    RELEASED_LONGER: "13% net",
    EARLIER_SHORT: "earlier 11% net",
    EARLIER_OWN: "earlier 11% net",
    FIRST_PART: "13% net, four fifths of the images",
    IN_TWO_PARTS: "13% net, begun on four fifths of the images",
}
# the nets that are also tested on the way through their training
TESTED = {name: title for name, title in TITLES.items() if name not in AUTHORS_PARTS}
QUANTITIES = {
    "test_top1": "test error, ten views",
    "test_top1_one": "test error, one view",
    "train_top1": "training error",
}
PAPER = {  # quantity -> variant -> the paper's difference
    "test_top1": {name: CLAIM.target(name).value for name in (WITHOUT, GAIN, RELEASED)}
}
PAPER_ERRORS = {
    f"{error}%, {word}": float(error)
    for word, error in zip(("without", "with"), CLAIM.paper.split(" -> "), strict=True)
}
RATES = ("full", "1/10", "1/100")  # learning rates of the three stages


def stored_text(outcome: Outcome) -> str:
    """Return the scale of what is stored, or that nothing is."""
    return scale(outcome.runs[0], "ten views") if outcome.runs else NOTHING


def progress_html(settings: Settings, outcome: Outcome) -> str:
    """Return which runs are stored and which are missing, and what a verdict needs."""
    rows = outcome.progress
    table = html_table(
        pd.DataFrame(
            {
                "planned epochs": rows["epochs"],
                "net": rows["variant"].map(TITLES),
                "stored": [
                    f"{row.stored} of {counted(row.wanted, 'seed')}" for row in rows.itertuples()
                ],
                "missing": [_seeds(text) for text in rows["missing"]],
            }
        )
    )
    needed = MIN_SEEDS[settings.profile]
    return (
        f"{table}<p>The verdict on the normalisations compares nets trained for"
        f" {claim_length(settings, outcome.table)} epochs and needs {needed} seeds of each.</p>"
    )


def _seeds(listed: str) -> str:
    return f"seed{'s' * (',' in listed)} {listed}" if listed else "none"


def command(settings: Settings) -> str:
    """Return the command that measures what is missing."""
    if settings.only_stored:  # this page trains nothing
        return 'python scripts/campaign.py "norms on CIFAR-10"'
    return f"replication run lrn_cifar --profile {settings.profile}"


def constants_text(settings: Settings, outcome: Outcome) -> str:
    """Return the gains that take the place of the normalisations."""
    if GAIN not in settings.arms:
        return "constant gains: no net has them at this profile"
    if outcome.constants:
        gains = " and ".join(f"{gain:g}" for gain in outcome.constants)
        return f"constant gains in place of the two normalisations: {gains}"
    return "constant gains: not measured yet; the net that they are taken from is not stored"


def rates(settings: Settings) -> dict[tuple[int, int], str]:
    """Return the learning rate at the end of every stage, as text, by length and epoch."""
    lengths = {
        length: (*stages(length), length)
        for length in (settings.epochs, settings.long_epochs)
        if length
    }
    lengths |= {TRAININGS[name][1][-1]: TRAININGS[name][1] for name in own_trainings(settings)}
    return {
        (length, epoch): rate
        for length, ends in lengths.items()
        for epoch, rate in zip(ends, RATES, strict=True)
    }


def ten_views(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table that were measured over ten views."""
    return frame[frame["views"] == VIEWS]


def errors_html(outcome: Outcome) -> str:
    """Return the errors of every net in per cent, by seed."""
    table = outcome.table
    if table.empty:
        return f"<p>{NOTHING}</p>"
    shown = pd.DataFrame(
        {
            "planned epochs": table["length"],
            "net": table["variant"].map(TITLES),
            "seed": table["seed"],
        }
    )
    for column, title in QUANTITIES.items():
        shown[f"{title}, %"] = table[column].map("{:.2f}".format)
    device = {run.task.folder.name: trained_on(run) for run in outcome.runs}
    more = {
        "epochs run": table["epochs"],
        "ended by": table["ended"],
        "trained on": table["run"].map(device),
    }
    return html_table(shown.assign(**more))


def stages_html(outcome: Outcome) -> str:
    """Return the mean error of every net at every epoch tested, and its gain over ten views."""
    errors = outcome.stages
    if errors.empty:
        return f"<p>{NOTHING}</p>"
    gains = {
        (row.epochs, row.epoch, row.views, row.variant): row for row in outcome.gains.itertuples()
    }
    rows = []
    groups = errors.groupby(["epochs", "epoch", "variant"], sort=False)
    by_key = {key: group for key, group in groups}
    order = {name: place for place, name in enumerate(TITLES)}
    for key in sorted(by_key, key=lambda key: (key[0], key[1], order[key[2]])):
        epochs, epoch, variant = key
        means = by_key[key].groupby("views")["error"].mean()
        gain = gains.get((epochs, epoch, VIEWS, variant))
        rows.append(
            {
                "planned epochs": epochs,
                "tested after epoch": epoch,
                "net": TITLES[variant],
                "n": by_key[key]["seed"].nunique(),
                **{
                    f"test error, {name}, %": f"{means[views]:.2f}" if views in means else ""
                    for views, name in ((1, "one view"), (GRID, "nine views"), (VIEWS, "ten views"))
                },
                "ten views, minus the 11% net of that length, points": (
                    "" if gain is None else interval_text(gain.mean, gain.low, gain.high)
                ),
            }
        )
    return html_table(pd.DataFrame(rows))


def printed_html(outcome: Outcome) -> str:
    """Return the numbers that the author's page prints of the 13% net's training, beside ours."""
    by_variant: dict[str, list[Run]] = {}
    for run in outcome.runs:
        held_out = run.task.recipe.data.validation
        if run.provenance["data"]["images"] + held_out >= PRINTED_IMAGES:
            by_variant.setdefault(variant_of(run.task.recipe), []).append(run)
    rows = []
    for words, first, epochs, last in (
        ("100 epochs on four fifths, then on all images", FIRST_PART, FIRST_EPOCHS, IN_TWO_PARTS),
        ("all images throughout", OWN, PRINTED_AFTER, OWN),
    ):
        on_way = [
            run.history.iloc[epochs - 1]
            for run in by_variant.get(first, [])
            if len(run.history) >= epochs
        ]
        losses, errors = ([float(of[name]) for of in on_way] for name in ("loss", "running_error"))
        ends = [run.evaluation[f"test/{VIEWS}"]["top1"] for run in by_variant.get(last, [])]
        rows += [
            (words, "training loss, nats", "four million images", PRINTED_LOSS, losses, 1, ".3f"),
            (words, "training error, %", "four million images", PRINTED_ERROR, errors, 100, ".2f"),
            (words, "test error, ten views, %", "the end", (PRINTED_TEST_ERROR,), ends, 100, ".2f"),
        ]
    if not any(ours for *_, ours, _, _ in rows):
        return f"<p>The 13% net has not been trained so on {PRINTED_IMAGES:,} images yet.</p>"
    return html_table(
        pd.DataFrame(
            [
                {
                    "ours is trained on": words,
                    "number": name,
                    "after": when,
                    "printed": _mean_range(printed, factor, form),
                    "ours": _mean_range(ours, factor, form),
                    "n": len(ours),
                }
                for words, name, when, printed, ours, factor, form in rows
                if ours
            ]
        )
    )


def _mean_range(values: Sequence[float], factor: float, form: str) -> str:
    """Return the mean with the lowest and the highest value, if there are several."""
    low, high = (format(factor * of, form) for of in (min(values), max(values)))
    mean = format(factor * sum(values) / len(values), form)
    return mean if len(values) == 1 else f"{mean} ({low} to {high})"


def pairs_html(outcome: Outcome) -> str:
    """Return the difference of every two nets at the end of training, with Tukey's intervals.

    The intervals of one length and number of views hold together, with one spread for all nets."""
    from scipy import stats  # takes a second to import

    rows = []
    for length, table in outcome.table.groupby("length"):
        by_net = {name: table[table["variant"] == name] for name in TITLES}
        nets = [name for name, of in by_net.items() if len(of) > 1]
        if len(nets) < 2:
            continue
        found = {
            title: stats.tukey_hsd(*(by_net[name][column] for name in nets))
            for column, title in QUANTITIES.items()
            if column.startswith("test")
        }
        for first, second in itertools.combinations(range(len(nets)), 2):
            row = {
                "planned epochs": length,
                "net": TITLES[nets[second]],
                "minus": TITLES[nets[first]],
            }
            row["n"] = min(len(by_net[nets[place]]) for place in (first, second))
            for title, result in found.items():
                bounds = result.confidence_interval()
                ends = (of[second, first] for of in (result.statistic, bounds.low, bounds.high))
                row[f"{title}, points"] = interval_text(*map(float, ends))
            rows.append(row)
    return html_table(pd.DataFrame(rows)) if rows else "<p>No two nets have two seeds yet.</p>"


def checks(outcome: Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    lines = [stored_check(outcome.runs)]
    parameters = {run.task.recipe.net: run.summary["parameters"] for run in outcome.runs}
    counts = {
        bool(net.norms and not net.gains): count
        for net, count in parameters.items()
        if net.name == "conv-local-11pct"
    }
    if len(counts) < 2:
        return "\n".join(
            [*lines, "number of parameters with and without the normalisations: not run yet"]
        )
    check(
        counts[True] == counts[False],
        "taking the normalisations out changed the number of parameters",
    )
    lines.append(f"number of parameters, with and without the normalisations: {counts[True]:,}")
    return "\n".join(lines)
