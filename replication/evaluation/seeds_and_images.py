"""The interval of a difference of errors over seeds and images together.

Several seeds of two variants are evaluated on the same images. Another seed would give other
errors, and so would other images; an interval over seeds alone leaves out the second. The two-way
bootstrap (Owen, 2007) draws seeds and images anew, each with replacement. It is a little wide for
many seeds and a little narrow for very few, so the ledger asks that both this interval and the one
over seeds exclude no effect."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from replication.base.statistics import CONFIDENCE

RESAMPLES = 4000  # the ends of the interval then vary by about 2% of its width
BATCH = 500  # resamples at a time, to bound the memory


class Difference(NamedTuple):
    """The error of one variant minus that of another, fractions."""

    mean: float
    low: float  # 95% interval over seeds and images
    high: float
    images: int
    resamples: int


def difference(
    wrong: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    seed: int = 0,
    comparisons: int = 1,
) -> Difference:
    """Return the mean difference of two variants' errors and its two-way bootstrap interval.

    Each array (N,) is one seed's: whether image i is wrong, or another number whose mean over the
    images is compared, in the same order of images. ``comparisons``: so many intervals hold
    together (Bonferroni). Raises ValueError unless all arrays have the same length."""
    first, second = (np.stack(group).astype(np.float32) for group in (wrong, others))
    images = first.shape[1]
    if second.shape[1] != images:
        raise ValueError(f"{images} images and {second.shape[1]}: they have to be the same")
    generator = np.random.default_rng(seed)
    drawn = np.concatenate(
        [_resample(first, second, BATCH, generator) for _ in range(RESAMPLES // BATCH)]
    )
    tail = (1 - CONFIDENCE) / 2 / comparisons
    low, high = np.quantile(drawn, [tail, 1 - tail])
    mean = float(first.mean(dtype=np.float64) - second.mean(dtype=np.float64))
    return Difference(mean, float(low), float(high), images, len(drawn))


def _resample(
    first: np.ndarray, second: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    images = first.shape[1]
    # how often each image is drawn, float32 (N, count)
    weights = np.stack(
        [
            np.bincount(generator.integers(0, images, images), minlength=images)
            for _ in range(count)
        ],
        axis=1,
    ).astype(np.float32)
    errors = []
    for group in (first, second):
        seeds = len(group)
        chosen = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=count) / seeds
        errors.append(((group @ weights / images).T * chosen).sum(axis=1))
    return errors[0] - errors[1]
