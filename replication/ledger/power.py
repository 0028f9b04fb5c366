"""What the rules of the verdicts can detect, and how often they report an absent effect.

``needed`` computes, from the measured spread of each quantity, the seeds that an effect of the
paper's own size needs. ``false_verdicts`` simulates families of variants without any effect, judged
by today's rules and by the rules before them."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from replication.base.statistics import TAIL, Spread, student_t
from replication.ledger.families import Family, dunnett, sidak, smallest_detectable, tamhane
from replication.ledger.record import Measurement
from replication.ledger.verdicts import Row
from replication.paper import Target

MOST_SEEDS = 512  # beyond, the number of seeds is not searched
WORLDS = 4000  # simulated families per rule; a rate of 5% then has a standard error of 0.3 points
SEED = 2012
VARIANTS = 13  # of a family with equal spreads: as many as the first baseline has
TODAY = "today: both intervals"
POOLED = "pooled spread alone"
BEFORE = "until 28 November: pooled spread, and Welch's interval of each row alone"
COLUMNS = ("rule", "spreads", "variants", "seeds", "baseline", "family", "row")
PAIRED = "paired t, each row alone"


class Needed(NamedTuple):
    """One measured quantity and what it would take to find the paper's effect in it."""

    claim: str
    quantity: str
    unit: str
    spread: float  # within variants, or of the differences; of a ratio, of its logarithm
    seeds: int  # measured
    detectable: float  # smallest effect found with 80% power, at this scale; of a ratio a factor
    paper: float | None  # the paper's effect from no effect; of a ratio a factor
    needed: int | None  # seeds of every variant; None: no size in the paper, or too many


def needed(rows: list[Row]) -> list[Needed]:
    """Return the power of every measured E or Q row that has a side, in the ledger's order."""
    quantities = []
    for row in rows:
        if row.effect is None or row.ours is None or row.effect.detectable is None:
            continue
        target = row.ours.target
        if target.null is None:
            continue
        quantities.append(
            Needed(
                row.id,
                target.quantity,
                target.unit,
                spread_of(row.ours),
                row.effect.n,
                row.effect.detectable,
                _paper_effect(target),
                seeds_needed(row.ours),
            )
        )
    return quantities


def spread_of(measurement: Measurement) -> float:
    """Return the standard deviation within variants; without a family that of the values."""
    if measurement.family is not None:
        return measurement.family.spread
    return measurement.spread.error * math.sqrt(measurement.n)


def seeds_needed(measurement: Measurement) -> int | None:
    """Return the seeds of every variant with which the paper's effect is found with 80% power.

    The same spread and family, equally many seeds everywhere. None if the paper gives no size, or
    if more than ``MOST_SEEDS`` are needed."""
    size = _size(measurement.target)
    if size == 0:
        return None
    low, high = 2, 2
    while _detectable(measurement, high) > size:
        low, high = high, 2 * high
        if low >= MOST_SEEDS:
            return None
    while low < high:  # the smallest effect falls with the seeds
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _detectable(measurement, middle) > size else (low, middle)
    return low


def _detectable(measurement: Measurement, seeds: int) -> float:
    spread = spread_of(measurement)
    if measurement.family is None:
        return smallest_detectable(Spread(0.0, spread / math.sqrt(seeds), seeds - 1))
    groups = len(measurement.family.groups)
    freedom = groups * (seeds - 1)
    error, own = spread * math.sqrt(2 / seeds), 2 * (seeds - 1)
    return max(
        smallest_detectable(
            Spread(0.0, error, freedom), dunnett((seeds,) * (groups - 1), seeds, freedom)
        ),
        smallest_detectable(Spread(0.0, error, own), tamhane(groups - 1, own)),
    )


def _size(target: Target) -> float:
    if target.value is None or target.null is None:
        return 0.0
    return abs(math.log(target.value) if target.ratio else target.value - target.null)


def _paper_effect(target: Target) -> float | None:
    if target.value is None or target.null is None:
        return None
    return target.value if target.ratio else abs(target.value - target.null)


