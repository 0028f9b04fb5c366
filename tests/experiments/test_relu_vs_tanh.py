"""Figure 1's pure parts: where a curve crosses the mark, and how the rate is searched."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.base.errors import InputError
from replication.experiments.relu_vs_tanh import epochs_to, next_rate, settings

GOOD = {
    "profile": "quick",
    "data": "synthetic",
    "count": 0,
    "size": 32,
    "batch": 32,
    "epochs": 4,
    "mark": 0.25,
    "stop_error": 0.2,
    "regimes": ["modern"],
    "activations": ["relu"],
    "rates_source2012": [1, 2, 3],
    "rates_modern": [1, 2, 3],
    "selection_seeds": [100],
    "seeds": [0, 1, 2],
}


def test_a_crossing_is_read_between_the_ends_of_two_epochs() -> None:
    assert epochs_to([0.5, 0.3, 0.2], 0.25) == pytest.approx(2.5)
    assert epochs_to([0.1], 0.5) == pytest.approx(0.5)  # from chance, 0.9, at the start
    assert math.isnan(epochs_to([0.5, 0.3], 0.25))


@given(
    st.lists(st.floats(1, 50), min_size=3, max_size=8, unique=True),
    st.randoms(use_true_random=False),
)
def test_the_search_ends_at_a_rate_that_no_neighbour_beats(
    times: list[float], random: object
) -> None:
    grid = tuple(float(2**i) for i in range(len(times)))
    truth = dict(zip(grid, times, strict=True))
    scores: dict[float, float] = {}
    while (rate := next_rate(scores, grid)) is not None:
        assert rate not in scores
        scores[rate] = truth[rate]
    best = grid.index(min(scores, key=scores.get))
    assert all(
        truth[grid[i]] > truth[grid[best]] for i in (best - 1, best + 1) if 0 <= i < len(grid)
    )


def test_every_rate_is_tried_while_none_has_reached_the_mark() -> None:
    grid, scores = (1.0, 2.0, 3.0, 4.0), {}
    while (rate := next_rate(scores, grid)) is not None:
        scores[rate] = math.inf
    assert set(scores) == set(grid)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": "abc"}, "epochs"),
        ({"seeds": [100]}, "selection"),
        ({"rates_modern": [2, 1, 3]}, "rising"),
        ({"epochz": 3}, "epochz"),
    ],
)
def test_a_bad_parameter_is_named_in_one_line(change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        settings(**GOOD | change)
    assert "\n" not in str(caught.value)
