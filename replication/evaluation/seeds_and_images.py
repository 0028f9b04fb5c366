"""The interval of a difference of errors over seeds and images together.

Several seeds of two variants are evaluated on the same images. Another seed would give other
errors, and so would other images; an interval over seeds alone leaves out the second. The two-way
bootstrap (Owen, 2007) draws seeds and images anew, each with replacement. It is a little wide for
many seeds and a little narrow for very few, so the ledger asks that both this interval and the one
over seeds exclude no effect.

Only the seeds are drawn by random numbers. Given the seeds, the mean over images drawn anew is
normal, because they are hundreds or more, with the mean and the standard error that the images
have. So the ends of the interval are quantiles of a mixture of normal distributions. Images drawn
by random numbers would leave an end to chance where several intervals have to hold together, since
then it is far out in a tail."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from replication.base.statistics import CONFIDENCE

RESAMPLES = 20_000  # of the seeds; the ends then vary by about 0.2% of the interval's width
LEAST_ERROR = 1e-12  # in place of 0: answers that are the same for all images have no noise


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
    first, second = (np.stack(group).astype(np.float64) for group in (wrong, others))
    images = first.shape[1]
    if second.shape[1] != images:
        raise ValueError(f"{images} images and {second.shape[1]}: they have to be the same")
    generator = np.random.default_rng(seed)
    # the share of each seed in each resample, those of ``others`` below zero
    shares = np.hstack([_drawn(len(first), generator), -_drawn(len(second), generator)])
    values = np.vstack([first, second])
    covariance = np.cov(values, bias=True) / images  # of the seeds' means over images
    means = shares @ values.mean(1)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", shares, covariance, shares), 0))
    tail = (1 - CONFIDENCE) / 2 / comparisons
    return Difference(
        float(first.mean() - second.mean()),
        _quantile(means, errors, tail),
        _quantile(means, errors, 1 - tail),
        images,
        len(means),
    )


def _drawn(seeds: int, generator: np.random.Generator) -> np.ndarray:
    """Return the share of each of ``seeds`` in each resample: (RESAMPLES, seeds)."""
    return generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds


def _quantile(means: np.ndarray, errors: np.ndarray, share: float) -> float:
    """Return a quantile of the mixture, in equal parts, of normals of ``means`` and ``errors``."""
    errors = np.maximum(errors, LEAST_ERROR)
    low, high = (means - 9 * errors).min(), (means + 9 * errors).max()
    return float(brentq(lambda end: ndtr((end - means) / errors).mean() - share, low, high))
