"""The order of the training images: a pure function of (seed, epoch), so that resuming needs no
generator state.
"""

import numpy as np

ORDER = 1  # separates this stream of random numbers from the other draws made with the same seed


def order(seed: int, epoch: int, n: int) -> np.ndarray:
    """The permutation of 0..n-1 in which epoch ``epoch`` (counted from 0) visits ``n`` images;
    int64 (n,).
    """
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence([ORDER, seed, epoch]))
    ).permutation(n)
