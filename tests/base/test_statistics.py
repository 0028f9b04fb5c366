"""The confidence intervals that every verdict rests on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from replication.base.statistics import (
    difference_spread,
    interval,
    mean_interval,
    next_ratio,
    ratio_interval,
    share_interval,
    student_t,
    wilson,
)

positive = st.lists(st.floats(1.0, 1e6), min_size=2, max_size=6)


groups = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8).filter(lambda x: np.std(x) > 1e-3)


@given(st.floats(1.0, 200.0))
def test_student_t_is_scipys(freedom):
    assert student_t(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


@given(groups)
def test_the_interval_of_a_mean_is_that_of_statsmodels(values):
    assert mean_interval(values)[1:] == pytest.approx(
        DescrStatsW(values).tconfint_mean(), rel=1e-9, abs=1e-9
    )


@given(groups, groups)
def test_the_interval_of_a_difference_is_that_of_scipy_and_statsmodels(first, second):
    found = interval(difference_spread(first, second))
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert found[1:] == pytest.approx((welch.low, welch.high), rel=1e-8, abs=1e-8)
    both = CompareMeans(DescrStatsW(first), DescrStatsW(second))
    assert found[1:] == pytest.approx(both.tconfint_diff(usevar="unequal"), rel=1e-8, abs=1e-8)


@given(st.integers(0, 50), st.integers(1, 500))
def test_the_interval_of_an_error_is_wilsons_in_statsmodels(mistakes, more):
    images = mistakes + more
    assert wilson(mistakes, images)[1:] == pytest.approx(
        proportion_confint(mistakes, images, method="wilson"), rel=1e-9, abs=1e-9
    )


def test_mean_interval_of_known_values():
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    half = 4.302653 / math.sqrt(3)  # t at 2 degrees, standard deviation 1
    assert (mean, low, high) == pytest.approx((2.0, 2 - half, 2 + half), rel=1e-6)


def test_one_seed_gives_no_interval():
    assert mean_interval([5.0]) == (5.0, None, None)
    assert ratio_interval([6.0], [2.0, 3.0])[1:] == (None, None)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [1.0, math.inf]])
def test_values_without_an_interval_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        mean_interval(bad)


def test_the_interval_of_a_ratio_turns_over_with_it():
    one, other = [1.2, 1.5, 1.1], [2.0, 2.4]
    turned = ratio_interval(other, one)
    assert [1 / end for end in turned] == pytest.approx(
        [ratio_interval(one, other)[place] for place in (0, 2, 1)]
    )


def test_a_ratio_needs_positive_values():
    with pytest.raises(ValueError, match="positive"):
        ratio_interval([1.0, 2.0], [0.0, 1.0])


def test_ratio_of_equal_counts_has_no_width():
    assert ratio_interval([12.0, 12.0, 12.0], [2.0, 2.0]) == pytest.approx((6.0, 6.0, 6.0))


def test_ratio_of_known_values_by_hand():
    # logarithms 1 2 3 and 0 1 2
    ratio, low, high = ratio_interval([math.e, math.e**2, math.e**3], [1.0, math.e, math.e**2])
    half = 2.776445 * math.sqrt(2 / 3)  # equal variances: 4 degrees
    assert (math.log(ratio), math.log(low), math.log(high)) == pytest.approx(
        (1, 1 - half, 1 + half), rel=1e-6
    )


@given(positive, positive)
def test_turning_the_ratio_over_turns_its_interval_over(above, below):
    ratio, low, high = ratio_interval(above, below)
    turned = ratio_interval(below, above)
    assert 0 < low <= ratio * (1 + 1e-12) and ratio <= high * (1 + 1e-12)
    assert [math.log(x) for x in turned] == pytest.approx(
        [-math.log(x) for x in (ratio, high, low)], rel=1e-6, abs=1e-6
    )


@pytest.mark.parametrize(("spread_above", "spread_below"), [(0.1, 0.1), (0.3, 0.05), (0.02, 0.2)])
def test_ratio_interval_covers_the_truth_95_times_in_100(spread_above, spread_below):
    random = np.random.default_rng(2012)
    trials, covered = 1500, 0
    for _ in range(trials):
        above = np.exp(math.log(6) + spread_above * random.standard_normal(3))
        below = np.exp(spread_below * random.standard_normal(3))
        _, low, high = ratio_interval(above, below)
        covered += low <= 6 <= high
    # Welch's interval with three a group errs a little to the safe side
    assert 0.925 <= covered / trials <= 0.985


def test_mean_interval_covers_the_truth_95_times_in_100():
    random = np.random.default_rng(2012)
    intervals = [mean_interval(random.normal(1.0, 2.0, 3)) for _ in range(3000)]
    assert 0.935 <= np.mean([low <= 1 <= high for _, low, high in intervals]) <= 0.965


@pytest.mark.parametrize(("ones", "runs"), [(0, 3), (3, 3), (1, 1), (5, 8), (13, 16)])
def test_a_share_of_runs_has_the_exact_interval_of_scipy(ones, runs):
    share, low, high = share_interval([1.0] * ones + [0.0] * (runs - ones))
    ends = stats.binomtest(ones, runs).proportion_ci(0.95, method="exact")
    assert (share, low, high) == pytest.approx((ones / runs, ends.low, ends.high))
    with pytest.raises(ValueError, match="zeros and ones"):
        share_interval([0.5])


def test_one_more_pair_of_runs_is_in_its_range_as_often_as_said():
    random = np.random.default_rng(7)
    slow, fast = random.normal(3.0, 0.3, (4000, 6)), random.normal(1.0, 0.1, (4000, 6))
    inside = 0
    for above, below in zip(slow, fast, strict=True):
        _, low, high = next_ratio(np.exp(above[:5]), np.exp(below[:5]))
        inside += low <= math.exp(above[5] - below[5]) <= high
    assert inside / 4000 == pytest.approx(0.95, abs=0.012)  # three standard errors


def test_one_more_pair_has_no_range_by_one_run_and_none_by_equal_runs():
    assert next_ratio([8.0], [2.0, 2.0]) == pytest.approx((4.0, None, None))
    assert next_ratio([8.0, 8.0], [2.0, 2.0]) == pytest.approx((4.0, 4.0, 4.0))
