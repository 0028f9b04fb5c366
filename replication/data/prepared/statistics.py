"""The mean image and the colour directions of the training images (sections 2 and 4.1)."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import write_atomic
from replication.data.files import unchanged
from replication.data.files.index import Index
from replication.data.prepared.store import Store, blocks

CHUNK = 257  # images whose sum fits into uint16: 257 * 255 = 2^16 - 1
# of images held at once; bounds the memory, not the result: sums of integers are exact
CHUNK_BYTES = 2**25
PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of channels
# whose products are added at once: in the processor's cache, and too few for BLAS to start threads
PIXELS = 2**13
SOURCE_DIVISOR = 1.1  # convdata_jpeg.py:179: images with colour noise are divided by it
FORMAT = 3


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of N training images of S x S pixels, RGB, on the 0-255 scale."""

    mean: np.ndarray  # float32 (S, S, 3): mean image, section 2
    channel_mean: np.ndarray  # float64 (3,)
    covariance: np.ndarray  # float64 (3, 3) of all pixels' RGB values, section 4.1
    eigenvalues: np.ndarray  # float64 (3,), descending
    # float64 (3, 3): column i belongs to eigenvalue i; its largest entry is positive
    eigenvectors: np.ndarray
    count: int
    size: int
    fingerprint: str  # of the index that the images belong to


def statistics(store: Store, rows: np.ndarray | None = None) -> Statistics:
    """Return the statistics of the store's images, or of ``rows`` of them.

    They are computed in one pass and kept in a small file."""
    index = store.index
    if rows is None:
        key, rows = index.fingerprint, np.arange(len(index))
    else:
        key = hashlib.sha256(index.fingerprint.encode() + rows.tobytes()).hexdigest()[:16]
    return _kept(index, store.size, key, len(rows), _parts(store.images, rows))


def streamed_statistics(index: Index, size: int) -> Statistics:
    """Return the statistics of an index's images at ``size``, decoded for it and not stored.

    For a data set that is too large for a store."""
    return _kept(index, size, index.fingerprint, len(index), blocks(index, size))


def mean_image(images: np.ndarray) -> np.ndarray:
    """Return the mean over images (N, S, S, 3), uint8, of each pixel and channel.

    float32 (S, S, 3), on the 0-255 scale."""
    return (_sums(_parts(images, np.arange(len(images))), images.shape[1])[0] / len(images)).astype(
        np.float32
    )


def shifts(
    found: Statistics, normals: np.ndarray, colour: float, fidelity: Literal["paper", "source2012"]
) -> np.ndarray:
    """Return the grey levels that section 4.1 adds to each channel, float32 (N, 3).

    The multipliers are ``colour`` x ``normals`` (N, 3).

    The paper multiplies direction i by its eigenvalue, which gives sensible shifts only for pixels
    between 0 and 1: so the shift is computed on that scale and multiplied by 255. The source
    multiplies by what it calls standard deviations, on 0-255."""
    # 255 * (eigenvalue / 255^2)
    spread = found.eigenvalues / 255 if fidelity == "paper" else np.sqrt(found.eigenvalues)
    return (colour * normals * spread @ found.eigenvectors.T).astype(np.float32)


def image_divisor(colour: float, fidelity: Literal["paper", "source2012"]) -> float:
    """Return the divisor of a training image after the colour shift.

    1 in the paper, and without a shift."""
    return SOURCE_DIVISOR if fidelity == "source2012" and colour else 1.0


def _parts(images: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    chunk = max(1, CHUNK_BYTES // int(np.prod(images.shape[1:])))
    for start in range(0, len(rows), chunk):
        yield images[rows[start : start + chunk]]


def _sums(parts: Iterable[np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of each value over images, and of products of channels over pixels.

    int64 (S, S, 3) and int64 (3, 3).

    Products are added in float64, where integers below 2^53 are exact; 2^13 pixels make less than
    2^29."""
    pixels, products = np.zeros((size, size, 3), np.int64), np.zeros((3, 3), np.int64)
    for part in parts:
        for start in range(0, len(part), CHUNK):
            pixels += part[start : start + CHUNK].sum(axis=0, dtype=np.uint16)
        flat = part.reshape(-1, 3)
        for start in range(0, len(flat), PIXELS):
            planes = np.ascontiguousarray(flat[start : start + PIXELS].T, np.float64)
            for i, j in PAIRS:  # three times as fast as one product of tall, thin matrices
                products[i, j] += int(planes[i] @ planes[j])
    lower = np.tril_indices(3, -1)
    products[lower] = products.T[lower]
    return pixels, products


def _statistics(
    pixels: np.ndarray, products: np.ndarray, count: int, size: int, fingerprint: str
) -> Statistics:
    n = count * size * size
    channel = pixels.sum(axis=(0, 1))
    # integers as long as possible: n * sum(xy) - sum(x) sum(y) in Python's exact ones, so that no
    # digits cancel
    covariance = np.array(
        [
            [
                (n * int(products[i, j]) - int(channel[i]) * int(channel[j])) / (n * n)
                for j in range(3)
            ]
            for i in range(3)
        ]
    )
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(3)])
    mean = (pixels / count).astype(np.float32)
    return Statistics(
        mean,
        channel / n,
        covariance,
        np.maximum(values, 0.0),
        np.ascontiguousarray(vectors),
        count,
        size,
        fingerprint,
    )


def _kept(
    index: Index, size: int, fingerprint: str, count: int, parts: Iterable[np.ndarray]
) -> Statistics:
    """Return the statistics of ``parts``, read from a file if it is there, else kept in it."""
    path = paths.runs() / "statistics" / f"{index.name}-{size}-{fingerprint}.npz"
    if (found := _read(path, index, fingerprint, count, size)) is not None:
        return found
    pixels, products = _sums(parts, size)
    facts = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "count": count,
        "size": size,
        "order": "RGB, rows, columns",
        "scale": "0-255",
    }
    head = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    write_atomic(path, lambda file: np.savez(file, head=head, pixels=pixels, products=products))
    unchanged.record(path, index)
    return _statistics(pixels, products, count, size, fingerprint)


def _read(path: Path, index: Index, fingerprint: str, count: int, size: int) -> Statistics | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            head = json.loads(kept["head"].tobytes())
            if head["format"] != FORMAT:
                return None
            found = (head["fingerprint"], head["count"], head["size"])
            pixels, products = kept["pixels"], kept["products"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # damaged: compute them again
    if (
        found != (fingerprint, count, size)
        or pixels.shape != (size, size, 3)
        or products.shape != (3, 3)
    ):
        raise InputError(
            f"{path}: statistics of other images ({found[1]} of size {found[2]}, {found[0]});"
            " delete that file"
        )
    if not unchanged.is_current(path, index):
        return None  # the images have changed, or the sums have: compute them again
    return _statistics(pixels, products, count, size, fingerprint)
