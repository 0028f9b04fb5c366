"""The data path's page: what it shows of an image is what the net is given, and what it measures is
what it says.
"""

import numpy as np
import pandas as pd
import pytest

from replication.base.errors import InputError
from replication.data.sources.photographs import open_photographs
from replication.experiments import data_pipeline as page
from replication.experiments.common import augmentation_time
from replication.ledger.measurement import read_measurements


@pytest.fixture(scope="module")
def material() -> page.Material:
    chosen = page.settings(
        profile="quick",
        data="synthetic",
        count=40,
        size=32,
        crop=24,
        image=5,
        versions=6,
        steps=4,
        seeds=[0],
    )
    return page.open_material(chosen)


def test_the_misalignment_of_a_flat_mean_image_is_nothing_and_of_a_ramp_is_its_shift() -> None:
    assert page.mean_misalignment(np.full((8, 8, 3), 100, np.float32), 6) == 0
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None], (8, 8, 3))
    # three places of the crop along the ramp; the middle one is the central part
    shift = np.arange(3) - 1
    assert page.mean_misalignment(ramp, 6) == pytest.approx(np.sqrt(np.mean(shift**2)))


def test_the_walk_ends_at_what_the_net_is_given(material: page.Material) -> None:
    stations = list(page.walk(material).values())
    stored, crop, reflected = stations[1], stations[2], stations[3]
    assert stored.shape == (32, 32, 3) and crop.shape == (24, 24, 3)
    # the mean is taken off and added back in float32
    assert np.abs(reflected[:, ::-1].astype(int) - crop).max() <= 1


def test_every_version_of_an_image_is_that_of_its_draws(material: page.Material) -> None:
    images, drawn = page.gallery(material, "paper")
    assert len(images) == len(drawn) == 6 and drawn[["top", "left"]].max().max() <= 32 - 24 - 1
    assert len({image.tobytes() for image in images}) == 6


def test_the_shift_along_a_direction_is_the_eigenvalue_on_the_stated_scale(
    material: page.Material,
) -> None:
    table = page.directions(material.statistics)
    assert table["shift, source2012"].to_numpy() == pytest.approx(
        0.1 * np.sqrt(material.statistics.eigenvalues), rel=1e-5
    )
    assert table["shift, paper"].to_numpy() == pytest.approx(
        0.1 * material.statistics.eigenvalues / 255, rel=1e-5
    )


def test_what_is_measured_reaches_the_ledger(
    material: page.Material, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    timings, measurement = augmentation_time.measure(material.settings)
    page.write(
        material.settings,
        page.effects(material),
        augmentation_time.timings_table(timings),
        measurement,
    )
    (read,) = read_measurements(tmp_path / "quick" / "data_pipeline" / "measurements.json")
    assert read.claim == "aug-free" and read.values == pytest.approx(
        [timings[0].waited / timings[0].loader]
    )
    # the time that the loader adds is shown beside it
    assert f"{timings[0].loader / timings[0].memory - 1:.0%}" in read.reason and read.synthetic
    assert len(timings[0].steps) == 4 and len(timings[0].prepared) >= 4
    effects = pd.read_csv(tmp_path / "quick" / "data_pipeline" / "effects.csv")
    assert set(effects["effect"]) == {
        "colour-spread paper",
        "colour-spread source2012",
        "mean-alignment",
    }


def test_an_image_that_is_not_there_is_refused(material: page.Material) -> None:
    with pytest.raises(InputError, match="image is 40"):
        page.open_material(material.settings.model_copy(update={"image": 40}))


def test_photographs_are_found_by_data_set_or_by_folder(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list(open_photographs("synthetic").glob("*.[jJ]*"))) > 100
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert open_photographs("mine") == tmp_path / "mine"
    with pytest.raises(InputError, match="neither"):
        open_photographs("yours")


def test_shares_are_shown_in_per_cent_and_colours_with_one_number_of_decimals() -> None:
    shown = page.html(pd.DataFrame({"added": [0.048], "R": [0.5], "G": [-0.0604]}))
    assert "4.8%" in shown and "0.50" in shown and "-0.06" in shown


def test_a_difference_within_rounding_of_a_limit_is_named_once() -> None:
    first = np.zeros((1, 2, 2, 3), np.float32)
    table = page._distances(first, first + np.float32(1.0002))
    assert table["difference, grey levels"].tolist() == ["up to 0", "up to 1, the largest"]
