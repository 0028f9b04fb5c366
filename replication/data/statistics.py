"""Statistics of the training images that the pipelines subtract or draw with: mean image and colour directions (sections 2 and 4.1)."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from replication import paths
from replication.data.store import Store
from replication.errors import InputError
from replication.files import write_atomic

CHUNK_BYTES = 2**25  # of images summed at once; bounds the memory, not the result: sums of integers are exact
SOURCE_DIVISOR = 1.1  # convdata_jpeg.py:179: images with colour noise are divided by it
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of N training images of S x S pixels, RGB, on the 0-255 scale."""

    mean: np.ndarray  # float32 (S, S, 3): mean image, section 2
    channel_mean: np.ndarray  # float64 (3,)
    covariance: np.ndarray  # float64 (3, 3) of all pixels' RGB values, section 4.1
    eigenvalues: np.ndarray  # float64 (3,), descending
    eigenvectors: np.ndarray  # float64 (3, 3): column i belongs to eigenvalue i; its largest entry is positive
    count: int
    size: int
    fingerprint: str  # of the index that the images belong to


def statistics(store: Store, rows: np.ndarray | None = None) -> Statistics:
    """The statistics of the store's images (of ``rows`` of them, when given), from one pass; kept in a small file for the next time."""
    key = store.index.fingerprint if rows is None else hashlib.sha256(store.index.fingerprint.encode() + rows.tobytes()).hexdigest()[:16]
    path = paths.runs() / "statistics" / f"{store.index.name}-{store.size}-{key}.npz"
    count = len(store.index) if rows is None else len(rows)
    if (kept := _read(path, key, count, store.size)) is not None:
        return kept
    pixels, products = _sums(store.images, np.arange(count) if rows is None else rows)
    made = _statistics(pixels, products, count, store.size, key)
    arrays = {"pixels": pixels, "products": products, "count": count, "size": store.size, "format": FORMAT}
    write_atomic(path, lambda file: np.savez(file, fingerprint=np.frombuffer(key.encode(), np.uint8), **arrays))
    return made


def mean_image(images: np.ndarray) -> np.ndarray:
    """Mean over images of each pixel and channel: uint8 (N, S, S, 3) to float32 (S, S, 3), on the 0-255 scale."""
    return (_sums(images, np.arange(len(images)))[0] / len(images)).astype(np.float32)


def shifts(found: Statistics, normals: np.ndarray, colour: float, fidelity: Literal["paper", "source2012"]) -> np.ndarray:
    """Grey levels that section 4.1 adds to each channel of N images: multipliers ``colour`` x ``normals`` (N, 3) -> float32 (N, 3).

    The paper multiplies direction i by its eigenvalue, which gives sensible shifts only for pixels between 0 and 1: so the shift is
    computed on that scale and multiplied by 255. The source multiplies by what it calls standard deviations, on 0-255.
    """
    spread = found.eigenvalues / 255 if fidelity == "paper" else np.sqrt(found.eigenvalues)  # 255 * (eigenvalue / 255^2)
    return (colour * normals * spread @ found.eigenvectors.T).astype(np.float32)


def image_divisor(colour: float, fidelity: Literal["paper", "source2012"]) -> float:
    """What a training image is divided by after the colour shift; 1 in the paper, and where there is no shift."""
    return SOURCE_DIVISOR if fidelity == "source2012" and colour else 1.0


def _sums(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum over images of each value, int64 (S, S, 3), and sum over all pixels of the products of two channels, int64 (3, 3).

    Products are added in float64 by BLAS: within a chunk their sum stays below 2^53, where float64 counts integers exactly.
    """
    pixels, products = np.zeros(images.shape[1:], np.int64), np.zeros((3, 3), np.int64)
    chunk = max(1, CHUNK_BYTES // int(np.prod(images.shape[1:])))
    for start in range(0, len(rows), chunk):
        part = images[rows[start : start + chunk]]
        pixels += part.sum(axis=0, dtype=np.int64)
        flat = part.reshape(-1, 3).astype(np.float64)
        products += (flat.T @ flat).astype(np.int64)
    return pixels, products


def _statistics(pixels: np.ndarray, products: np.ndarray, count: int, size: int, fingerprint: str) -> Statistics:
    n = count * size * size
    channel = pixels.sum(axis=(0, 1))
    # integers as long as possible: n * sum(xy) - sum(x) sum(y) in Python's exact ones, so that no digits cancel
    covariance = np.array([[(n * int(products[i, j]) - int(channel[i]) * int(channel[j])) / (n * n) for j in range(3)] for i in range(3)])
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(3)])
    mean = (pixels / count).astype(np.float32)
    return Statistics(mean, channel / n, covariance, np.maximum(values, 0.0), np.ascontiguousarray(vectors), count, size, fingerprint)


def _read(path: Path, fingerprint: str, count: int, size: int) -> Statistics | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            if int(kept["format"]) != FORMAT:
                return None
            found = (kept["fingerprint"].tobytes().decode(), int(kept["count"]), int(kept["size"]))
            if found != (fingerprint, count, size):
                raise InputError(f"{path}: statistics of other images ({found[1]} of size {found[2]}, {found[0]}); delete that file")
            return _statistics(kept["pixels"], kept["products"], count, size, fingerprint)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # damaged: compute them again