def false_verdicts(
    spreads: Mapping[str, Family] | None = None, worlds: int = WORLDS, seed: int = SEED
) -> pd.DataFrame:
    """Return how often families without an effect get a verdict on direction.

    ``spreads``: by quantity, families whose variants' spreads and seeds are taken; otherwise all
    spreads are equal. Columns rule, spreads, variants (how many), seeds, baseline (its seeds),
    family (share of families with at least one false verdict) and row (share of rows)."""
    random = np.random.default_rng(seed)
    rows = []
    for seeds, baseline in ((5, 5), (5, 8), (3, 3)):
        world = _world(random, worlds, seeds, baseline)
        rows.append((TODAY, "equal", VARIANTS, seeds, baseline, *_shares(judged(*world))))
    for name, measured in (spreads or {}).items():
        world = _world_like(random, worlds, measured)
        numbers = *world[0].shape[1:], world[1].shape[1]
        for rule, judge in ((TODAY, judged), (BEFORE, judged_before), (POOLED, simultaneous)):
            rows.append((rule, f"of {name}", *numbers, *_shares(judge(*world))))
    for seeds in (3, 5):
        false = paired(*_world(random, worlds, seeds, seeds))
        rows.append((PAIRED, "equal", VARIANTS, seeds, seeds, *_shares(false)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _shares(false: np.ndarray) -> tuple[float, float]:
    return float(false.any(axis=1).mean()), float(false.mean())


def _world(
    random: np.random.Generator, worlds: int, seeds: int, baseline: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return errors without an effect, of variants and of the baseline.

    Shapes (worlds, VARIANTS, seeds) and (worlds, baseline).
    """
    return random.normal(size=(worlds, VARIANTS, seeds)), random.normal(size=(worlds, baseline))


def _world_like(
    random: np.random.Generator, worlds: int, measured: Family
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same with the spreads of a measured family, and as many seeds of all variants."""
    deviations = {name: math.sqrt(group.variance) for name, group in measured.groups.items()}
    whole = deviations.pop(measured.baseline)
    seeds = min(group.n for group in measured.groups.values())
    variants = random.normal(size=(worlds, len(deviations), seeds))
    baseline = random.normal(size=(worlds, measured.groups[measured.baseline].n))
    return variants * np.array([*deviations.values()])[:, None], whole * baseline


def judged(variants: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Return whether each variant gets a verdict on direction: all its intervals exclude zero."""
    return simultaneous(variants, baseline) & separate(variants, baseline)


def judged_before(variants: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Return the same by the rules until 28 November 2026."""
    return simultaneous(variants, baseline) & alone(variants, baseline)


def simultaneous(variants: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Return whether each variant's simultaneous interval excludes zero.

    bool (worlds, variants), as ``families`` has it, over many worlds at once."""
    _, count, seeds = variants.shape
    controls = baseline.shape[1]
    freedom = count * (seeds - 1) + controls - 1
    squares = (seeds - 1) * variants.var(axis=2, ddof=1).sum(axis=1)
    squares += (controls - 1) * baseline.var(axis=1, ddof=1)
    error = np.sqrt(squares / freedom * (1 / seeds + 1 / controls))
    away = np.abs(variants.mean(axis=2) - baseline.mean(axis=1)[:, None])
    return away > dunnett((seeds,) * count, controls, freedom) * error[:, None]


def separate(variants: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Return whether each variant's interval of spreads of its own excludes zero (Tamhane)."""
    return alone(variants, baseline, sidak(variants.shape[1]))


def alone(variants: np.ndarray, baseline: np.ndarray, quantile: float = TAIL) -> np.ndarray:
    """Return whether each variant's own interval excludes zero, by Welch's standard error.

    ``quantile``: of Student's t at the interval's upper end."""
    seeds, controls = variants.shape[2], baseline.shape[1]
    parts = variants.var(axis=2, ddof=1) / seeds, baseline.var(axis=1, ddof=1)[:, None] / controls
    whole = parts[0] + parts[1]
    freedom = whole**2 / (parts[0] ** 2 / (seeds - 1) + parts[1] ** 2 / (controls - 1))
    away = np.abs(variants.mean(axis=2) - baseline.mean(axis=1)[:, None])
    return away > stdtrit(freedom, quantile) * np.sqrt(whole)


def paired(variants: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Return whether each variant's paired t interval excludes zero, the rule before."""
    seeds = variants.shape[2]
    differences = variants - baseline[:, None, :seeds]
    error = differences.std(axis=2, ddof=1) / math.sqrt(seeds)
    return np.abs(differences.mean(axis=2)) > student_t(seeds - 1) * error


def false_reproductions(spread: float, targets: dict[str, Target], seeds: int = 3) -> pd.DataFrame:
    """Return how often each effect counts as ``reproduced`` although there is none.

    ``spread``: within variants, in the unit of the targets. Columns claim, before (the mean of one
    seed in the range) and now (the interval of ``seeds`` excludes no effect too)."""
    random = np.random.default_rng(SEED)
    variants, baseline = _world(random, WORLDS, seeds, seeds)
    variants, baseline = spread * variants, spread * baseline
    excluded = judged(variants, baseline)[:, 0]
    means = variants[:, 0].mean(axis=1) - baseline.mean(axis=1)
    single = variants[:, 0, 0] - baseline[:, 0]
    rows = []
    for claim, target in targets.items():
        low = -math.inf if target.low is None else target.low
        high = math.inf if target.high is None else target.high
        before = (single >= low) & (single <= high)
        now = (means >= low) & (means <= high) & excluded
        rows.append((claim, float(before.mean()), float(now.mean())))
    return pd.DataFrame(rows, columns=["claim", "before", "now"])
