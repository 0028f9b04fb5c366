"""Top-1 and top-5 error where it is easy to get wrong: ties, few classes, NaN; and the interval of
an error.
"""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from replication.base.statistics import wilson
from replication.evaluation.metrics import credit, error_interval, errors, mistakes
from replication.evaluation.predictions import Predictions

Z95 = NormalDist().inv_cdf(0.975)
# few distinct values, so that ties are common
scores = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 9)),
    elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, float("nan")]),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    p = draw(scores)
    labels = draw(arrays.arrays(np.int64, len(p), elements=st.integers(0, p.shape[1] - 1)))
    return p, labels, draw(st.integers(1, 6))


def test_the_label_must_be_among_the_k_largest() -> None:
    p = np.array([[0.1, 0.4, 0.2, 0.3]] * 4)
    labels = np.arange(4)
    assert mistakes(p, labels, 1).tolist() == [True, False, True, True]
    assert mistakes(p, labels, 2).tolist() == [True, False, True, False]
    assert mistakes(p, labels, 3).tolist() == [True, False, False, False]


def test_ties_at_the_last_place_count_against_the_label_and_share_credit_as_in_2012() -> None:
    p = np.array([[0.4, 0.2, 0.2, 0.2]])
    label = np.array([2])
    assert mistakes(p, label, 3).tolist() == [True] and mistakes(p, label, 4).tolist() == [False]
    assert credit(p, label, 2) == pytest.approx(1 / 3)  # one place left, three tie for it
    assert credit(p, label, 3) == pytest.approx(2 / 3)


def test_a_net_that_says_the_same_of_every_class_gets_chance_credit_and_no_image_right() -> None:
    p, labels = np.full((50, 10), 0.1), np.arange(50) % 10
    assert mistakes(p, labels, 5).all() and credit(p, labels, 5) == pytest.approx(np.full(50, 0.5))


def test_a_row_of_nan_is_a_mistake_even_with_fewer_than_five_classes() -> None:
    p = np.array([[np.nan, np.nan], [0.5, np.nan], [0.1, 0.9]])
    assert mistakes(p, np.zeros(3, int), 5).tolist() == [True, True, False]
    assert credit(p, np.zeros(3, int), 5).tolist() == [0, 0, 1]


@given(cases())
def test_mistakes_and_credit_agree_with_a_count_by_hand(
    case: tuple[np.ndarray, np.ndarray, int],
) -> None:
    p, labels, k = case
    for row, label, wrong, share in zip(
        p, labels, mistakes(p, labels, k), credit(p, labels, k), strict=True
    ):
        if np.isnan(row).any():
            assert wrong and share == 0
            continue
        above, tied = (
            sum(value > row[label] for value in row),
            sum(value == row[label] for value in row),
        )
        assert wrong == (above + tied > k)
        assert share == pytest.approx(min(1, max(0, k - above) / tied))
        assert wrong or share == 1  # an image that is surely right has full credit under both rules


@given(cases(), st.randoms())
def test_the_order_of_the_classes_does_not_matter(
    case: tuple[np.ndarray, np.ndarray, int], random: object
) -> None:
    p, labels, k = case
    order = list(range(p.shape[1]))
    random.shuffle(order)
    place = np.argsort(order)
    assert (mistakes(p[:, order], place[labels], k) == mistakes(p, labels, k)).all()
    assert (credit(p[:, order], place[labels], k) == credit(p, labels, k)).all()


@given(cases())
def test_a_larger_k_never_makes_a_mistake(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    p, labels, k = case
    assert not (mistakes(p, labels, k + 1) & ~mistakes(p, labels, k)).any()


def test_errors_are_the_facts_that_a_result_keeps() -> None:
    p = np.eye(6, dtype=np.float32)[[0, 1, 2, 0]] + np.linspace(0, 1e-3, 6, dtype=np.float32)
    found = Predictions(np.arange(4), np.array([0, 1, 0, 0]), p, tuple("abcdef"))
    assert errors(found) == {
        "images": 4,
        "top1": 0.25,
        "top5": 0.25,
        "mistakes1": 1,
        "mistakes5": 1,
    }
    assert error_interval(found, 1) == wilson(1, 4)


def test_predictions_that_do_not_fit_together_are_refused() -> None:
    p = np.full((2, 3), 1 / 3, np.float32)
    for ids, labels in (([0, 0], [0, 1]), ([0, 1], [0, 3]), ([0, 1], [0]), ([], [])):
        with pytest.raises(ValueError, match="predictions"):
            Predictions(np.array(ids), np.array(labels), p, ("a", "b", "c"))


def test_wilson_interval_agrees_with_a_published_example() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3: 0.2553 to 0.3662
    low, high = wilson(81, 263)[1:]
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("images", [1, 7, 50_000])
def test_wilson_interval_with_no_mistakes_and_with_mistakes_only(images: int) -> None:
    error, low, high = wilson(0, images)
    assert (error, low) == (0, 0) and high == pytest.approx(Z95**2 / (images + Z95**2))
    assert wilson(images, images)[1:] == pytest.approx((1 - high, 1))


@given(st.integers(1, 10_000), st.data())
def test_wilson_interval_holds_the_bounds_at_which_the_score_test_just_rejects(
    images: int, data: st.DataObject
) -> None:
    wrong = data.draw(st.integers(0, images))
    error, low, high = wilson(wrong, images)
    assert 0 <= low <= error <= high <= 1
    for bound in {low, high} - {0.0, 1.0}:
        assert abs(error - bound) == pytest.approx(
            Z95 * math.sqrt(bound * (1 - bound) / images), rel=1e-6, abs=1e-12
        )


@pytest.mark.parametrize(("wrong", "images"), [(3, 2), (-1, 2), (0, 0)])
def test_impossible_counts_are_refused(wrong: int, images: int) -> None:
    with pytest.raises(ValueError, match="mistakes of"):
        wilson(wrong, images)
