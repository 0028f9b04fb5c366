"""Simultaneous intervals of a family of variants, against scipy's and printed tables."""

import math

import numpy as np
import pytest
from scipy import stats

from replication.base.statistics import Spread, interval, mean_spread, student_t
from replication.evaluation.seeds_and_images import difference
from replication.ledger.families import (
    detectable_over_images,
    dunnett,
    family,
    smallest_detectable,
)


@pytest.mark.parametrize(
    ("variants", "freedom", "printed"),  # Dunnett (1964), two-sided 5%, equal groups
    [(2, 6, 2.86), (3, 10, 2.76), (4, 20, 2.65)],
)
def test_the_critical_value_is_the_printed_one(variants, freedom, printed):
    assert dunnett((5,) * variants, 5, freedom) == pytest.approx(printed, abs=0.006)


def test_one_variant_has_students_t():
    assert dunnett((5,), 8, 11) == student_t(11)


def test_the_intervals_are_those_of_scipys_dunnett():
    random = np.random.default_rng(2012)
    values = {name: random.normal(size=n) for name, n in (("a", 5), ("b", 5), ("c", 4))}
    baseline = random.normal(size=8)
    found = family("error", values | {"baseline": baseline}, "baseline")
    theirs = stats.dunnett(*values.values(), control=baseline, rng=1).confidence_interval()
    for place, (name, numbers) in enumerate(values.items()):
        spread = Spread(numbers.mean() - baseline.mean(), found.error(name), found.freedom)
        ours = interval(spread, found.critical)
        # scipy's critical value is estimated by random numbers
        assert (ours.low, ours.high) == pytest.approx(
            (theirs.low[place], theirs.high[place]), abs=2e-3
        )


def test_every_seed_of_every_variant_is_in_the_pooled_spread():
    found = family("error", {"baseline": [0.0, 2.0], "a": [5.0, 5.0, 5.0], "b": [1.0]}, "baseline")
    assert found.freedom == 3 and found.spread == pytest.approx(math.sqrt(2 / 3))


def test_ratios_are_pooled_on_logarithms():
    found = family("iterations", {"baseline": [1.0, math.e**2], "a": [3.0, 3.0]}, "baseline", True)
    assert found.spread == pytest.approx(1.0)
    with pytest.raises(ValueError, match="positive"):
        family("iterations", {"baseline": [1.0, 2.0], "a": [0.0, 3.0]}, "baseline", ratio=True)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"baseline": [1.0, 2.0]}, "at least one variant"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0]}, "a baseline"),
        ({"baseline": [1.0], "a": [2.0]}, "two seeds"),
    ],
)
def test_a_family_without_a_comparison_is_refused(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        family("error", values, "baseline")


def test_an_effect_of_the_smallest_detectable_size_is_found_80_times_in_100():
    random = np.random.default_rng(7)
    effect = smallest_detectable(Spread(0.0, 1 / math.sqrt(5), 4))  # standard deviation 1
    found = 0
    for _ in range(4000):
        spread = mean_spread(random.normal(effect, 1.0, 5))
        # the truth is known here, so the power is that of the true standard deviation's effect
        found += interval(spread).low > 0
    assert found / 4000 == pytest.approx(0.8, abs=0.02)


def test_one_seed_finds_nothing():
    assert math.isnan(smallest_detectable(mean_spread([1.0])))


def test_what_an_interval_over_images_can_find_is_found_80_times_in_100():
    """Nets that differ in which images they find hard, and hardly from seed to seed."""
    random, images, seeds, found, effects = np.random.default_rng(7), 400, 5, 0, []
    for _ in range(60):
        hard = random.random((2, images)) < 0.3  # the same images for every seed of a net

        def answers(which, hard=hard):
            flipped = random.random((seeds, images)) < 0.02
            return (hard[which] != flipped).astype(float)

        interval = difference(answers(0), answers(1))
        effects.append(detectable_over_images((interval.high - interval.low) / 2, 1))
        found += interval.low + effects[-1] > 0  # as if one net were worse by such an effect
    assert found / len(effects) == pytest.approx(0.8, abs=0.1)
    assert effects[0] > 0.08  # of 30% on 400 images
