"""A large tree's index is kept, and listed anew as soon as it may have changed."""

import os

import pytest

from replication.data.files import index_cache, layouts
from replication.data.files.index import index_folder

PAST = 1_600_000_000  # seconds; long settled


def settle(root):
    for folder in [root, *root.rglob("*")]:
        os.utime(folder, (PAST, PAST))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(index_cache, "SMALLEST", 1)
    root = tmp_path / "größe"
    for split in ("train", "val"):
        for key in ("a b", "ü"):
            (root / split / key).mkdir(parents=True)
            (root / split / key / "1 é.jpg").write_bytes(b"x")
    (root / "train" / "ü" / ".DS_Store").write_bytes(b"x")
    settle(root)
    return root


def kept(tmp_path) -> int:
    return len(list((tmp_path / "runs").rglob("*.npz")))


def test_the_kept_index_equals_the_listed_one_and_spares_the_listing(tree, monkeypatch):
    first = index_folder(tree, "train")
    monkeypatch.setattr(layouts, "scan", None)  # calling it would fail
    again = index_folder(tree, "train")
    for field in ("classes", "paths", "skipped", "fingerprint", "records", "name", "root"):
        assert getattr(again, field) == getattr(first, field)
    assert (
        again.labels.tolist() == first.labels.tolist() and again.ids.tolist() == first.ids.tolist()
    )
    assert not again.labels.flags.writeable


@pytest.mark.parametrize("change", ["new image", "removed class", "training class"])
def test_a_changed_tree_is_listed_anew(tree, change):
    split = "val" if change == "training class" else "train"
    first = index_folder(tree, split)
    if change == "new image":
        (tree / "train" / "ü" / "2.jpg").write_bytes(b"x")
    elif change == "removed class":
        (tree / "train" / "ü").rename(tree / "elsewhere")
    else:  # the labels of val follow the classes of train
        for part in ("train", "val"):
            (tree / part / "0").mkdir()
            (tree / part / "0" / "1.jpg").write_bytes(b"x")
    assert index_folder(tree, split).fingerprint != first.fingerprint


def test_a_tree_that_changed_a_moment_ago_is_not_kept(tree, tmp_path):
    (tree / "train" / "ü" / "2.jpg").write_bytes(b"x")
    index_folder(tree, "train")
    assert kept(tmp_path) == 0


def test_small_trees_are_not_kept(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(index_cache, "SMALLEST", 3)
    index_folder(tree, "train")
    assert kept(tmp_path) == 0


def test_a_damaged_file_is_made_again(tree, tmp_path):
    first = index_folder(tree, "train")
    [path] = (tmp_path / "runs").rglob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    assert index_folder(tree, "train").fingerprint == first.fingerprint
    assert path.stat().st_size > 100
