"""The neighbours of Figure 4: exact where float32 alone is not, and rank correlations with ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from replication.analysis import neighbours as N


def brute(queries: np.ndarray, base: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    apart = np.sqrt(
        np.square(queries[:, None].astype(np.float64) - base[None].astype(np.float64)).sum(2)
    )
    rows = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(apart, rows, 1)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int16, st.tuples(st.integers(7, 30), st.just(4)), elements=st.integers(-3, 3)),
    st.integers(1, 7),
)
def test_the_order_is_that_of_brute_force_with_its_ties(points: np.ndarray, k: int) -> None:
    found = N.nearest(points[:5], points, k)
    rows, apart = brute(points[:5], points, k)
    assert np.array_equal(found.rows, rows)
    assert np.allclose(found.distances, apart, rtol=1e-12)


def test_near_ties_far_from_the_origin_are_ranked_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(N, "BLOCK", 1000)  # several blocks of queries
    monkeypatch.setattr(N, "PART", 1000)  # and of the base
    monkeypatch.setattr(N, "GATHER", 1000)
    rng = np.random.default_rng(1)
    # a float32 sum cannot see the small differences
    base = rng.normal(0, 1, (300, 40)) * 1e-4 + rng.choice([-1e3, 1e3], (300, 1))
    queries = base[:20] + rng.normal(0, 1e-4, (20, 40))
    rows, _ = brute(queries, base, 6)
    assert np.array_equal(N.nearest(queries, base).rows, rows)


def test_a_copy_is_its_own_nearest_and_the_first_of_equals_wins() -> None:
    base = np.repeat(np.eye(4, dtype=np.float32), 3, 0)
    found = N.nearest(base[3:6], base, 4)
    assert found.rows[:, :3].tolist() == [[3, 4, 5]] * 3 and found.rows[:, 3].tolist() == [0] * 3
    assert not found.distances[:, :3].any()


def test_a_search_without_a_defined_nearest_row_is_refused() -> None:
    base = np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match="neighbours"):
        N.nearest(base, base, 4)
    with pytest.raises(ValueError, match="finite"):
        N.nearest(np.full((1, 2), np.nan, np.float32), base, 1)
    assert N.nearest(base[:0], base, 2).rows.shape == (0, 2)


def test_the_share_of_the_querys_class() -> None:
    shares = N.same_class(np.array([0, 1]), np.array([0, 0, 1, 2]), np.array([[0, 1], [0, 2]]))
    assert shares.tolist() == [1, 0.5]


@given(
    arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(2, 12)), elements=st.integers(-3, 3))
)
def test_tied_ranks_share_their_mean_and_their_sum(values: np.ndarray) -> None:
    found = N.ranks(values)
    for row, own in zip(values, found, strict=True):
        below = (row[:, None] > row[None]).sum(1)
        assert np.array_equal(own, below + ((row[:, None] == row[None]).sum(1) - 1) / 2)


def test_rank_correlation_is_pandas_own() -> None:
    import pandas as pd

    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 9, (5, 40)), rng.integers(0, 9, (5, 40))
    expected = [
        pd.Series(a).rank().corr(pd.Series(b).rank()) for a, b in zip(first, second, strict=True)
    ]
    assert np.allclose(N.rank_correlation(first, second), expected)
    assert np.isnan(N.rank_correlation(np.zeros((1, 4)), np.arange(4.0)[None]))[0]
    assert N.rank_correlation(np.arange(5.0)[None], np.exp(np.arange(5.0))[None])[
        0
    ] == pytest.approx(1)


def test_all_distances_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(3)
    queries, base = rng.normal(50, 1, (4, 30)), rng.normal(50, 1, (9, 30))
    expected = np.square(queries[:, None] - base[None]).sum(2)
    # float32 sums of 30 terms near 60
    assert np.allclose(N.squared_distances(queries, base), expected, rtol=1e-5)
