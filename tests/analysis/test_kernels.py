"""Figure 3's measures on kernels whose answer is known: gratings, colours, and towers that were
dealt on purpose.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.analysis import kernels as K


def grating(
    degrees: float, frequency: float, k: int = 11, colour: tuple[float, float, float] = (1, 1, 1)
) -> np.ndarray:
    """A kernel (3, k, k) with bars at ``degrees``, anticlockwise from horizontal."""
    y, x = np.mgrid[:k, :k] - (k - 1) / 2
    across = np.radians(degrees - 90)
    wave = np.cos(2 * np.pi * frequency * (x * np.cos(across) - y * np.sin(across)))
    envelope = np.exp(-(x**2 + y**2) / (2 * (k / 5) ** 2))
    return np.asarray(colour)[:, None, None] * (wave * envelope)


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_a_grating_is_found_at_its_orientation_and_frequency(degrees: float) -> None:
    found = K.measure(grating(degrees, 0.25)[None]).iloc[0]
    # the grid is square, the envelope short
    assert (found["preferred"] - degrees + 90) % 180 - 90 == pytest.approx(0, abs=3)
    assert found["peak"] == pytest.approx(0.25, abs=1 / K.GRID)
    assert found["orientation"] > 0.8
    assert found["colourfulness"] == pytest.approx(0, abs=1e-12)


def test_colourfulness_is_the_share_off_the_grey_axis() -> None:
    red, opponent = grating(0, 0.1, colour=(1, 0, 0)), grating(0, 0.1, colour=(1, -1, 0))
    assert K.measure(np.stack([red, opponent]))["colourfulness"].to_numpy() == pytest.approx(
        [2 / 3, 1]
    )
    # standard error 0.0005
    assert K.measure(K.untrained(11))["colourfulness"].mean() == pytest.approx(2 / 3, abs=0.005)


@given(st.floats(1e-6, 1e6), st.integers(0, 3))
def test_no_measure_sees_the_scale_or_a_quarter_turn_of_the_whole_set(
    scale: float, turns: int
) -> None:
    some = K.untrained(5, seed=3, count=4)
    first, second = K.measure(some), K.measure(np.rot90(scale * some, turns, (2, 3)))
    for name in ("colourfulness", "orientation", "peak", "bandwidth"):
        # a real kernel's spectrum is symmetric, so a turn only permutes it; the row and the column
        # of -1/2 cycle are alone: 1e-2
        assert np.allclose(first[name], second[name], atol=1e-2)


def test_a_blob_has_no_orientation_and_a_kernel_of_zeros_no_measure() -> None:
    found = K.measure(np.stack([grating(0, 0.0), np.zeros((3, 11, 11))]))
    assert found["orientation"][0] < 0.01 and found["peak"][0] == 0
    assert found.iloc[1].isna().all()
    assert not K.selective(np.zeros((1, 3, 11, 11))).any[0]


@pytest.mark.parametrize("k", [5, 11])
def test_five_per_cent_of_untrained_kernels_are_selective_by_chance(k: int) -> None:
    found = K.selective(K.untrained(k, seed=99))
    for part in found:
        # two draws of 4000: standard error 0.005
        assert part.mean() == pytest.approx(1 - K.SELECTIVE_SHARE, abs=0.02)


def test_gratings_and_colours_are_selective_each_in_its_own_way() -> None:
    grey, colour = grating(45, 0.2), grating(0, 0.0, colour=(1, -1, 0))
    found = K.selective(np.stack([grey, colour]))
    assert found.any.all()
    assert found.orientation.tolist() == [True, False] and found.colour.tolist() == [False, True]


def test_dealt_towers_are_found_and_mixed_ones_are_not() -> None:
    colours, towers = (
        np.r_[np.linspace(0, 0.2, 12), np.linspace(0.7, 0.9, 12)],
        np.repeat([0, 1], 12),
    )
    apart, mixed = K.specialisation(colours, towers), K.specialisation(colours, np.tile([0, 1], 12))
    assert apart.difference == pytest.approx(-0.7)
    assert apart.ratio > 4 and apart.p < 0.001
    assert mixed.p > 0.5 and mixed.ratio < 1


def test_the_permutation_test_is_fair_where_there_is_nothing_to_find() -> None:
    rng = np.random.default_rng(5)
    results = [
        K.specialisation(rng.random(24), np.repeat([0, 1], 12), seed, 400) for seed in range(300)
    ]
    p = np.array([r.p for r in results])
    assert np.mean(p < 0.1) == pytest.approx(0.1, abs=0.05)  # 300 tests: standard error 0.017
    # the logarithm of a half-normal has a spread of 1.11: standard error 0.064
    assert np.mean(np.log([r.ratio for r in results])) == pytest.approx(0, abs=0.19)


def test_fishers_combination_against_known_values() -> None:
    assert K.combine([0.3]) == pytest.approx(0.3)
    assert K.combine([1.0, 1.0]) == 1
    # chi-squared with 4 degrees, in closed form
    assert K.combine([0.05, 0.05]) == pytest.approx(0.0025 * (1 - np.log(0.0025)))


def test_the_mosaic_scales_all_kernels_jointly_or_each_alone() -> None:
    some = np.stack([np.full((3, 2, 2), v) for v in (-1.0, 0.0, 3.0)])
    picture = K.mosaic(some, columns=2)
    assert picture.shape == (5, 5, 3)
    assert picture[0, 0, 0] == 0 and picture[0, 3, 0] == 0.25 and picture[3, 0, 0] == 1
    assert picture[2, 0, 0] == 1 and picture[4, 4, 0] == 1  # gap and empty cell are white
    pair = K.mosaic(np.stack([0.01 * grating(0, 0.2), grating(0, 0.2)]), 2, norm_filters=True)
    assert np.allclose(pair[:, :11], pair[:, 12:])


def test_the_colour_share_is_of_the_variance_and_so_without_the_kernels_mean() -> None:
    grey, opponent = grating(0, 0.1), grating(0, 0.1, colour=(1, -1, 0))
    found = K.measure(np.stack([grey + 3, opponent, np.ones((3, 11, 11)), np.zeros((3, 11, 11))]))
    share = found["colour_share"].to_numpy()
    assert share[:2] == pytest.approx([0, 1]) and np.isnan(share[2:]).all()
    shifted = K.colour_share(np.stack([opponent, opponent + 3]))
    assert shifted[0] == pytest.approx(shifted[1])


def test_medians_apart_are_seen_beside_those_of_random_assignment() -> None:
    tower = np.repeat([0, 1], 24)
    apart = K.medians(np.where(tower == 0, 0.01, 0.7), tower)
    # with two kinds of kernels a random half mostly has more of one kind
    assert apart.difference == pytest.approx(0.69) and 0.4 < apart.chance < 0.69
    mixed = K.medians(np.random.default_rng(0).random(48), tower)
    assert abs(mixed.difference - mixed.chance) < 0.2
    with pytest.raises(ValueError, match="each tower"):
        K.medians(np.ones(3), np.zeros(3))
