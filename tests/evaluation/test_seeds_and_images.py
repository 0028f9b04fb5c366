"""The interval of a difference of errors over seeds and images together."""

import numpy as np
import pytest

from replication.evaluation.seeds_and_images import difference


def _wrong(rates: np.ndarray, shift: float, seeds: int, random: np.random.Generator):
    return [random.random(len(rates)) < np.clip(rates + shift, 0, 1) for _ in range(seeds)]


def test_the_difference_is_that_of_the_mean_errors_and_inside_its_interval():
    random = np.random.default_rng(1)
    rates = random.random(800)
    first, second = _wrong(rates, 0.05, 5, random), _wrong(rates, 0.0, 8, random)
    found = difference(first, second)
    assert found.mean == pytest.approx(np.mean(first) - np.mean(second))
    assert found.low < found.mean < found.high and found.images == 800


def test_images_add_to_the_noise_of_seeds():
    """Seeds that agree with one another leave the noise of the images, and more images less."""
    random = np.random.default_rng(2)
    first, second = random.random(2000) < 0.5, random.random(2000) < 0.5
    many = difference([first] * 5, [second] * 5)
    few = difference([first[:500]] * 5, [second[:500]] * 5)
    error = np.sqrt(np.var(first.astype(float) - second) / 2000)
    assert many.high - many.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(2, rel=0.15)


def test_seeds_add_to_the_noise_of_images():
    random = np.random.default_rng(3)
    alike = [random.random(3000) < 0.5] * 4
    shifted = [random.random(3000) < rate for rate in (0.3, 0.4, 0.6, 0.7)]
    wide, narrow = difference(shifted, alike), difference([shifted[1]] * 4, alike)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_it_covers_the_truth_about_95_times_in_100():
    """Five seeds a side on images drawn anew; the truth is no difference."""
    random = np.random.default_rng(4)
    covered = 0
    for _ in range(60):
        rates = random.beta(1, 1, 300)
        found = difference(_wrong(rates, 0, 5, random), _wrong(rates, 0, 5, random))
        covered += found.low <= 0 <= found.high
    assert covered >= 54


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="the same"):
        difference([np.zeros(4, bool)], [np.zeros(5, bool)])


def test_intervals_that_hold_together_are_wider():
    random = np.random.default_rng(6)
    first, second = random.random(500) < 0.5, random.random(500) < 0.5
    alone, together = (difference([first], [second], comparisons=n) for n in (1, 13))
    assert together.low < alone.low < alone.high < together.high and together.mean == alone.mean


def test_an_end_far_out_in_a_tail_does_not_depend_on_random_numbers():
    """A verdict may rest on an end that is close to zero: other draws must not change it."""
    random = np.random.default_rng(7)
    rates = random.beta(1, 1, 2000)
    first, second = _wrong(rates, 0.03, 2, random), _wrong(rates, 0.0, 8, random)
    found = [difference(first, second, seed, comparisons=13) for seed in range(4)]
    width = found[0].high - found[0].low
    assert max(np.ptp([one.low for one in found]), np.ptp([one.high for one in found])) < (
        0.004 * width
    )


def test_it_is_the_interval_that_drawing_the_images_gives():
    random = np.random.default_rng(8)
    rates = random.beta(1, 1, 400)
    first, second = _wrong(rates, 0.05, 3, random), _wrong(rates, 0.0, 4, random)
    found = difference(first, second)
    drawn = []
    for _ in range(4000):
        images = random.integers(0, 400, 400)
        sides = (
            np.mean([group[seed][images] for seed in random.integers(0, len(group), len(group))])
            for group in (first, second)
        )
        drawn.append(next(sides) - next(sides))
    ends = np.quantile(drawn, [0.025, 0.975])
    assert ends == pytest.approx([found.low, found.high], abs=0.03 * (found.high - found.low))
