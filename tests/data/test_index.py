"""The index: what it lists, in which order, what it refuses, and that a subset keeps its ids."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from replication.base.errors import InputError
from replication.data.files.index import build, index_cifar, index_folder, read_image
from replication.data.files.layouts import Scan


def picture(path: Path, colour=(200, 30, 90), size=(12, 8), mode="RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


@pytest.fixture
def tree(tmp_path):
    for split, count in (("train", 3), ("val", 1)):
        for key in ("n02", "n01"):
            for i in range(count):
                picture(tmp_path / split / key / f"{key}_{i}.JPEG")
    return tmp_path


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_order_is_by_class_and_name(tree):
    index = index_folder(tree, "train", "tiny")
    assert index.classes == ("n01", "n02")
    assert index.paths == tuple(
        f"train/{key}/{key}_{i}.JPEG" for key in ("n01", "n02") for i in range(3)
    )
    assert index.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert index.ids.tolist() == list(range(6))
    assert index.labels.dtype == index.ids.dtype == np.int64


def test_hidden_and_stray_entries_are_skipped_and_counted(tree):
    before = index_folder(tree, "train")
    for name in (".DS_Store", "._n01_0.JPEG", "Thumbs.db", "notes.txt"):
        (tree / "train" / "n01" / name).write_bytes(b"x")
    (tree / "train" / "__MACOSX").mkdir()
    (tree / "train" / ".ipynb_checkpoints").mkdir()
    (tree / "train" / "n02" / "more").mkdir()
    after = index_folder(tree, "train")
    assert after.paths == before.paths and after.fingerprint == before.fingerprint
    assert after.skipped == {"folder": 1, "hidden": 3, "not an image (.txt)": 1, "stray": 2}


def test_names_with_spaces_and_other_letters(tmp_path):
    name = "ein Bild – 猫.jpg"
    path = picture(tmp_path / "train" / "größe ß" / name, (0, 0, 255), (20, 10))
    picture(tmp_path / "train" / "a b" / "x.PNG")
    index = index_folder(tmp_path, "train")
    assert index.classes == ("a b", "größe ß")
    assert index.path(1) == path
    assert read_image(index, 1).shape == (10, 20, 3)


def test_empty_class_is_refused(tree):
    (tree / "train" / "n03").mkdir()
    (tree / "train" / "n03" / "readme.txt").write_text("x")
    with pytest.raises(InputError) as error:
        index_folder(tree, "train")
    assert "n03" in one_line(error) and "readme.txt" in one_line(error)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], ["has no folder train", "nothing"]),
        (["images/a.jpg"], ["has no folder train", "images/"]),
        (["train/a.jpg"], ["no class folders", "a.jpg"]),
        (["train/n01/a.jpg", "train/b.jpg"], ["side by side", "b.jpg"]),
    ],
)
def test_unknown_layout_is_refused_with_what_was_found(tmp_path, entries, words):
    for entry in entries:
        picture(tmp_path / entry)
    with pytest.raises(InputError) as error:
        index_folder(tmp_path, "train")
    assert all(word in one_line(error) for word in [*words, str(tmp_path)])


def test_validation_classes_must_be_the_training_ones(tree):
    """A class that is missing from val would shift every later label."""
    picture(tree / "train" / "n00" / "a.jpg")
    with pytest.raises(InputError) as error:
        index_folder(tree, "val")
    assert "n00" in one_line(error)


def test_fingerprint_follows_content_and_not_the_place(tree, tmp_path_factory):
    first = index_folder(tree, "train").fingerprint
    moved = tmp_path_factory.mktemp("other") / "moved"
    tree.rename(moved)
    assert index_folder(moved, "train").fingerprint == first
    with (moved / "train" / "n01" / "n01_0.JPEG").open("ab") as file:
        file.write(b"\0")
    assert index_folder(moved, "train").fingerprint != first


def test_tiny_imagenet_own_layout(tmp_path):
    for key in ("n05", "n04"):
        picture(tmp_path / "train" / key / "images" / f"{key}_0.JPEG")
        (tmp_path / "train" / key / f"{key}_boxes.txt").write_text("x")
    for name in ("val_0.JPEG", "val_1.JPEG", "val_2.JPEG"):
        picture(tmp_path / "val" / "images" / name)
    table = tmp_path / "val" / "val_annotations.txt"
    table.write_text(
        "val_0.JPEG\tn05\t0\t0\t1\t1\nval_1.JPEG\tn04\t0\t0\t1\t1\nval_2.JPEG\tn05\t0\t0\t1\t1\n"
    )
    assert index_folder(tmp_path, "train").paths == (
        "train/n04/images/n04_0.JPEG",
        "train/n05/images/n05_0.JPEG",
    )
    val = index_folder(tmp_path, "val")
    assert [Path(path).name for path in val.paths] == ["val_1.JPEG", "val_0.JPEG", "val_2.JPEG"]
    assert val.labels.tolist() == [0, 1, 1]
    (tmp_path / "val" / "images" / "val_2.JPEG").unlink()
    with pytest.raises(InputError, match="lists 3 images"):
        index_folder(tmp_path, "val")


def plain(labels) -> "build":
    found = Scan(tuple(f"c{k:03}" for k in range(max(labels) + 1)))
    for number, label in enumerate(sorted(labels)):
        found.add(f"{number}.jpg", label, 1)
    return build("plain", "folder", "", "train", Path("/nowhere"), found)


@given(st.integers(1, 6), st.integers(1, 20), st.integers(0, 2**40), st.data())
def test_subsets_are_balanced_nested_and_keep_ids(classes, each, seed, data):
    index = plain([k for k in range(classes) for _ in range(each)])
    large = data.draw(st.integers(1, each))
    small = data.draw(st.integers(1, large))
    a, b = index.subset(small * classes, seed=seed), index.subset(large * classes, seed=seed)
    assert np.bincount(a.labels, minlength=classes).tolist() == [small] * classes
    assert set(a.ids.tolist()) <= set(b.ids.tolist())
    assert (np.diff(a.ids) > 0).all()
    assert a.labels.tolist() == index.labels[a.ids].tolist()
    assert a.paths == tuple(index.paths[i] for i in a.ids)


def test_another_seed_makes_another_subset_and_fingerprint():
    index = plain([k for k in range(5) for _ in range(40)])
    first, again, other = (
        index.subset(50, seed=0),
        index.subset(50, seed=0),
        index.subset(50, seed=1),
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.ids.tolist() != other.ids.tolist()
    assert index.subset(200) is index


@pytest.mark.parametrize("count", [0, 7, 205])
def test_subset_that_cannot_be_balanced_is_refused(count):
    with pytest.raises(InputError, match="multiple of its 5 classes"):
        plain([k for k in range(5) for _ in range(40)]).subset(count)


def test_subset_of_classes_renumbers_labels_and_keeps_ids():
    index = plain([0, 0, 1, 1, 2, 2])
    part = index.subset(classes=["c002", "c000"])
    assert part.classes == ("c000", "c002")
    assert part.labels.tolist() == [0, 0, 1, 1]
    assert part.ids.tolist() == [0, 1, 4, 5]
    with pytest.raises(InputError, match="c009"):
        index.subset(classes=["c009"])


def test_every_kind_of_picture_is_read_as_rgb(tmp_path):
    folder = tmp_path / "train" / "k"
    picture(folder / "grey.png", 77, mode="L")
    picture(folder / "alpha.png", (10, 20, 30, 0), mode="RGBA")
    picture(folder / "cmyk.jpg", (0, 0, 0, 0), mode="CMYK")
    turned = Image.new("RGB", (12, 8))
    turned.save(
        folder / "turned.jpg",
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    )
    index = index_folder(tmp_path, "train")
    images = {Path(path).stem: read_image(index, i) for i, path in enumerate(index.paths)}
    assert all(
        image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        for image in images.values()
    )
    assert (images["grey"] == 77).all()
    assert (images["alpha"] == (10, 20, 30)).all()
    assert (images["cmyk"] > 250).all()
    assert images["turned"].shape == (12, 8, 3)


@pytest.mark.parametrize("content", [b"", b"not a picture", "cut"])
def test_a_broken_file_is_named(tmp_path, content):
    path = picture(tmp_path / "train" / "k" / "broken one.jpg", size=(64, 64))
    path.write_bytes(path.read_bytes()[:-200] if content == "cut" else content)
    with pytest.raises(InputError) as error:
        read_image(index_folder(tmp_path, "train"), 0)
    assert str(path) in one_line(error)


def test_cifar_has_no_val(tmp_path):
    with pytest.raises(InputError, match="train or test"):
        index_cifar(tmp_path, "val", "cifar-python")
