"""The embedded data set: always the same, whole or not there, and its colours say no class."""

import hashlib
import json

import numpy as np
import pytest

from replication.base.errors import InputError
from replication.data.files.index import index_folder, read_image
from replication.data.sources import synthetic

SMALL = {"train": 24, "val": 12}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "set"
    synthetic.make(root, per_class=SMALL)
    return root


def digest(root) -> str:
    return hashlib.sha256(
        b"".join(path.read_bytes() for path in sorted(root.rglob("*.*")))
    ).hexdigest()


def test_it_has_the_layout_and_the_counts(root):
    for split, each in SMALL.items():
        index = index_folder(root, split)
        assert index.classes == synthetic.CLASSES
        assert np.bincount(index.labels).tolist() == [each] * 10
        assert not index.skipped
    assert json.loads((root / "manifest.json").read_text())["seed"] == synthetic.SEED


def test_files_are_bit_identical_for_one_seed(tmp_path):
    few = {"train": 2, "val": 1}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthetic.make(tmp_path / name, seed, few)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_pixels_are_the_published_ones():
    """Results name the version; other pixels need another version."""
    found = hashlib.sha256(
        b"".join(synthetic.render(label, 100 + label).tobytes() for label in range(10))
    ).hexdigest()[:16]
    assert (synthetic.VERSION, found) == (1, "cecddb1df959f0a0")


def test_sizes_vary_and_a_few_are_grey():
    images = [synthetic.render(number % 10, number) for number in range(120)]
    sides = np.array([image.shape[:2] for image in images])
    assert sides.min() >= 64 and sides.max() <= 160
    assert len(np.unique(sides, axis=0)) > 60
    assert (sides[:, 0] > sides[:, 1]).any() and (sides[:, 0] < sides[:, 1]).any()
    assert 1 <= sum(image.ndim == 2 for image in images) <= 20


def test_mean_colour_does_not_tell_the_class(root):
    """Nearest class mean of the mean colour stays near chance, 10% of 120 images: at most three
    standard deviations above.
    """

    def colours(split):
        index = index_folder(root, split)
        return (
            np.array([read_image(index, i).mean(axis=(0, 1)) for i in range(len(index))]),
            index.labels,
        )

    (train, labels), (val, truth) = colours("train"), colours("val")
    means = np.array([train[labels == k].mean(axis=0) for k in range(10)])
    guess = ((val[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (guess == truth).mean() < 0.1 + 3 * (0.1 * 0.9 / len(truth)) ** 0.5


def test_an_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
    def full(image, path, quality):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic, "save", full)
    with pytest.raises(InputError, match="No space") as error:
        synthetic.ensure(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)
    assert not synthetic.is_made(tmp_path)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_a_set_that_another_process_drew_meanwhile_is_used(tmp_path):
    few = {"train": 1, "val": 1}
    synthetic.make(tmp_path / "set", per_class=few)
    before = (tmp_path / "set" / "manifest.json").stat().st_ino
    synthetic.make(tmp_path / "set", per_class=few)
    assert (tmp_path / "set" / "manifest.json").stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("damage", ["a file is missing", "a tail of zeros", "the manifest"])
def test_an_incomplete_set_is_drawn_again(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(synthetic, "PER_CLASS", {"train": 1, "val": 1})
    root = synthetic.ensure(tmp_path)
    images = sorted(root.rglob("*.JPEG"))
    before = [path.read_bytes() for path in images]
    synthetic.ensure(tmp_path)
    if damage == "a file is missing":
        images[3].unlink()
    elif damage == "a tail of zeros":
        images[3].write_bytes(before[3][:-200] + bytes(200))
    else:
        (root / "manifest.json").write_bytes(bytes(40))
    assert synthetic.ensure(tmp_path) == root
    assert [path.read_bytes() for path in sorted(root.rglob("*.JPEG"))] == before
