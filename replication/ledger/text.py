"""The ledger as text: numbers, one line per measurement, and the table for the terminal."""

import io
import shutil

from rich.console import Console
from rich.table import Table

from replication.ledger.record import Measurement
from replication.ledger.units import factor_and_unit, number, numbers, seeds_text, with_unit
from replication.ledger.verdicts import Row, counts
from replication.paper import KINDS


def ours_text(measurement: Measurement | None) -> str:
    """Return the mean with its interval, number of seeds and p, or the value of a check.

    "" if nothing was measured."""
    if measurement is None:
        return ""
    if measurement.mean is None:
        value = measurement.value
        text = value if isinstance(value, str) else format(value, ",.10g")
        return with_unit(text, measurement.unit)
    estimate = (
        (measurement.mean, measurement.low, measurement.high)
        if measurement.outdated
        else measurement.over_seeds
    )
    factor, unit = factor_and_unit(measurement)
    mean, low, high = estimate
    prefix = {"lower": "at least ", "upper": "at most ", None: ""}[measurement.bound]
    if low is None or high is None:
        shown = number(factor * mean)
    else:
        middle, lower, upper = numbers(
            factor * mean, factor * low, factor * high, null=factor * (measurement.null or 0.0)
        )
        shown = f"{middle} [{lower}, {upper}]"
    return f"{prefix}{with_unit(shown, unit)}, {seeds_text(measurement)}"


def images_text(measurement: Measurement | None, form: str = "[{}, {}]") -> str:
    """Return the interval over seeds and images, if it decides that there is no direction.

    That over seeds alone, which is beside the mean, then excludes no effect. "" otherwise.
    ``form``: of the two ends."""
    if measurement is None or measurement.over_images is None or measurement.null is None:
        return ""
    _, low, high = measurement.over_seeds
    if low is None or high is None or low <= measurement.null <= high:
        return ""
    if not measurement.over_images.low <= measurement.null <= measurement.over_images.high:
        return ""
    return f"over seeds and images {form.format(*_images_ends(measurement))}"


def over_images_text(measurement: Measurement) -> str:
    """Return the interval over seeds and images with the number of images; "" if there is none."""
    if measurement.over_images is None:
        return ""
    interval = f"[{', '.join(_images_ends(measurement))}]"
    _, unit = factor_and_unit(measurement)
    return f"{with_unit(interval, unit)}, {measurement.over_images.images:,} test images"


def _images_ends(measurement: Measurement) -> list[str]:
    factor, _ = factor_and_unit(measurement)
    noise = measurement.over_images
    return [] if noise is None else numbers(factor * noise.low, factor * noise.high)


def rows_table(rows: list[Row], width: int | None = None) -> str:
    """Return the ledger as a table for a terminal, with the counts by verdict under it.

    ``width`` in columns; None: this terminal's.
    """
    width = width or max(80, shutil.get_terminal_size((120, 24)).columns)
    table = Table(
        title="ours: mean, 95% interval, seeds",
        title_justify="left",
        show_lines=False,
    )
    table.add_column("claim", no_wrap=True)
    for name in ("paper", "2012 log", "ours", "scale", "verdict"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.id, row.paper, row.log2012, *_ours_cells(row.ours), row.verdict)
        for other in row.others:
            table.add_row("", "", "", *_ours_cells(other.ours), other.verdict)
    text = io.StringIO()
    Console(file=text, width=width, markup=False, highlight=False, emoji=False).print(table)
    return text.getvalue() + counts_text(rows) + "\n"


def counts_text(rows: list[Row]) -> str:
    """Return how many claims have each verdict, and how many could have failed, on one line."""
    words = ", ".join(f"{count} {word}" for word, count in counts(rows).items() if count)
    return f"{len(rows)} claims: {words}; {could_fail_text(rows)}"


def could_fail_text(rows: list[Row]) -> str:
    """Return how many of the rows with a verdict could have come out against the paper, as text."""
    judged = sum(row.verdict != "not run" for row in rows)
    possible = sum(row.could_fail for row in rows)
    return f"{possible} of the {judged} measured could have come out against the paper"


def kinds_text(rows: list[Row]) -> str:
    """Return how many claims there are of each kind, one line per kind."""
    lines = [
        f"{sum(row.kind == kind for row in rows):3d}  {kind}  {meaning}"
        for kind, meaning in KINDS.items()
    ]
    return "\n".join([f"{len(rows):3d}  claims", *lines])


def _ours_cells(measurement: Measurement | None) -> tuple[str, str]:
    if measurement is None:
        return "", ""
    variant = f", {measurement.variant}" if measurement.variant else ""
    ours = "; ".join(filter(None, (ours_text(measurement), images_text(measurement))))
    return ours, f"{measurement.profile}{variant}"
