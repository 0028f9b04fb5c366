"""What was built from files is used only while the files, and the built thing, are as they were."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from trees import grey_bmp, write

from replication.base.errors import InputError
from replication.data.files import unchanged
from replication.data.files.index import index_folder
from replication.data.prepared import store as module
from replication.data.prepared.statistics import statistics, streamed_statistics
from replication.data.prepared.store import prepare, prepare_jpeg
from replication.data.prepared.verify import readable

SIZE = 16


def tree(root, a, b):
    return write(
        root,
        {f"train/{key}/{i}.bmp": grey_bmp(v) for key, v in (("a", a), ("b", b)) for i in range(3)},
    )


@pytest.fixture
def root(tmp_path, runs):
    return tree(tmp_path / "set", 10, 200)


def index_of(root):
    return index_folder(root, "train")


def exchange(root, keep_times=False):
    """Replace the contents at equal sizes."""
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*.bmp")}
    tree(root, 200, 10)
    if keep_times:
        for path, time in times.items():
            os.utime(path, ns=(time, time))


@pytest.mark.parametrize("keep_times", [False, True])
def test_replaced_contents_are_noticed_at_equal_names_and_sizes(root, keep_times):
    before = index_of(root)
    assert prepare(before, SIZE).images[0].mean() == 10
    means = [statistics(prepare(before, SIZE), np.arange(3)).mean.mean()]
    streamed_statistics(before.take(range(3)), SIZE)
    exchange(root, keep_times)
    after = index_of(root)
    assert after.fingerprint == before.fingerprint and after.stamp != before.stamp
    assert prepare(after, SIZE).images[0].mean() == 200
    means.append(statistics(prepare(after, SIZE), np.arange(3)).mean.mean())
    assert means == [10, 200]
    assert streamed_statistics(after.take(range(3)), SIZE).mean.mean() == 200


def test_a_file_that_breaks_after_the_look_is_looked_at_again(root):
    assert len(readable(index_of(root))) == 6
    path = root / "train/a/1.bmp"
    path.write_bytes(bytes(path.stat().st_size))
    assert len(readable(index_of(root))) == 5


def test_a_copy_of_the_files_is_read_and_not_prepared_again(root, tmp_path, monkeypatch):
    prepare(index_of(root), SIZE)
    shutil.copytree(root, tmp_path / "copy")  # other times of change
    shutil.rmtree(root)
    shutil.move(tmp_path / "copy", root)
    monkeypatch.setattr(module, "_write", None)  # calling it would fail
    assert prepare(index_of(root), SIZE).images[0].mean() == 10


@pytest.mark.parametrize("damage", ["zero tail", "zero middle", "cut", "no note"])
def test_an_array_that_is_not_whole_is_built_again(root, damage):
    index = index_of(root)
    path = Path(prepare(index, SIZE).images.filename)
    content = path.read_bytes()
    n = len(content)
    spoiled = {
        "zero tail": content[:-600] + bytes(600),
        "zero middle": content[: n // 2] + bytes(600) + content[n // 2 + 600 :],
        "cut": content[:-600],
    }
    if damage == "no note":
        unchanged.note_of(path).unlink()
    else:
        path.write_bytes(spoiled[damage])
    store = prepare(index, SIZE)
    assert path.read_bytes() == content
    # and statistics are never those of the damaged one
    assert statistics(store).channel_mean.tolist() == [105] * 3


def test_an_interrupted_array_resumes_only_from_unchanged_files(root, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 3 * SIZE * SIZE)  # one image a block
    bad = root / "train/b/2.bmp"
    content = bad.read_bytes()
    bad.write_bytes(b"")
    with pytest.raises(InputError):
        prepare(index_of(root), SIZE)
    exchange(root)
    bad.write_bytes(content)
    assert prepare(index_of(root), SIZE).images[:, 0, 0, 0].tolist() == [200] * 3 + [10, 10, 200]


def test_prepared_jpeg_files_are_not_mixed_with_those_of_changed_files(root, tmp_path):
    prepare_jpeg(index_of(root), SIZE, tmp_path / "small")
    prepare_jpeg(index_of(root), SIZE, tmp_path / "small")
    exchange(root)
    with pytest.raises(InputError, match="other images"):
        prepare_jpeg(index_of(root), SIZE, tmp_path / "small")


def test_a_run_that_began_with_other_images_is_refused(root, tmp_path):
    note = tmp_path / "run" / "images.json"
    unchanged.check_same(note, index_of(root), "the run")  # nothing is known: nothing is refused
    unchanged.begin(note, index_of(root))
    for path in root.rglob("*.bmp"):
        path.touch()
    unchanged.check_same(note, index_of(root), "the run")
    exchange(root)
    with pytest.raises(InputError, match="the run began with other images") as error:
        unchanged.check_same(note, index_of(root), "the run")
    assert "\n" not in str(error.value)


def test_a_plan_that_needs_more_disk_than_is_free_is_refused_before_it_begins(root, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"need 0\.0 GB in .*free some space"):
        prepare(index_of(root), SIZE)
