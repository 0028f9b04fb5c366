"""CIFAR-10 as Krizhevsky published it: files of 10,000 records, 32 x 32 RGB.

The python files are pickles, and a pickle can run any code. Here only dictionaries, lists, strings,
numbers and one plain uint8 array can come out of one; the array is rebuilt by a few lines of this
module, so that not even NumPy's own restoring code sees the file. Source of the format:
https://www.cs.toronto.edu/~kriz/cifar.html"""

import hashlib
import io
import math
import pickle
from functools import lru_cache
from pathlib import Path

import numpy as np

from replication.base.errors import InputError

# the order of batches.meta, which is also the alphabetical one
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PYTHON_FILES = {"train": tuple(f"data_batch_{n}" for n in range(1, 6)), "test": ("test_batch",)}
BINARY_FILES = {
    split: tuple(f"{name}.bin" for name in names) for split, names in PYTHON_FILES.items()
}
# MD5 of the author's files; those of the python form are published by torchvision too
ORIGINAL = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    # the same labels and pixels, record by record
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
SIDE = 32
_DAMAGE = (  # what Python's unpickler raises on a damaged or hostile file
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    OverflowError,
    MemoryError,
    RecursionError,
)
PIXELS = 3 * SIDE * SIDE  # 1024 red, then green, then blue, each row by row


def files(form: str, split: str) -> tuple[str, ...]:
    """Return the names of the files of ``split``, in the order of the ids.

    ``form``: "cifar-python" or "cifar-binary"."""
    return (PYTHON_FILES if form == "cifar-python" else BINARY_FILES)[split]


def is_present(root: Path, form: str, split: str) -> bool:
    """Return whether ``root`` has all files of ``split``."""
    return all((root / name).is_file() for name in files(form, split))


def is_original(root: Path, form: str) -> bool:
    """Return whether all files of ``form`` in ``root`` are the author's, by their hashes."""
    for name in (*files(form, "train"), *files(form, "test")):
        try:
            with (root / name).open("rb") as file:
                digest = hashlib.file_digest(
                    file, lambda: hashlib.md5(usedforsecurity=False)
                ).hexdigest()
        except OSError:
            return False
        if digest != ORIGINAL[name]:
            return False
    return True


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images, uint8 (n, 3072) in planes, and the labels, int64 (n,), of one file.

    Raises InputError if it is not such a file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: move its folder away, and run `replication data get cifar10`"
        ) from None
    return _load(path, stat.st_size, stat.st_mtime_ns)


def read(path: Path, record: int) -> np.ndarray:
    """Return one image, uint8 (32, 32, 3) RGB."""
    images, _ = load(path)
    return np.ascontiguousarray(images[record].reshape(3, SIDE, SIDE).transpose(1, 2, 0))


@lru_cache(maxsize=6)  # all of CIFAR-10: 184 MB at most
def _load(path: Path, size: int, mtime: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _binary(path, size) if path.suffix == ".bin" else _python(path)
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(CLASSES):
        raise InputError(f"{path}: a label is outside 0 to 9; not a CIFAR-10 file, or damaged")
    images.setflags(write=False)
    labels.setflags(write=False)
    return images, labels


def _binary(path: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    if size == 0 or size % (PIXELS + 1):
        raise InputError(
            f"{path} has {size} bytes, not a multiple of {PIXELS + 1}: truncated, or not a CIFAR-10"
            " binary file"
        )
    records = np.fromfile(path, np.uint8).reshape(-1, PIXELS + 1)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _python(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        content = _Restricted(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except _DAMAGE as error:
        raise InputError(
            f"{path} is refused: {_one_line(error)}; get CIFAR-10 from its official source again"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} contains no dictionary: not a CIFAR-10 python file")
    images, labels = content.get(b"data"), content.get(b"labels")
    if (
        not isinstance(images, _Array)
        or not isinstance(labels, list)
        or images.shape != (len(labels), PIXELS)
    ):
        raise InputError(
            f"{path}: expected b'data' (n, {PIXELS}) and b'labels' (n); not a CIFAR-10 python file"
        )
    if not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
        raise InputError(f"{path}: a label is outside 0 to 9; not a CIFAR-10 file, or damaged")
    return np.frombuffer(images.content, np.uint8).reshape(images.shape).copy(), np.array(
        labels, np.int64
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class _Array:
    """The stand-in for a pickled uint8 array."""

    shape: tuple[int, ...] = ()
    content = b""

    def __setstate__(self, state: tuple) -> None:
        _version, shape, dtype, fortran_order, content = state
        plain = (
            isinstance(dtype, _Dtype)
            and dtype.name == "u1"
            and not fortran_order
            and isinstance(content, bytes)
        )
        if not plain or math.prod(shape) != len(content):
            raise pickle.UnpicklingError("it contains an array that is not plain uint8")
        self.shape, self.content = tuple(shape), content


class _Dtype:
    """The stand-in for a pickled dtype; of one-byte numbers only the name matters."""

    def __init__(self, name: bytes | str, *_flags: object) -> None:
        self.name = name.decode("ascii") if isinstance(name, bytes) else name

    def __setstate__(self, state: tuple) -> None:
        """Byte order and fields, which one-byte numbers do not have."""


def _reconstruct(*_arguments: object) -> _Array:
    return _Array()


class _Restricted(pickle.Unpickler):
    _allowed = {
        # the official files, written by NumPy 1
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # the same, written by NumPy 2
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
    }

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which CIFAR-10 has no use for"
            )
        return self._allowed[module, name]
