"""The ten views of a test image: the paper's five places, in the released code's order, then their reflections."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.data.views import CENTRE, offsets, ten_views


def test_the_papers_five_crops_lie_at_0_16_and_32() -> None:
    assert offsets(256, 224).tolist() == [[0, 0], [0, 32], [16, 16], [32, 0], [32, 32]]  # convdata_jpeg.py, lines 224 to 233


def test_an_odd_margin_is_rounded_down_in_the_centre() -> None:
    assert offsets(65, 56)[CENTRE].tolist() == [4, 4]


def test_a_crop_of_the_whole_image_gives_five_equal_views_and_five_reflections() -> None:
    image = np.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    views = ten_views(image, 4)
    assert (views[:, :5] == image[:, None]).all() and (views[:, 5:] == image[:, None, :, ::-1]).all()


def test_a_crop_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="no crops of 65"):
        offsets(64, 65)


@given(st.integers(1, 9), st.integers(0, 8), st.integers(0, 2**32 - 1))
def test_views_are_the_windows_at_the_offsets_pixel_by_pixel(crop: int, margin: int, seed: int) -> None:
    size = crop + margin
    images = np.random.default_rng(seed).integers(0, 256, (2, size, size, 3), np.uint8)
    views = ten_views(images, crop)
    assert views.shape == (2, 10, crop, crop, 3) and views.dtype == np.uint8
    for place, (top, left) in enumerate(offsets(size, crop)):
        for row in range(crop):
            for column in range(crop):
                assert (views[:, place, row, column] == images[:, top + row, left + column]).all()
                assert (views[:, place + 5, row, crop - 1 - column] == images[:, top + row, left + column]).all()
