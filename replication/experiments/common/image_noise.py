"""Which images a run gets wrong, for the interval of a difference of errors over images too.

Several nets are evaluated on the same images. An interval over seeds alone does not show that other
images would give other errors. ``evaluation.seeds_and_images`` computes the interval over both.
This module supplies the numbers: errors, gaps, means of several nets, and differences within one
seed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from replication.evaluation import per_image, seeds_and_images
from replication.experiments.common.comparison import PER_CENT
from replication.ledger.measurement import ImageNoise
from replication.runs.store import Run

# columns of the error table whose per-image results are stored: key of ``Run.per_image``, k
PER_IMAGE = {
    "test_top1": ("test/10", 1),
    "test_top5": ("test/10", 5),
    "test_top1_one": ("test/1", 1),
    "test_top5_one": ("test/1", 5),
    "gap": ("test/1", 1),  # its training error is that of the training images and of no others
}

FEWEST = 2  # seeds of each side whose images are known, from which their noise can be told


class Images(NamedTuple):
    """One number per image, whose mean is a run's error, or a difference of errors; fractions."""

    fingerprint: str  # of the images
    values: np.ndarray  # float (N,)


def images_of(run: Run, column: str) -> Images | None:
    """Return what ``column`` of the error table is the mean of; None if it is not stored."""
    key, k = PER_IMAGE.get(column, ("", 0))
    entry, train = run.per_image.get(key), run.evaluation.get("train/1")
    if entry is None or (column == "gap" and train is None):
        return None
    wrong = wrong_in(entry, k)
    if column == "gap" and train is not None:
        return Images(wrong.fingerprint, wrong.values - train["top1"])
    return wrong


def wrong_in(entry: dict[str, Any], k: int) -> Images:
    """Return 1 for each image that the net got wrong at top-``k`` by its stored answer, else 0."""
    return Images(entry["fingerprint"], (~per_image.right(entry, k)).astype(np.float64))


def mean_of(several: Sequence[Images | None]) -> Images | None:
    """Return the mean of several nets' numbers; None unless all are known, of the same images."""
    known = _known(several)
    if not known:
        return None
    return Images(known[0].fingerprint, np.mean([one.values for one in known], axis=0))


def minus(first: Images | None, second: Images | None) -> Images | None:
    """Return the difference of two nets of one seed; None unless both are of the same images."""
    known = _known([first, second])
    if not known:
        return None
    return Images(known[0].fingerprint, known[0].values - known[1].values)


def noise(
    first: Sequence[Images | None],
    second: Sequence[Images | None] | None = None,
    comparisons: int = 1,
    mean: float | None = None,
) -> ImageNoise | None:
    """Return the interval over seeds and images of a difference of errors, in percentage points.

    One entry per seed. ``second`` None: ``first`` are differences within a seed already.
    ``comparisons``: how many such intervals are simultaneous. ``mean``: the difference over all
    seeds, in percentage points. If only some entries are known, but at least ``FEWEST`` on each
    side, the interval is around ``mean``; its noise of the images then comes from fewer seeds and
    is slightly too large. Return None if fewer entries are known, or if they are not of the same
    images."""
    sides = [[one for one in side if one is not None] for side in (first, second or ())]
    whole = len(sides[0]) == len(first) and len(sides[1]) == len(second or ())
    enough = all(len(side) >= FEWEST for side in sides[: 1 if second is None else 2])
    known = _known([*sides[0], *sides[1]])
    if not known or not (whole or (enough and mean is not None)):
        return None
    others = [one.values for one in sides[1]] or [np.zeros_like(known[0].values)]
    values = [one.values for one in sides[0]]
    found = seeds_and_images.difference(values, others, comparisons=comparisons)
    shift = 0.0 if whole or mean is None else mean - PER_CENT * found.mean
    return ImageNoise(
        low=PER_CENT * found.low + shift,
        high=PER_CENT * found.high + shift,
        images=found.images,
        resamples=found.resamples,
    )


def _known(several: Sequence[Images | None]) -> list[Images]:
    known = [one for one in several if one is not None]
    alike = len({one.fingerprint for one in known}) == 1
    return known if alike and len(known) == len(several) else []
