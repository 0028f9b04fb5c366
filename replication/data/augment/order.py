"""The order of the training images, a pure function of seed and epoch."""

import numpy as np

ORDER = 1  # separates this stream of random numbers from the other draws of the same seed


def order(seed: int, epoch: int, n: int) -> np.ndarray:
    """Return the order in which epoch ``epoch``, from 0, visits ``n`` images, int64 (n,)."""
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence([ORDER, seed, epoch]))
    ).permutation(n)
