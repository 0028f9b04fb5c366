"""Two nets on the same images: McNemar's exact test and the paired bootstrap, against plain
enumeration and resampling.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import contingency_tables

from replication.base.errors import InputError
from replication.evaluation.compare import compare, mcnemar
from replication.evaluation.predictions import Predictions

CLASSES = ("a", "b", "c", "d", "e", "f")


def _net(wrong: np.ndarray, fingerprint: str = "data") -> Predictions:
    """A net that is right except where ``wrong``; every label is class 0."""
    p = np.tile(np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.02], np.float32), (len(wrong), 1))
    p[wrong] = p[wrong, ::-1]
    return Predictions(
        np.arange(len(wrong)), np.zeros(len(wrong), int), p, CLASSES, "test", fingerprint
    )


def _pair(both: int, first: int, second: int, neither: int) -> tuple[Predictions, Predictions]:
    counts = (both, first, second, neither)
    return _net(np.repeat([True, True, False, False], counts)), _net(
        np.repeat([True, False, True, False], counts)
    )


def test_a_comparison_counts_the_images_that_only_one_net_gets_wrong() -> None:
    found = compare(*_pair(3, 12, 4, 81))
    assert (found.images, found.first_only, found.second_only, found.both) == (100, 12, 4, 3)
    assert found.difference == pytest.approx(0.08) and found.low < 0.08 < found.high


def test_exchanging_the_nets_turns_the_difference_over() -> None:
    first, second = _pair(30, 120, 40, 810)
    there, back = compare(first, second), compare(second, first)
    assert back.difference == -there.difference and back.p_value == there.p_value
    # sampling error of two bootstraps
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=0.003)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_that_of_statsmodels(a: int, b: int) -> None:
    assert mcnemar(a, b) == pytest.approx(
        contingency_tables.mcnemar([[5, a], [b, 7]], exact=True).pvalue if a + b else 1.0
    )


def test_mcnemar_of_many_images_neither_overflows_nor_vanishes() -> None:
    assert mcnemar(25_000, 25_000) == 1
    z = (25_500 - 24_500 - 1) / math.sqrt(50_000)  # with the correction for continuity
    assert mcnemar(25_500, 24_500) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


def test_the_bootstrap_interval_is_that_of_resampled_images() -> None:
    found = compare(*_pair(10, 60, 30, 900))
    signs = np.repeat([0, 1, -1, 0], (10, 60, 30, 900))
    scipys = stats.bootstrap(
        (signs,), np.mean, n_resamples=4000, method="percentile", rng=1
    ).confidence_interval
    # 4,000 resamples: +-0.0005
    assert (found.low, found.high) == pytest.approx((scipys.low, scipys.high), abs=0.0015)


def test_nets_with_the_same_mistakes_cannot_be_distinguished() -> None:
    found = compare(*_pair(20, 0, 0, 80))
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_top_5_mistakes_are_compared_as_such() -> None:
    first, second = _pair(0, 5, 0, 5)
    p = first.p.copy()
    p[:5] = [0.4, 0.1, 0.2, 0.1, 0.1, 0.5]  # second place: wrong for top-1 alone
    first = Predictions(first.ids, first.labels, p, CLASSES, "test", "data")
    assert compare(first, second, 1).first_only == 5 and compare(first, second, 5).first_only == 0


def test_nets_that_saw_different_images_are_not_compared() -> None:
    with pytest.raises(InputError, match="different images"):
        compare(_net(np.zeros(4, bool)), _net(np.zeros(4, bool), "other"))


def test_the_same_seed_gives_the_same_interval() -> None:
    pair = _pair(3, 12, 4, 81)
    assert compare(*pair, seed=5) == compare(*pair, seed=5)
