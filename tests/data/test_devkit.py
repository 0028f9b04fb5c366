"""ILSVRC's flat folders, whose classes are numbers in the development kit's own order."""

import base64
import struct
import zlib

import pytest

from replication.base.errors import InputError
from replication.data.files import devkit
from replication.data.files.index import index_folder

# written by SciPy 1.x with savemat: the kit's eight fields; 1 is n03, 2 is n01, 3 is n02, and 1004,
# n00, is an inner node
META = base64.b64decode(
    "TUFUTEFCIDUuMCBNQVQtZmlsZSBQbGF0Zm9ybTogcG9zaXgsIENyZWF0ZWQgb246"
    "IFdlZCBOb3YgMjUgMDQ6NTg6MjAgMjAyNgAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABSU0PAAAAWgEAAHic"
    "42NgYFjBwcDABqSBFAMTAwSwQvksQMwIxexAXFyZV5xaUgyUZ2EQhIp3"
    "ALGnT3BYkLORgaFRvKcLyIBwPwgNB+X5RSnFyALpOfnFKAJ5pbnxyRmZOSlFqXlg"
    "ARQOzIy81JL4jNTM9IwSqJaSosTMvPjM3MT01GIGPqCgBQPCP2xo/mFE"
    "wiDACRWHAA4HkH4DJP0sWPQzI+kXAPLyDIzA9joQ0MeFog/CT8lP11HIyC/NS4GI"
    "o7sfmzmsaOaA+IkKQJOw6CfN/xD9Bnj0wwCyfmzuJsdesvUHTHGgzP4P"
    "9uTFuzHZ8ZVclJiXisXf2PSzoekH8RMVkjKLUkZofD9opTC+GcjM54ZUiW8HAvo5"
    "0fSD+IkKuYnA4hBsBsXhxzBE453SfJ7QT2a8G5Ad7yXAOIOVy6Tam5iT"
    "Q5X6zANJPx8Be3mAWAKJD2sPMENpauQ7StIPAEFqTtI="
)
NAMES = {1: "n03", 2: "n01", 3: "n02"}


@pytest.fixture
def kit(tmp_path):
    folder = tmp_path / "ILSVRC2012_devkit_t12" / "data"
    folder.mkdir(parents=True)
    (folder / "meta.mat").write_bytes(META)
    return folder


def flat(root, split, year, truth):
    (root / split).mkdir(parents=True)
    for number in range(1, len(truth) + 1):
        (root / split / f"ILSVRC{year}_{split}_{number:08}.JPEG").write_bytes(b"x")


def test_class_numbers_start_at_one_and_inner_nodes_are_left_out(kit):
    assert devkit.wnids(kit.parent) == NAMES


@pytest.mark.parametrize("beside", [True, False])
def test_flat_validation_images_get_their_wnid(tmp_path, kit, beside):
    truth = [3, 1, 2, 2]
    root = tmp_path / "ilsvrc" if beside else tmp_path
    flat(root, "val", 2012, truth)
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{n}\n" for n in truth))
    for key in ("n01", "n02", "n03"):
        (root / "train" / key).mkdir(parents=True)
    index = index_folder(root, "val")
    assert index.classes == ("n01", "n02", "n03")
    found = {
        path[-6:-5]: index.classes[label]
        for path, label in zip(index.paths, index.labels, strict=True)
    }
    assert found == {str(i + 1): NAMES[n] for i, n in enumerate(truth)}
    assert index.labels.tolist() == [0, 0, 1, 2]


def test_the_test_set_of_2010_has_a_truth_of_its_own(tmp_path, kit):
    flat(tmp_path, "test", 2010, [1, 2, 3])
    (tmp_path / "ILSVRC2010_test_ground_truth.txt").write_text("1\n2\n3\n")
    assert index_folder(tmp_path, "test").labels.tolist() == [0, 1, 2]


def test_no_kit_no_truth_wrong_length_and_wrong_number_are_refused(tmp_path, kit):
    flat(tmp_path / "lonely" / "root", "val", 2012, [1])
    with pytest.raises(InputError, match="development kit beside it"):
        index_folder(tmp_path / "lonely" / "root", "val")
    flat(tmp_path, "val", 2012, [1, 2])
    with pytest.raises(InputError, match="has no ILSVRC"):
        index_folder(tmp_path, "val")
    table = kit / "ILSVRC2012_validation_ground_truth.txt"
    table.write_text("1\n2\n3\n")
    with pytest.raises(InputError, match="lists 3 images but .* holds 2"):
        index_folder(tmp_path, "val")
    table.write_text("1\n0\n")
    with pytest.raises(InputError, match="not the number of a class"):
        index_folder(tmp_path, "val")


@pytest.mark.parametrize("cut", [0, 100, 200, 400])
def test_a_damaged_table_of_classes_is_named(kit, cut):
    (kit / "meta.mat").write_bytes(META[:cut])
    with pytest.raises(InputError, match=r"meta\.mat"):
        devkit.wnids(kit.parent)


def test_an_empty_table_of_classes_is_named(kit):
    nothing = zlib.compress(b"")
    (kit / "meta.mat").write_bytes(META[:128] + struct.pack("<II", 15, len(nothing)) + nothing)
    with pytest.raises(InputError, match=r"cannot read .*meta\.mat"):
        devkit.wnids(kit.parent)


def test_another_contests_kit_does_not_label_the_images(tmp_path, kit):
    flat(tmp_path, "val", 2010, [1, 2])
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n")
    with pytest.raises(InputError, match=r"has no ILSVRC2010\*_validation_ground_truth\.txt"):
        index_folder(tmp_path, "val")
    own = tmp_path / "devkit-1.0" / "data"  # after the other one by its name
    own.mkdir(parents=True)
    (own / "meta.mat").write_bytes(META)
    (own / "ILSVRC2010_validation_ground_truth.txt").write_text("3\n1\n")
    index = index_folder(tmp_path, "val")
    assert [index.classes[label] for label in index.labels] == ["n02", "n03"]


def test_a_table_with_a_number_out_of_range_is_named(kit, monkeypatch):
    rows = [{"ILSVRC2012_ID": float("inf"), "WNID": "n01"}]
    monkeypatch.setattr(devkit, "_structures", lambda content: iter(rows))
    with pytest.raises(InputError, match=r"cannot read .*meta\.mat"):
        devkit.wnids(kit.parent)
