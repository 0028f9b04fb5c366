"""The embedded data set: photographs of ten shapes and textures, drawn from a seed.

It has the ILSVRC folder layout and takes the same path as real data (index, decode, store, loader),
so that the whole chain runs without a download. A class is a shape or a texture and never a colour.
Position, scale, rotation, colours, illumination, background, clutter, occlusion and noise are
nuisance, drawn for every image. It represents nothing in the paper, and every result made with
it says "synthetic".

Only exactly rounded arithmetic is used on the pixels, and the Philox generator's uniform numbers;
so the pixels depend on the seed alone, and the files are bit-identical for one version of Pillow
and its JPEG library."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from replication.base import files
from replication.base.errors import InputError
from replication.data.files import tree
from replication.data.sources.disk import locked, writing
from replication.data.sources.shapes import NAMES, SEED, render

VERSION = 1  # another version makes other images, in another folder
PER_CLASS = {"train": 160, "val": 40}
# looks like a wnid; WordNet has no such number
CLASSES = tuple(f"n9000000{label}" for label in range(len(NAMES)))


def place(parent: Path) -> Path:
    """Return the folder under ``parent``; its name has the version and the seed."""
    return parent / f"synthetic-v{VERSION}-seed{SEED}"


def is_made(parent: Path) -> bool:
    """Return whether the whole data set is there."""
    return (place(parent) / "manifest.json").is_file()


def ensure(parent: Path) -> Path:
    """Return the folder of the data set, after drawing it if it is not there or damaged."""
    root = place(parent)
    if not (is_made(parent) and _is_whole(root)):
        with writing(root, "the synthetic data set"), locked(root):
            if not (is_made(parent) and _is_whole(root)):  # no other process has made it meanwhile
                shutil.rmtree(root, ignore_errors=True)
                make(root)
    return root


def _is_whole(root: Path) -> bool:
    """Return whether the files are those that were drawn; read only if their stamps changed."""
    paths = _files(root)
    stamps = hashlib.sha256(repr([tree.stamp(path) for path in paths]).encode()).hexdigest()
    checked = root / ".checked"
    if checked.is_file() and checked.read_text(encoding="ascii", errors="replace") == stamps:
        return True
    try:
        manifest = files.read_json(root / "manifest.json")
    except ValueError:
        return False
    if "content" in manifest and manifest["content"] != _content(root):
        return False
    with contextlib.suppress(PermissionError):  # in somebody else's folder
        files.write_text(checked, stamps)
    return True


def _files(root: Path) -> list[Path]:
    return sorted(root.glob("*/*/*.JPEG"))


def _content(root: Path) -> str:
    """Return 16 hex digits over the names and the bytes of all images."""
    digest = hashlib.sha256()
    for path in _files(root):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def make(root: Path, seed: int = SEED, per_class: dict[str, int] | None = None) -> None:
    """Write the data set to a temporary folder beside ``root`` and rename it.

    An unfinished tree is never used.

    ``per_class`` gives the number of images of each class for each split.
    """
    per_class = per_class or PER_CLASS
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as parent:
        work = Path(parent) / root.name
        number = 0
        for split, count in per_class.items():
            for label, key in enumerate(CLASSES):
                (work / split / key).mkdir(parents=True)
                for _ in range(count):
                    number += 1
                    save(
                        render(label, number, seed),
                        work / split / key / f"{key}_{number}.JPEG",
                        quality=75 + number % 21,
                    )
        files.write_text(
            work / "words.txt",
            "".join(f"{key}\t{name}\n" for key, name in zip(CLASSES, NAMES, strict=True)),
        )
        files.write_json(
            work / "manifest.json",
            {
                "data": "synthetic",
                "version": VERSION,
                "seed": seed,
                "images_per_class": per_class,
                "content": _content(work),
            },
        )
        try:
            os.rename(work, root)
        except OSError:
            # else another process was faster, with the same files
            if not (root / "manifest.json").is_file():
                raise InputError(
                    f"cannot move the synthetic data set to {root}: remove that folder"
                ) from None


def save(image: np.ndarray, path: Path, quality: int) -> None:
    """Write uint8 (H, W, 3) or (H, W) as JPEG."""
    Image.fromarray(image).save(path, "JPEG", quality=quality)
