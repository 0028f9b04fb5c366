"""Mean image and colour directions: exact sums in any order, never those of other images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from replication.base import paths
from replication.base.errors import InputError
from replication.data.files.index import index_folder
from replication.data.prepared import statistics as module
from replication.data.prepared.statistics import (
    Statistics,
    image_divisor,
    mean_image,
    shifts,
    statistics,
    streamed_statistics,
)
from replication.data.prepared.store import prepare

N, SIZE = 23, 16


@pytest.fixture
def index(tmp_path, runs):
    rng = np.random.default_rng(0)
    for i in range(N):
        path = tmp_path / "set" / "train" / f"k{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        base = rng.integers(0, 200, (20, 17, 1))
        Image.fromarray((base + rng.integers(0, 56, (20, 17, 3))).astype(np.uint8)).save(path)
    return index_folder(tmp_path / "set", "train")


def kept() -> list[Path]:
    return sorted((paths.runs() / "statistics").glob("*.npz"))


def test_statistics_agree_with_numpy(index):
    store = prepare(index, SIZE)
    found = statistics(store)
    pixels = store.images.reshape(-1, 3).astype(np.float64)
    assert found.mean.dtype == np.float32 and np.array_equal(
        found.mean, (store.images.sum(0, dtype=np.int64) / N).astype(np.float32)
    )
    assert np.array_equal(found.mean, mean_image(store.images))
    # two-pass float64 reference; its own rounding is the tolerance
    assert np.allclose(found.covariance, np.cov(pixels.T, bias=True), rtol=1e-10)
    assert (found.count, found.size, found.fingerprint) == (N, SIZE, index.fingerprint)


def test_the_directions_belong_to_the_covariance(index):
    found = statistics(prepare(index, SIZE))
    assert (np.diff(found.eigenvalues) <= 0).all() and (found.eigenvalues >= 0).all()
    assert np.isclose(found.eigenvalues.sum(), np.trace(found.covariance), rtol=1e-12)
    channels = prepare(index, SIZE).images.reshape(-1, 3).astype(np.float64).var(axis=0)
    assert np.isclose(np.trace(found.covariance), channels.sum(), rtol=1e-10)
    assert np.allclose(
        found.eigenvectors * found.eigenvalues @ found.eigenvectors.T,
        found.covariance,
        rtol=0,
        atol=1e-9,
    )
    largest = np.abs(found.eigenvectors).argmax(axis=0)
    # so that every machine draws the same colours
    assert (found.eigenvectors[largest, range(3)] > 0).all()


def test_the_sums_are_the_same_in_any_order_and_in_any_parts(index, monkeypatch):
    store = prepare(index, SIZE)
    first = statistics(store, np.arange(N))
    monkeypatch.setattr(module, "CHUNK_BYTES", 3 * SIZE * SIZE * 4)
    monkeypatch.setattr(module, "PIXELS", 100)
    for rows in (np.arange(N)[::-1].copy(), np.random.default_rng(1).permutation(N)):
        again = statistics(store, rows)
        assert np.array_equal(again.mean, first.mean) and np.array_equal(
            again.covariance, first.covariance
        )


def test_sums_do_not_overflow():
    """257 white images fill the 16 bits of a partial sum exactly, 300 do not fit into one."""
    for n in (257, 300):
        white = np.full((n, 4, 4, 3), 255, np.uint8)
        assert (mean_image(white) == 255).all()


def test_statistics_of_some_rows_are_of_those_rows_only(index):
    store = prepare(index, SIZE)
    rows = np.array([1, 4, 9])
    found = statistics(store, rows)
    assert np.array_equal(found.mean, mean_image(store.images[rows])) and found.count == 3
    assert found.fingerprint != index.fingerprint


def test_streaming_and_the_store_agree_and_share_what_is_kept(index):
    streamed = streamed_statistics(index, SIZE)
    assert len(kept()) == 1
    stored = statistics(prepare(index, SIZE))
    assert len(kept()) == 1
    assert np.array_equal(streamed.mean, stored.mean) and np.array_equal(
        streamed.eigenvectors, stored.eigenvectors
    )


def test_they_are_read_again_and_not_computed(index, monkeypatch):
    store = prepare(index, SIZE)
    first = statistics(store)
    monkeypatch.setattr(module, "_sums", None)
    second = statistics(store)
    assert np.array_equal(first.mean, second.mean) and np.array_equal(
        first.eigenvalues, second.eigenvalues
    )


def test_those_of_other_images_are_refused(index):
    store = prepare(index, SIZE)
    statistics(store)
    (mine,) = kept()
    statistics(prepare(index.take(range(9)), SIZE))
    other = next(path for path in kept() if path != mine)
    shutil.copy(other, mine)
    with pytest.raises(InputError) as error:
        statistics(store)
    assert str(mine) in str(error.value) and "\n" not in str(error.value)


def test_a_damaged_statistics_file_is_computed_again(index):
    store = prepare(index, SIZE)
    first = statistics(store)
    kept()[0].write_bytes(kept()[0].read_bytes()[:200])
    assert np.array_equal(statistics(store).mean, first.mean)


def example() -> Statistics:
    values = np.array([14830.0, 1376.0, 389.0])  # squares of the released 121.78, 37.09, 19.72
    vectors = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    return Statistics(
        np.zeros((2, 2, 3), np.float32),
        np.zeros(3),
        vectors * values @ vectors.T,
        values,
        vectors,
        1,
        2,
        "x",
    )


def test_colour_shifts_have_the_size_that_follows_from_the_released_statistics():
    found, normals = example(), np.random.default_rng(3).normal(size=(50_000, 3))
    paper, source = (shifts(found, normals, 0.1, fidelity) for fidelity in ("paper", "source2012"))
    assert paper.dtype == np.float32 and paper.shape == (50_000, 3)
    along = found.eigenvectors[:, 0]
    # deviations along the main direction: 5.8 = 0.1 * 14830 / 255 and 12.2 = 0.1 * 121.78 grey
    # levels; 2% is six standard errors
    assert np.isclose((paper @ along).std(), 5.8, rtol=0.02) and np.isclose(
        (source @ along).std(), 12.2, rtol=0.02
    )


def test_pixels_from_0_to_1_give_the_same_shift():
    example_stats = example()
    normals = np.array([[0.3, -1.2, 0.7]])
    # section 4.1 as written, on 0 to 1
    unit = normals * 0.1 * (example_stats.eigenvalues / 255**2) @ example_stats.eigenvectors.T
    assert np.allclose(shifts(example_stats, normals, 0.1, "paper"), 255 * unit, rtol=1e-6)


def test_only_the_source_divides_and_only_with_noise():
    assert [
        image_divisor(colour, fidelity)
        for colour in (0.0, 0.1)
        for fidelity in ("paper", "source2012")
    ] == [1, 1, 1, 1.1]
