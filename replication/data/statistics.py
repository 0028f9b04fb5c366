"""Statistics of the training images that the pipelines subtract or draw with (sections 2 and 4.1)."""

import numpy as np

CHUNK = 4096  # images summed at once; bounds the memory, not the result: sums of integers are exact


def mean_image(images: np.ndarray) -> np.ndarray:
    """Mean over images of each pixel and channel: uint8 (N, S, S, 3) to float32 (S, S, 3), on the 0-255 scale."""
    total = np.zeros(images.shape[1:], np.int64)
    for start in range(0, len(images), CHUNK):
        total += images[start : start + CHUNK].sum(axis=0, dtype=np.int64)
    return (total / len(images)).astype(np.float32)
