"""The two intervals that a verdict in a family needs: one spread for all, and one for each."""

import math

import numpy as np
import pytest
from ledger_worlds import TINY, beside
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from replication.ledger import power
from replication.ledger.families import family, sidak
from replication.ledger.measurement import Measurement, measured
from replication.ledger.rules import judge
from replication.paper import claim

BASELINE = [50.0, 51.0, 49.5, 50.4, 50.2]


def _measured(groups: dict[str, list[float]], name: str) -> Measurement:
    return beside(groups, name, BASELINE)


def test_the_interval_is_welchs_at_sidaks_level():
    groups = {"a": [54.0, 56.0, 55.0, 53.0, 57.0], "b": [50.0, 50.1, 49.9, 50.0, 50.2]}
    for name, values in groups.items():
        found = _measured(groups, name).separate[1:]
        means = CompareMeans(DescrStatsW(values), DescrStatsW(BASELINE))
        wanted = means.tconfint_diff(alpha=1 - math.sqrt(0.95), usevar="unequal")
        assert found == pytest.approx(wanted)


def test_a_variant_that_varies_much_does_not_widen_the_others():
    calm = {"a": [54.0, 56.0, 55.0, 53.0, 57.0], "b": [50.0, 50.1, 49.9, 50.0, 50.2]}
    wild = calm | {"b": [20.0, 80.0, 50.0, 35.0, 65.0]}
    alike, other = _measured(calm, "a"), _measured(wild, "a")
    assert alike.separate == other.separate
    assert np.ptp(other.estimate[1:]) > 2 * np.ptp(alike.estimate[1:])


def test_a_verdict_needs_both_intervals():
    """One that varies more than the rest is judged by its own spread, and all hold together."""
    groups = {"wild": [49.0, 55.0, 53.0, 57.0, 51.5]} | {
        f"calm{i}": [50.0, 50.1, 49.9, 50.0, 50.2] for i in range(8)
    }
    one = _measured(groups, "wild")
    assert one.estimate.low > 0 > one.separate.low == one.over_seeds.low
    assert judge(claim("lrn-gain"), one)[0] == "inconclusive"
    alone = _measured({"wild": groups["wild"]}, "wild")  # no other comparison holds with it
    assert alone.separate.low > one.separate.low


def test_independent_intervals_at_this_level_hold_together_95_times_in_100():
    for comparisons in (1, 5, 13):
        inside = 2 * sidak(comparisons) - 1
        assert inside**comparisons == pytest.approx(0.95)
    assert stats.norm.ppf(sidak(1)) == pytest.approx(1.959964, abs=1e-6)


def test_a_ratio_has_the_same_interval_on_logarithms():
    whole = {"baseline": [120.0, 130.0, 125.0, 140.0, 118.0], "no-dropout": [100.0, 90.0, 97.0]}
    both = family("iterations", whole | {"other": [80.0, 85.0, 90.0]}, "baseline", ratio=True)
    made = measured(
        "dropout-iterations",
        whole["baseline"],
        denominators=whole["no-dropout"],
        family=both,
        member="no-dropout",
        variant="validation error",
        profile="laptop",
        scale="simulated",
        ran=TINY,
    )
    above, below = (DescrStatsW(np.log(values)) for values in whole.values())
    ends = CompareMeans(above, below).tconfint_diff(alpha=1 - math.sqrt(0.95), usevar="unequal")
    assert made.separate[1:] == pytest.approx(tuple(np.exp(ends)))


def test_both_intervals_together_seldom_give_a_direction_where_there_is_none():
    random = np.random.default_rng(3)
    for baseline, wild in ((1.0, 1.0), (1.0, 4.0), (0.1, 1.0), (0.5, 4.0)):  # the spreads
        variants = random.normal(size=(4000, 6, 5))
        variants[:, -1] *= wild
        false = power.judged(variants, baseline * random.normal(size=(4000, 5)))
        assert false.any(axis=1).mean() < 0.05
