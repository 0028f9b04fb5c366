"""Prepared images: decoded and reduced once, as a memory-mapped array or JPEG files.

Section 2: the shorter side is resized to S, then the central S x S part is kept. Stated rules for
odd sizes: the longer side is rounded to the nearest integer (half to even), the crop starts at
floor((n - S) / 2), as in the source's preparation script. An image whose shorter side is S already
is not resampled."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import flush, read_json, sync_folder, write_atomic, write_json
from replication.data.files import cifar10 as packed
from replication.data.files import unchanged
from replication.data.files.decode import picture
from replication.data.files.index import Index
from replication.data.files.parallel import each
from replication.data.sources.disk import check_space, locked, writing

# of images that are decoded before they are written, and lost at most when the process is killed
BLOCK_BYTES = 2**25
# an image whose sides differ by more than this factor is cut to twice its shorter side first
NARROW = 64
QUALITY = 95  # of prepared JPEG files: make-data/pyext/src/pyext.h:26 of cuda-convnet2


@dataclass(frozen=True)
class Store:
    """The images of one index at one size."""

    index: Index
    images: np.ndarray  # uint8 (N, S, S, 3), memory-mapped
    size: int  # S, pixels


def prepare(index: Index, size: int) -> Store:
    """Return every image of ``index`` at ``size`` x ``size``, from an array on the disk.

    It is built first, unless an earlier call left it.

    Interrupted, the same call resumes after the last block of images that reached the disk. A
    second process that wants the same array waits for the first. An array that is damaged, or whose
    files have changed, is built again. Raises InputError that names a file that cannot be decoded;
    what was done before it is kept."""
    path = paths.runs() / "store" / f"{index.name}-{index.split}-{size}-{index.fingerprint}.npy"
    if not unchanged.is_current(path, index):
        with writing(path, index.name), locked(path):
            if not unchanged.is_current(path, index):  # no other process has built it meanwhile
                _discard(path)
                _write(path, index, size)
                unchanged.record(path, index)
                _stamps(path).unlink(missing_ok=True)
    return Store(index, np.load(path, mmap_mode="r", allow_pickle=False), size)


def prepare_jpeg(index: Index, size: int, folder: Path) -> Path:
    """Write the images to ``folder/<split>/<class>/<id>.JPEG`` and return the split's folder.

    Files sort as the index does, so that the index of the new tree has the ids of a full old one,
    and both get the same draws. Files of an earlier, interrupted call are kept."""
    root = folder / index.split
    what = {
        "fingerprint": index.fingerprint,
        "size": size,
        "quality": QUALITY,
        "images": len(index),
        "content": unchanged.content(index),
    }
    note = folder / f".prepared-{index.split}.json"
    with writing(root, index.name), locked(note):
        if root.is_dir() and not (note.is_file() and read_json(note) == what):
            raise InputError(
                f"{root} holds other images than {index.name} at {size}: name another folder, or"
                " remove that one"
            )
        write_json(note, what)
        for key in index.classes:
            (root / key).mkdir(parents=True, exist_ok=True)

        def write(i: int) -> None:
            place = root / index.classes[index.labels[i]] / f"{index.ids[i]:08d}.JPEG"
            if not place.is_file():
                content = io.BytesIO()
                Image.fromarray(read_reduced(index, i, size)).save(content, "JPEG", quality=QUALITY)
                unfinished = place.with_name(f".{place.name}")
                unfinished.write_bytes(content.getbuffer())
                unfinished.replace(place)

        for _ in each(write, range(len(index)), f"{index.name} {index.split}"):
            pass
    return root


def blocks(index: Index, size: int, start: int = 0) -> Iterator[np.ndarray]:
    """Yield the images from row ``start`` on, reduced, in blocks of uint8 (n, size, size, 3)."""
    rows = block_rows(size)
    block, filled = np.empty((rows, size, size, 3), np.uint8), 0
    work = each(
        lambda i: read_reduced(index, i, size),
        range(start, len(index)),
        f"{index.name} {index.split}",
        len(index),
    )
    for image in work:
        block[filled] = image
        filled += 1
        if filled == rows:
            yield block
            filled = 0
    if filled:
        yield block[:filled]


def block_rows(size: int) -> int:
    """Images in a block."""
    return max(1, BLOCK_BYTES // (3 * size * size))


def read_reduced(index: Index, i: int, size: int) -> np.ndarray:
    """Return row ``i`` decoded and reduced, uint8 (size, size, 3)."""
    path = index.path(i)
    if index.records is not None:
        return reduce(packed.read(path, int(index.records[i])), size)
    return np.asarray(_reduce(picture(path, str(path)).image, size))


def reduce(image: np.ndarray, size: int) -> np.ndarray:
    """Return the central square of an image (H, W, 3) whose shorter side becomes ``size``.

    Bilinear, with a filter that widens when it reduces; uint8 (size, size, 3)."""
    return np.asarray(_reduce(Image.fromarray(image), size))


def _reduce(image: Image.Image, size: int) -> Image.Image:
    width, height = image.size
    shorter = min(width, height)
    # resized whole it could need gigabytes, and only the middle is kept
    if max(width, height) > NARROW * shorter:
        left, top = max(0, width // 2 - shorter), max(0, height // 2 - shorter)
        image = image.crop(
            (left, top, min(width, left + 2 * shorter), min(height, top + 2 * shorter))
        )
        width, height = image.size
    if shorter != size:
        width, height = round(width * size / shorter), round(height * size / shorter)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return image if image.size == (size, size) else image.crop((left, top, left + size, top + size))


def _write(path: Path, index: Index, size: int) -> None:
    """Append block after block to ``<path>.partial``, and rename it at the end.

    Its length tells how far it is. A block is on the disk before the next one is begun, so after a
    power cut, too, all but the last block of the file can be trusted. Blocks of files that have
    changed meanwhile are written again."""
    unfinished, stamps = _unfinished(path), _stamps(path)
    head = _head((len(index), size, size, 3))
    row = 3 * size * size
    with open(unfinished, "a+b") as file:
        whole = min(max(0, (file.tell() - len(head)) // row), _unchanged_rows(stamps, index))
        done = max(0, (whole - 1) // block_rows(size) * block_rows(size))
        file.truncate(len(head) + done * row if done else 0)
        check_space(path.parent, (len(index) - done) * row, f"the images of {index.name}")
        write_atomic(stamps, lambda kept: np.save(kept, index.stamps))
        if not done:
            file.write(head)
        for block in blocks(index, size, done):
            file.write(block)
            flush(file)
    unfinished.replace(path)
    sync_folder(path.parent)


def _discard(path: Path) -> None:
    """Remove an array that is not current; one that was never recorded is continued instead.

    Its process was ended while it read all files once more, for the record."""
    note = unchanged.note_of(path)
    if path.is_file() and _stamps(path).is_file() and not note.is_file():
        path.replace(_unfinished(path))
    path.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _stamps(path: Path) -> Path:
    """Return where the stamps of the files are kept, as they were read, until it is recorded."""
    return path.with_name(f".{path.name}.partial.npy")


def _unchanged_rows(stamps: Path, index: Index) -> int:
    """Return how many of the first rows come from files that are as they were."""
    try:
        before = np.load(stamps, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return 0
    if before.shape != index.stamps.shape:
        return 0
    changed = np.flatnonzero(before != index.stamps)
    return int(changed[0]) if len(changed) else len(index)


def _head(shape: tuple[int, ...]) -> bytes:
    """Return what NumPy's file format puts before the numbers."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return content.getvalue()
