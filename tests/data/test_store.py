"""The prepared images: the stated size rules, and an array that is whole or resumed."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from replication.base import paths
from replication.base.errors import InputError
from replication.data.files import unchanged
from replication.data.files.index import index_folder, read_image
from replication.data.prepared import store as module
from replication.data.prepared.store import prepare, prepare_jpeg, reduce

N, SIZE = 22, 12


@pytest.fixture
def index(tmp_path, runs, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * 3 * SIZE * SIZE)  # four images a block
    rng = np.random.default_rng(0)
    for i in range(N):
        path = tmp_path / "set" / "train" / f"k{i % 2}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*rng.integers(8, 40, 2), 3), dtype=np.uint8)).save(
            path
        )
    return index_folder(tmp_path / "set", "train")


@pytest.fixture
def read(monkeypatch):
    """The rows that were decoded."""
    rows, original = [], module.read_reduced

    def count(index, i, size):
        rows.append(i)
        return original(index, i, size)

    monkeypatch.setattr(module, "read_reduced", count)
    return rows


def expected(index) -> np.ndarray:
    return np.stack([reduce(read_image(index, i), SIZE) for i in range(len(index))])


def files() -> list[str]:
    return sorted(
        path.name for path in (paths.runs() / "store").iterdir() if not path.name.startswith(".")
    )


def partial() -> Path:
    return next((paths.runs() / "store").glob("*.partial"))


@given(st.integers(4, 90), st.integers(4, 90), st.integers(8, 40))
def test_the_central_square_of_the_resized_image_is_kept(height, width, size):
    """Longer side rounded half to even, offset rounded down: the square of a ramp is the ramp's
    middle, from both ends alike.
    """
    shorter = min(height, width)
    rows, columns = round(height * size / shorter), round(width * size / shorter)
    y, x = np.mgrid[:height, :width]
    image = np.stack([y * 2, x * 2, y + x], axis=2).astype(np.uint8)
    whole = (
        np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
        if shorter != size
        else image
    )
    top, left = (rows - size) // 2, (columns - size) // 2
    result = reduce(image, size)
    assert result.shape == (size, size, 3) and result.dtype == np.uint8
    assert np.array_equal(result, whole[top : top + size, left : left + size])


def test_an_image_of_the_right_shorter_side_is_not_resampled():
    image = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE + 5, 3), dtype=np.uint8)
    assert np.array_equal(reduce(image, SIZE), image[:, 2 : 2 + SIZE])


@pytest.mark.parametrize("shape", [(1, 30_000), (30_000, 1)])
def test_a_very_narrow_image_does_not_fill_the_memory(shape, monkeypatch):
    """At 64 it would have 64 x 1,920,000 pixels."""
    monkeypatch.setattr(Image.Image, "resize", limited(Image.Image.resize))
    image = np.zeros((*shape, 3), np.uint8)
    image.reshape(-1, 3)[14_900:15_100] = 90
    assert (reduce(image, 64) == 90).all()


def limited(resize):
    def small_only(image, size, *arguments):
        assert max(size) < 1000
        return resize(image, size, *arguments)

    return small_only


def test_a_reduction_averages_and_an_enlargement_interpolates():
    board = np.indices((32, 32)).sum(axis=0) % 2 * 255
    small = reduce(np.repeat(board[..., None], 3, axis=2).astype(np.uint8), 8)
    assert np.abs(small.astype(int) - 127.5).max() < 2  # a narrow filter would keep black and white
    steps = np.zeros((2, 2, 3), np.uint8)
    steps[:, 1] = 200
    assert (np.diff(reduce(steps, 16)[0, :, 0].astype(int)) >= 0).all() and len(
        np.unique(reduce(steps, 16))
    ) > 4


def test_the_array_holds_every_image_in_the_order_of_the_index(index, read):
    store = prepare(index, SIZE)
    assert np.array_equal(store.images, expected(index)) and isinstance(store.images, np.memmap)
    assert len(files()) == 1
    assert np.array_equal(prepare(index, SIZE).images, store.images)
    assert sorted(read) == list(range(N))  # once each


def test_a_broken_file_is_named_and_the_rest_is_not_done_again(index, read):
    whole = expected(index)
    bad = index.path(18)
    content = bad.read_bytes()
    bad.write_bytes(b"")
    with pytest.raises(InputError, match=str(bad)):
        prepare(index, SIZE)
    bad.write_bytes(content)
    read.clear()
    assert np.array_equal(prepare(index, SIZE).images, whole)
    # 16 rows were written in 4 blocks; the last of them is made again, because a power cut might
    # have torn it
    assert sorted(read) == list(range(12, N))


@pytest.mark.parametrize("torn", ["last block", "half an image", "head"])
def test_a_torn_file_is_repaired(index, torn):
    whole = expected(index)
    bad = index.path(18)
    content = bad.read_bytes()
    bad.write_bytes(b"")
    with pytest.raises(InputError):
        prepare(index, SIZE)
    bad.write_bytes(content)
    written = partial().read_bytes()
    row = 3 * SIZE * SIZE
    if torn == "last block":
        partial().write_bytes(written[: -4 * row] + bytes(4 * row))
    elif torn == "half an image":
        partial().write_bytes(written[: -row // 2])
    else:
        partial().write_bytes(written[:50])
    assert np.array_equal(prepare(index, SIZE).images, whole)


def test_after_a_kill_the_next_process_resumes(index, read):
    program = (
        "import sys, time; from pathlib import Path; from replication.data.prepared import store;"
        " from replication.data.files.index import index_folder\nstore.BLOCK_BYTES ="
        f" {module.BLOCK_BYTES}; original = store.read_reduced\nstore.read_reduced = lambda index,"
        " i, size: (time.sleep(30 if i >= 13 else 0), original(index, i,"
        f" size))[1]\nstore.prepare(index_folder(Path(sys.argv[1]), 'train'), {SIZE})"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(index.root)], env=os.environ, cwd=paths.ROOT
    )
    try:
        deadline = time.monotonic() + 60
        while (
            not any((paths.runs() / "store").glob("*.partial"))
            or partial().stat().st_size < 12 * 3 * SIZE * SIZE
        ):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert np.array_equal(prepare(index, SIZE).images, expected(index))
    assert min(read) == 8 and len(files()) == 1


def test_concurrent_callers_build_the_store_once(index, read):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(prepare(index, SIZE).images)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(read) == list(range(N))
    assert len(found) == 3 and all(np.array_equal(images, found[0]) for images in found)


def test_a_full_disk_gives_one_line_and_loses_nothing(index, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    flush = module.flush
    monkeypatch.setattr(module, "flush", full)
    with pytest.raises(InputError, match="No space left") as error:
        prepare(index, SIZE)
    assert str(paths.runs()) in str(error.value) and "\n" not in str(error.value)
    monkeypatch.setattr(module, "flush", flush)
    assert np.array_equal(prepare(index, SIZE).images, expected(index))


def test_jpeg_files_are_a_tree_with_the_same_ids(index, tmp_path):
    folder = tmp_path / "prepared"
    assert prepare_jpeg(index, SIZE, folder) == folder / "train"
    tree = index_folder(folder, "train")
    assert (
        tree.classes == index.classes
        and np.array_equal(tree.labels, index.labels)
        and len(tree) == N
    )
    assert [int(Path(path).stem) for path in tree.paths] == index.ids.tolist() == tree.ids.tolist()
    assert not tree.skipped
    for i in range(N):
        with Image.open(tree.path(i)) as image:
            assert image.format == "JPEG" and image.size == (SIZE, SIZE)


def test_jpeg_files_go_on_and_are_not_mixed_with_others(index, tmp_path, read):
    folder = tmp_path / "prepared"
    prepare_jpeg(index, SIZE, folder)
    gone = folder / "train" / "k1" / "00000011.JPEG"
    content = gone.read_bytes()
    gone.unlink()
    read.clear()
    prepare_jpeg(index, SIZE, folder)
    assert read == [11] and gone.read_bytes() == content
    with pytest.raises(InputError, match="other images"):
        prepare_jpeg(index, SIZE + 1, folder)
    (tmp_path / "own" / "train").mkdir(parents=True)
    with pytest.raises(InputError, match="other images"):
        prepare_jpeg(index, SIZE, tmp_path / "own")


def test_a_kill_during_the_final_reading_of_the_files_loses_no_image(index, read, monkeypatch):
    """The mark takes minutes for a large set, after the hours of decoding."""

    def killed(index):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unchanged, "content", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(index, SIZE)
    read.clear()
    assert np.array_equal(prepare(index, SIZE).images, expected(index))
    assert sorted(read) == list(range(20, N))  # the last block alone
    assert len(files()) == 1 and len(list((paths.runs() / "store").iterdir())) == 3  # note, lock


def test_a_damaged_array_is_built_anew_and_not_continued(index, read):
    path = Path(prepare(index, SIZE).images.filename)
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)
    read.clear()
    assert np.array_equal(prepare(index, SIZE).images, expected(index))
    assert sorted(read) == list(range(N))
