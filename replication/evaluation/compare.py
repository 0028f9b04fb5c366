"""Comparison of two nets on the same images (section 6).

A difference of errors depends only on the *discordant* images, those that exactly one net gets
wrong. McNemar's exact test (1947) asks whether both kinds are equally likely. The paired bootstrap
(Efron, 1979) gives the interval of the difference: resampling N images with replacement draws the
numbers of the two discordant kinds from a multinomial distribution, so it is sampled as such,
without touching an image. It covers the choice of images; another seed may give another
difference, which ``seeds_and_images`` covers.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from replication.base.statistics import CONFIDENCE
from replication.evaluation.ensemble import align
from replication.evaluation.metrics import mistakes
from replication.evaluation.predictions import Predictions

RESAMPLES = 20_000  # the ends of the interval then vary by about 1% of its width


class Comparison(NamedTuple):
    """Top-k mistakes of two nets on the same images."""

    images: int
    first_only: int  # images that only the first net gets wrong
    second_only: int
    both: int
    difference: float  # the first net's error minus the second's
    low: float  # 95% interval of it, paired bootstrap
    high: float
    p_value: float  # McNemar's exact test, two-sided


def compare(first: Predictions, second: Predictions, k: int = 1, seed: int = 0) -> Comparison:
    """Compare two nets' top-``k`` mistakes, image by image.

    Without a discordant image the interval has no width, which says only that these images cannot
    tell the nets apart. Raises InputError unless the images and classes are the same."""
    first, second = align([first, second])
    a, b = (mistakes(one.p, one.labels, k) for one in (first, second))
    images, both = len(a), int((a & b).sum())
    first_only, second_only = int((a & ~b).sum()), int((b & ~a).sum())
    low, high = _bootstrap(images, first_only, second_only, seed)
    return Comparison(
        images,
        first_only,
        second_only,
        both,
        (first_only - second_only) / images,
        low,
        high,
        mcnemar(first_only, second_only),
    )


def mcnemar(first_only: int, second_only: int) -> float:
    """Return the two-sided probability of this split if both kinds are equally likely."""
    discordant = first_only + second_only
    return float(binomtest(first_only, discordant).pvalue) if discordant else 1.0


def _bootstrap(images: int, first_only: int, second_only: int, seed: int) -> tuple[float, float]:
    shares = np.array([first_only, second_only, images - first_only - second_only]) / images
    drawn = np.random.default_rng(seed).multinomial(images, shares, size=RESAMPLES)
    differences = (drawn[:, 0] - drawn[:, 1]) / images
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
