"""The random numbers of augmentation, a pure function of seed, epoch and image.

The counter-based generator Philox4x32-10 turns each counter into four random-looking words, for a
whole batch at once. So the draws do not depend on batch size, order, workers, ranks or
interruption, and no state of a generator has to be stored. Two pipelines can be compared pixel by
pixel on the same draws."""

from typing import NamedTuple

import numpy as np

from replication.recipe import Recipe

# consecutive images that share crop and flip in the released source (convdata_jpeg.py:77)
CHUNK = 32
GEOMETRY, COLOUR = 1, 2  # streams of random numbers, kept apart by the last word of the counter
ROUNDS = 10  # Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011)
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW, WORD = np.uint64(0xFFFFFFFF), np.uint64(32)


class Draws(NamedTuple):
    """The random numbers of N images."""

    top: np.ndarray  # int64 (N,): first row of the crop in the stored image
    left: np.ndarray  # int64 (N,)
    flip: np.ndarray  # bool (N,): mirrored left to right
    # float64 (N, 3): standard normal multipliers of the three colour directions
    normals: np.ndarray


def draw(
    seed: int, epoch: int, ids: np.ndarray, places: np.ndarray, positions: int, chunk: int = 1
) -> Draws:
    """Return the draws of images ``ids`` in epoch ``epoch``.

    ``positions``: offsets of the crop along an axis, 0 to positions - 1. If ``chunk`` is above 1,
    that many consecutive images in the epoch's order share crop and flip; ``places`` (N,) are the
    images' places in that order. Colour is always drawn for each image."""
    ids = np.asarray(ids, np.uint64)
    item = ids if chunk == 1 else np.asarray(places, np.uint64) // np.uint64(chunk)
    top, left, flip, _ = philox(seed, item, epoch, GEOMETRY)
    return Draws(
        _below(top, positions),
        _below(left, positions),
        flip >= np.uint64(2**31),
        _normals(philox(seed, ids, epoch, COLOUR)),
    )


def draws_for(recipe: Recipe, epoch: int, ids: np.ndarray, places: np.ndarray) -> Draws:
    """Return the draws of a recipe for images ``ids`` at ``places`` of epoch ``epoch``.

    Without augmentation: the central crop."""
    if recipe.data.augment:
        return draw(recipe.seed, epoch, ids, places, positions(recipe), chunk(recipe))
    draws = central(len(ids), recipe.data.size, recipe.data.side)
    if not recipe.data.colour:
        return draws
    return draws._replace(
        normals=_normals(philox(recipe.seed, np.asarray(ids, np.uint64), epoch, COLOUR))
    )


def central(n: int, size: int, crop: int) -> Draws:
    """Return the draws of the central crop of ``n`` images, without flip or colour shift."""
    middle = np.full(n, (size - crop) // 2, np.int64)
    return Draws(middle, middle, np.zeros(n, bool), np.zeros((n, 3)))


def positions(recipe: Recipe) -> int:
    """Return the number of offsets of the crop along an axis.

    The paper counts 32 for 224 in 256 (section 4.1); its source has 33 (convdata_jpeg.py:239)."""
    room = recipe.data.size - recipe.data.side
    literal = recipe.net.family == "alexnet" and not recipe.takes_source("crop-places")
    return max(1, room) if literal else room + 1


def chunk(recipe: Recipe) -> int:
    """Return how many consecutive images share crop and flip."""
    return CHUNK if recipe.takes_source("shared-crops") else 1


def philox(seed: int, item: np.ndarray, epoch: int, stream: int) -> tuple[np.ndarray, ...]:
    """Return four uint64 (N,) of 32 random bits each.

    Philox4x32-10 of the counters (item, epoch, stream) under the key ``seed``."""
    c0, c1 = item & LOW, item >> WORD
    c2, c3 = np.full_like(c0, epoch & 0xFFFFFFFF), np.full_like(c0, stream)
    return philox_words(c0, c1, c2, c3, seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)


def philox_words(
    c0: np.ndarray, c1: np.ndarray, c2: np.ndarray, c3: np.ndarray, k0: int, k1: int
) -> tuple[np.ndarray, ...]:
    """Return the generator's output words; counters and keys are words of 32 bits.

    Counters are kept in uint64 (N,)."""
    for _ in range(ROUNDS):
        product0, product1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2  # 32 x 32 bits fit into 64
        c0, c1, c2, c3 = (
            (product1 >> WORD) ^ c1 ^ np.uint64(k0),
            product1 & LOW,
            (product0 >> WORD) ^ c3 ^ np.uint64(k1),
            product0 & LOW,
        )
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def _below(words: np.ndarray, n: int) -> np.ndarray:
    """Return numbers from 0 to n - 1, uniform up to 1 part in 2^32 / n."""
    return ((words * np.uint64(n)) >> WORD).astype(np.int64)


def _normals(words: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return three standard normals of four words each, float64 (N, 3).

    Box and Muller's transform gives four."""
    uniform = (np.stack(words).astype(np.float64) + 0.5) / 2**32
    radius, angle = np.sqrt(-2 * np.log(uniform[:2])), 2 * np.pi * uniform[2:]
    return np.stack(
        [radius[0] * np.cos(angle[0]), radius[0] * np.sin(angle[0]), radius[1] * np.cos(angle[1])],
        1,
    )
