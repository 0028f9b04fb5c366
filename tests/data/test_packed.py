"""CIFAR-10's original files: both forms are the same data; a hostile pickle is refused."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.base.errors import InputError
from replication.data.files import cifar10 as packed
from replication.data.files.index import index_cifar, read_image


def python2_batch(images: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2 and NumPy 1 wrote it (protocol 2): byte strings, and the array through
    ``_reconstruct``.
    """

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING

    content = images.tobytes()
    shape = b"(M" + len(images).to_bytes(2, "little") + b"M" + (3072).to_bytes(2, "little") + b"t"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85"
        + text(b"b")
        + b"tR(K\x01"
        + shape
        + b"cnumpy\ndtype\n("
        + text(b"u1")
        + b"K\0K\x01tR(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T"
        + len(content).to_bytes(4, "little")
        + content
        + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def write(folder, form: str, seed: int = 0) -> dict[str, tuple[np.ndarray, list[int]]]:
    rng = np.random.default_rng(seed)
    content = {}
    folder.mkdir(exist_ok=True)
    for split in ("train", "test"):
        for n, file in enumerate(packed.files(form, split)):
            images = rng.integers(0, 256, (4 + n, 3072), np.uint8)
            labels = rng.integers(0, 10, 4 + n).tolist()
            if form == "cifar-python":
                (folder / file).write_bytes(python2_batch(images, labels))
            else:
                (folder / file).write_bytes(
                    np.concatenate([np.array(labels, np.uint8)[:, None], images], axis=1).tobytes()
                )
            content[file] = images, labels
    return content


@pytest.mark.parametrize("form", ["cifar-python", "cifar-binary"])
def test_images_and_labels_are_read_as_they_were_written(tmp_path, form):
    content = write(tmp_path, form)
    index = index_cifar(tmp_path, "train", form)
    assert len(index) == 4 + 5 + 6 + 7 + 8
    assert index.labels.tolist() == sum(
        (content[file][1] for file in packed.files(form, "train")), []
    )
    assert index.records.tolist()[:6] == [0, 1, 2, 3, 0, 1]
    image = read_image(index, 5)  # the second record of the second file
    planes = content[packed.files(form, "train")[1]][0][1].reshape(3, 32, 32)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    assert (image.transpose(2, 0, 1) == planes).all()


def test_both_forms_are_the_same_data(tmp_path):
    write(tmp_path / "py", "cifar-python")
    write(tmp_path / "bin", "cifar-binary")
    a, b = (
        index_cifar(tmp_path / "py", "test", "cifar-python"),
        index_cifar(tmp_path / "bin", "test", "cifar-binary"),
    )
    assert a.classes == b.classes == packed.CLASSES == tuple(sorted(packed.CLASSES))
    assert (a.labels == b.labels).all()
    assert all((read_image(a, i) == read_image(b, i)).all() for i in range(len(a)))


def test_a_pickle_of_todays_numpy_is_read(tmp_path):
    images = np.arange(2 * 3072, dtype=np.int64).astype(np.uint8).reshape(2, 3072)
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": images, b"labels": [3, 9]}, protocol=4))
    read, labels = packed.load(tmp_path / "batch")
    assert (read == images).all() and labels.tolist() == [3, 9]


class Call:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path, protocol):
    bait = tmp_path / "made"
    (tmp_path / "batch").write_bytes(
        pickle.dumps({"data": Call(os.mkdir, str(bait))}, protocol=protocol)
    )
    with pytest.raises(InputError, match="mkdir, which") as error:
        packed.load(tmp_path / "batch")
    assert not bait.exists()
    assert str(tmp_path / "batch") in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        Call(eval, "1"),
        Call(np.ndarray, (1 << 40,)),  # would ask for a terabyte
        np.zeros((2, 3072), np.float32),
        np.zeros((2, 3072), object),
        np.zeros((2, 3072), np.uint8, order="F"),
        np.zeros((3, 3072), np.uint8),
        [0] * 6144,
        None,
    ],
)
def test_anything_but_a_plain_array_is_refused(tmp_path, value):
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": value, b"labels": [0, 1]}, protocol=4))
    with pytest.raises(InputError):
        packed.load(tmp_path / "batch")


@given(st.lists(st.tuples(st.integers(0, 6300), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_damaged_file_is_refused_or_read_but_never_crashes(tmp_path_factory, changes):
    content = bytearray(python2_batch(np.zeros((2, 3072), np.uint8), [0, 1]))
    for at, value in changes:
        content[at if at < 120 else at % len(content)] = value
    path = tmp_path_factory.mktemp("damaged") / "batch"
    path.write_bytes(content)
    try:
        images, labels = packed.load(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert images.shape == (len(labels), 3072)


@pytest.mark.parametrize("labels", [[0, 10], [0, -1], [0, "cat"], [0, 1 << 80]])
def test_wrong_labels_are_refused(tmp_path, labels):
    (tmp_path / "batch").write_bytes(
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": labels}, protocol=4)
    )
    with pytest.raises(InputError, match="label"):
        packed.load(tmp_path / "batch")


@pytest.mark.parametrize("form", ["cifar-python", "cifar-binary"])
def test_truncated_and_missing_files_are_named(tmp_path, form):
    write(tmp_path, form)
    path = tmp_path / packed.files(form, "train")[2]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=path.name):
        index_cifar(tmp_path, "train", form)
    path.unlink()
    with pytest.raises(InputError, match=f"{path.name} is missing"):
        index_cifar(tmp_path, "train", form)
