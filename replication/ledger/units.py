"""How the ledger writes numbers: units, and one number of decimals for numbers read together."""

import math

from replication.ledger.record import Measurement
from replication.paper import Target

SHORT = {"percentage points": "points", "per cent": "%"}


def number(value: float) -> str:
    """Return a number with three significant digits, whole from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def numbers(*values: float, null: float = 0.0) -> list[str]:
    """Return numbers that are read together, such as a mean and its interval, as text.

    All have one number of decimals: three significant digits of the largest, and up to two more
    so that a value beside ``null``, which means no effect, does not read as it."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = max(0, 2 - int(f"{largest:.2e}".partition("e")[2])) if largest else 2
    for _ in range(2):
        if not any(value != null == float(f"{value:.{decimals}f}") for value in values):
            break
        decimals += 1
    return [f"{value:,.{decimals}f}" for value in values]


def factor_and_unit(measurement: Measurement) -> tuple[float, str]:
    """Return what a measurement's numbers are multiplied by when they are shown, and their unit.

    A ratio is in times. A share is in per cent, and a difference of shares in points."""
    if measurement.outdated:
        return 1.0, measurement.unit
    return shown_unit(measurement.target.unit or measurement.unit, measurement.target)


def shown_unit(unit: str, target: Target) -> tuple[float, str]:
    """Return the factor and the unit in which numbers of a claim's target are shown."""
    if unit == "fraction":
        return 100.0, "%" if target.null else "points"
    if target.ratio and not unit:
        return 1.0, "times"
    return 1.0, SHORT.get(unit, unit)


def unit_of_differences(unit: str) -> str:
    """Return the unit of a distance between two numbers in ``unit``: of per cent, points."""
    return "points" if unit == "%" else unit


def with_unit(text: str, unit: str) -> str:
    """Return a number with its unit, without a space before a per cent sign."""
    if text == "1" and unit == "points":
        unit = "point"
    return f"{text}{'' if unit in ('', '%') else ' '}{unit}"


def p_text(measurement: Measurement) -> str:
    """Return the p of the test that decides: "p = 0.03"; "" if none does."""
    return "" if measurement.p is None else f"p = {measurement.p:.2g}"


def seeds_text(measurement: Measurement) -> str:
    """Return the number of seeds, and the p of the test that decides: "n = 5, p = 0.03"."""
    return ", ".join(filter(None, (f"n = {measurement.n}", p_text(measurement))))
