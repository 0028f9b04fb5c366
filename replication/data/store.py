"""Images decoded and reduced to one size once, then read as one memory-mapped array.

Section 2: the shorter side is resized to S, then the central S x S part is kept. Stated rules for odd sizes: the longer side is
rounded to the nearest integer (half to even), the crop starts at floor((n - S) / 2), as in the source's preparation script.
An image whose shorter side is S already is not resampled.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from replication import paths
from replication.data.index import Index, read_image
from replication.files import write_atomic


@dataclass(frozen=True)
class Store:
    """The images of one index at one size."""

    index: Index
    images: np.ndarray  # uint8 (N, S, S, 3), memory-mapped
    size: int  # S, pixels


def prepare(index: Index, size: int) -> Store:
    """Decode and reduce every image of ``index`` to ``size`` x ``size``, or open the array that an earlier call left."""
    path = _place(index, size)
    if not path.is_file():
        images = np.empty((len(index), size, size, 3), np.uint8)

        def fill(i: int) -> None:
            images[i] = reduce(read_image(index, i), size)

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside the interpreter lock
            for _ in pool.map(fill, range(len(index))):
                pass
        write_atomic(path, lambda file: np.save(file, images, allow_pickle=False))
    return Store(index, np.load(path, mmap_mode="r", allow_pickle=False), size)


def reduce(image: np.ndarray, size: int) -> np.ndarray:
    """Shorter side to ``size`` (bilinear, widened when it reduces), central square: uint8 (H, W, 3) to (size, size, 3)."""
    height, width = image.shape[:2]
    shorter = min(height, width)
    if shorter != size:
        height, width = round(height * size / shorter), round(width * size / shorter)
        image = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size]


def _place(index: Index, size: int) -> Path:
    return paths.runs() / "store" / f"{index.name}-{index.split}-{size}-{index.fingerprint}.npy"
