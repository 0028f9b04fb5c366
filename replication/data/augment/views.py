"""The ten views of a test image: four corners and the centre, then the same five flipped.

The order is the released code's (``convdata_jpeg.py``, lines 224 to 233). View 2 is the central
crop, the one view of the single-crop test in the paper's footnote 5."""

import numpy as np

VIEWS = 10  # section 4.1: "five 224 x 224 patches ... as well as their horizontal reflections"
CENTRE = 2  # the place of the central crop among them
GRID = 9  # cuda-convnet2's test of its CIFAR-10 nets: 3 x 3 places, no reflections


def offsets(size: int, crop: int) -> np.ndarray:
    """Return top and left of the five crops of side ``crop`` in an image of side ``size``.

    Pixels, int64 (5, 2).

    Top-left, top-right, centre, bottom-left, bottom-right. An odd margin is rounded down in the
    centre, as in the 2012 code."""
    margin = size - crop
    if crop < 1 or margin < 0:
        raise ValueError(f"no crops of {crop} in images of {size}")
    half = margin // 2
    return np.array([(0, 0), (0, margin), (half, half), (margin, 0), (margin, margin)])


def grid(size: int, crop: int) -> np.ndarray:
    """Return top and left of the nine crops at the corners, the edges' middles and the centre."""
    (_, _), (_, margin), (half, _), *_ = offsets(size, crop)
    steps = (0, half, margin)
    return np.array([(top, left) for top in steps for left in steps])
