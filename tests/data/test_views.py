"""The ten views of a test image: the paper's five places, in the released code's order, then their
reflections.
"""

import numpy as np
import pytest

from replication.base.errors import InputError
from replication.data.augment.views import CENTRE, offsets
from replication.data.pipelines.pipeline import view_places
from replication.data.pipelines.stored import Transform
from replication.recipe import AlexNetSpec, Data, Recipe, Update


def test_the_papers_five_crops_lie_at_0_16_and_32() -> None:
    # convdata_jpeg.py, lines 224 to 233
    assert offsets(256, 224).tolist() == [[0, 0], [0, 32], [16, 16], [32, 0], [32, 32]]


def test_ten_views_of_images_as_small_as_the_crop_are_refused() -> None:
    data = Data(name="synthetic", size=24, crop=24)
    with pytest.raises(InputError, match="10 views need images larger than the crop.*both are 24"):
        view_places(data, 10)
    assert len(view_places(data, 1)[0]) == 1


def test_an_odd_margin_is_rounded_down_in_the_centre() -> None:
    assert offsets(65, 56)[CENTRE].tolist() == [4, 4]


def test_nine_views_are_a_grid_of_places_without_reflections() -> None:
    places, flips = view_places(Data(name="cifar10", size=32, crop=24), 9)
    assert places.tolist() == [[top, left] for top in (0, 4, 8) for left in (0, 4, 8)]
    assert not flips.any()


def test_a_crop_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="no crops of 65"):
        offsets(64, 65)


@pytest.mark.parametrize(("size", "crop"), [(32, 24), (33, 24), (64, 56)])
def test_views_are_the_windows_at_the_offsets_then_their_reflections_pixel_by_pixel(
    size: int, crop: int
) -> None:
    images = np.random.default_rng(size).integers(0, 256, (3, size, size, 3), np.uint8)
    recipe = Recipe(
        data=Data(name="synthetic", size=size, crop=crop, mean="none"),
        net=AlexNetSpec(),
        update=Update(rate=0.01),
        epochs=1,
    )
    rows = np.array([2, 0])
    # (N, V, crop, crop, 3)
    views = Transform(recipe, None).testing(images, rows, 10)
    assert views.shape == (2, 10, crop, crop, 3)
    for place, (top, left) in enumerate(offsets(size, crop)):
        for row in range(crop):
            for column in range(crop):
                pixels = images[rows, top + row, left + column]
                assert (views[:, place, row, column] == pixels).all()
                assert (views[:, place + 5, row, crop - 1 - column] == pixels).all()
    assert (Transform(recipe, None).testing(images, rows, 1)[:, 0] == views[:, CENTRE]).all()
