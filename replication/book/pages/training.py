"""The training page's own tables and checks. Nothing is measured here."""

import pandas as pd

from replication.base.errors import check
from replication.base.text import counted
from replication.book.pages.shared import html_table, stored_check
from replication.experiments.training import (
    BASELINE,
    LEARNT,
    NO_DECAY,
    RULE,
    Outcome,
    Settings,
    rate_text,
)
from replication.recipe import Recipe

TITLES = {BASELINE: "baseline", LEARNT: "baseline that has learnt", RULE: "section 5's rule"}
DECISIONS = {"drop": "lower the rate", "stop": "end the training"}


def recipe_html(recipe: Recipe) -> str:
    """Return the baseline's recipe in the terms of section 5, and how it differs from the paper."""
    data, net, update = recipe.data, recipe.net, recipe.update
    rows = [
        (
            "images",
            f"{data.name}, {data.size} x {data.size}, crops of {data.side}"
            + (", reflections" if data.augment else ""),
        ),
        ("colour shift", f"standard deviation {data.colour:g}" if data.colour else "none"),
        ("held out for validation", counted(data.validation, "training image")),
        ("net", f"{counted(net.towers, 'tower')}, fidelity {net.fidelity}"),
        ("minibatch", f"{recipe.batch}"),
        (
            "learning rate",
            f"{rate_text(update.rate)}, biases {rate_text(update.rate * update.bias_rate_factor)}",
        ),
        ("momentum", f"{update.momentum:g}"),
        ("weight decay", f"{update.weight_decay:g}"),
        ("epochs", f"at most {recipe.epochs}"),
        ("schedule", schedule_text(recipe)),
        *(("differs from the paper", text) for text in net.deviations),
    ]
    return html_table(pd.DataFrame(rows, columns=["setting", "value"]))


def schedule_text(recipe: Recipe) -> str:
    """Return when the rate drops, as text."""
    schedule = recipe.schedule
    match schedule.kind:
        case "constant":
            return "one rate throughout"
        case "plateau":
            waits = f"{counted(schedule.patience, 'epoch')} without a lower validation error"
            return f"divided by {schedule.factor:g} after {waits}, {schedule.drops} times"
        case "steps":
            colour = (
                f"; colour noise ends after {schedule.colour_off}"
                if schedule.colour_off is not None
                else ""
            )
            return (
                f"divided by {schedule.factor:g} after epochs"
                f" {', '.join(map(str, schedule.after))}{colour}"
            )
        case "timeline":
            return (
                f"that of the logged run {schedule.name}, scaled to"
                f" {counted(recipe.epochs, 'epoch')}"
            )


def decisions_html(outcome: Outcome) -> str:
    """Return every decision of the rule: after which epoch, at which rate and validation error."""
    rows = outcome.curves[outcome.curves["variant"] == RULE]
    rows = rows[rows["decision"].fillna("") != ""]
    if rows.empty:
        return "<p>The run ended before the rule decided anything.</p>"
    shown = pd.DataFrame(
        {"after epoch": rows["epoch"], "learning rate in that epoch": rows["rate"].map(rate_text)}
    )
    return html_table(
        shown.assign(
            **{
                "validation error": rows["validation_error"].map("{:.2%}".format),
                "decision": rows["decision"].replace(DECISIONS),
            }
        )
    )


def speed_html(outcome: Outcome) -> str:
    """Return images per second and the share of waiting of every run.

    Other runs may have shared the machine."""
    shown = outcome.speed.dropna()
    if shown.empty:
        return "<p>No times were kept.</p>"
    cells = {
        "images/s": shown["images_per_second"].map("{:,.0f}".format),
        "time spent waiting for minibatches": shown["waiting"].map("{:.1%}".format),
    }
    named = {"net": shown["variant"].replace(TITLES), "seed": shown["seed"]}
    return html_table(pd.DataFrame(named).assign(**cells))


def decay_html(outcome: Outcome) -> str:
    """Return training and test error with and without weight decay, by seed."""
    wide = outcome.decay.pivot(index="seed", columns="variant", values=["train", "test"])
    shown = {"seed": wide.index}
    for split, title in (("train", "training error"), ("test", "test error")):
        for name, word in ((BASELINE, "with weight decay"), (NO_DECAY, "without")):
            shown[f"{title} {word}, %"] = wide[split, name].map("{:.2f}".format).to_numpy()
    return html_table(pd.DataFrame(shown))


def gap_html(outcome: Outcome) -> str:
    """Return training and test error of both baselines, and the gap between them, by seed.

    If a run was evaluated on the training set's unused images, their error is shown too."""
    rows = outcome.gap.sort_values(["variant", "seed"])
    errors = rows[["train", "test"]].assign(gap=rows["test"] - rows["train"])
    errors.columns = ["training error, %", "test error, %", "gap, points"]
    if rows["unused"].notna().any():
        errors["error of unused images, %"] = rows["unused"]
    shown = pd.DataFrame(
        {"net": rows["variant"].map(TITLES), "seed": rows["seed"], "epochs": rows["epochs"]}
    )
    return html_table(shown.join(errors.map("{:.2f}".format)))  # NaN is left empty


def choices_html(recipe: Recipe) -> str:
    """Return what was chosen, and on which images."""
    aside = f"{counted(recipe.data.validation, 'training image')} held out"
    rows = [
        ("rate, number of epochs, width", aside, "short trials before the runs"),
        (
            "when the rate drops",
            aside if recipe.schedule.kind == "plateau" else "no images: fixed beforehand",
            schedule_text(recipe),
        ),
        ("the target losses", "training loss of a trial run", "fixed before the runs"),
        ("weights of an average of nets", "no images: they are equal", ""),
        ("reported errors", "nothing: these are test images", "no setting is chosen on them"),
        (
            "which runs answer a claim",
            "in some rows changed after test errors had been seen",
            "each row's log in the ledger says so",
        ),
    ]
    return html_table(pd.DataFrame(rows, columns=["what", "chosen on", "remark"]))


def checks(settings: Settings, outcome: Outcome) -> str:
    """Return the page's checks, one line each. Raises CheckError if one fails."""
    lines = [stored_check(outcome.runs)]
    for run in outcome.runs:
        rates = run.history["rate"] if len(run.history) else pd.Series(dtype=float)
        check(rates.is_monotonic_decreasing, f"{run.task.name}: a rate rose")
    lines.append("the learning rate never rises in any run")
    rule = outcome.runs[-1].history
    drops = int((rule["decision"] == "drop").sum())
    check(
        drops == rule["rate"].nunique() - 1 or rule["decision"].iloc[-1] == "drop",
        "a drop was decided and not taken",
    )
    lines.append(
        f"the rule decided {counted(drops, 'drop')} of the rate in its run, and each was made"
    )
    return "\n".join(lines)
