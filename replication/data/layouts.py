"""What lies in a folder of images: the directory layouts that are understood, and everything else refused by name (section 2).

A scan only lists names and sizes; no image is opened. Hidden and stray entries are skipped and counted by kind. Labels follow
the sorted list of class keys (wnid or folder name) of the *training* split, so that a test split can never shift them.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from replication.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp"})
STRAY = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})  # left behind by macOS and Windows
SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


@dataclass
class Scan:
    """Names of one split's images, sorted by (class, name)."""

    classes: tuple[str, ...]
    paths: list[str] = field(default_factory=list)  # relative to the data set's root, with "/" between the parts
    labels: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # bytes
    skipped: Counter[str] = field(default_factory=Counter)  # kind of entry -> how many

    def add(self, path: str, label: int, size: int) -> None:
        self.paths.append(path)
        self.labels.append(label)
        self.sizes.append(size)


def scan(root: Path, split: str) -> Scan:
    """List the images of ``split`` under ``root``.

    Understood: ``<split>/<class>/<image>`` (ImageFolder, ILSVRC by wnid, the CIFAR-10 JPEG tree, Imagenette), and Tiny ImageNet's own
    ``train/<wnid>/images/<image>`` with ``val/images/`` and ``val/val_annotations.txt``. Raises InputError for anything else, saying
    what was found.
    """
    folder = split_folder(root, split)
    classes = None if split == "train" else _training_classes(root)
    if (folder / "val_annotations.txt").is_file():
        return _tiny_imagenet_val(root, folder, classes)
    return _class_folders(root, folder, classes)


def split_folder(root: Path, split: str) -> Path:
    """The folder of ``split``; InputError names the folders accepted and what is there instead."""
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    names = SPLIT_FOLDERS.get(split)
    if names is None:
        raise InputError(f"unknown split {split!r}: use one of {', '.join(SPLIT_FOLDERS)}")
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise InputError(
        f"{root} has no folder {' or '.join(names)}: found {_found(root)}; the layout accepted is {names[0]}/<class>/<image>.JPEG"
    )


def list_folder(folder: Path, skipped: Counter[str]) -> tuple[list[str], list[tuple[str, int]]]:
    """Sorted sub-folder names, and sorted (name, bytes) of image files; the rest is counted in ``skipped``."""
    folders, images = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name in STRAY:
                skipped["stray"] += 1
            elif name.startswith("."):
                skipped["hidden"] += 1
            elif entry.is_dir():
                folders.append(name)
            elif os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
                try:
                    images.append((name, entry.stat().st_size))
                except FileNotFoundError:
                    raise InputError(f"broken link: {entry.path}; restore what it points to, or remove it") from None
            else:
                skipped["not an image"] += 1
    return sorted(folders), sorted(images)


def _training_classes(root: Path) -> tuple[str, ...] | None:
    if not (root / "train").is_dir():
        return None
    folders, _ = list_folder(root / "train", Counter())
    return tuple(folders) or None


def _class_folders(root: Path, folder: Path, classes: tuple[str, ...] | None) -> Scan:
    skipped: Counter[str] = Counter()
    folders, images = list_folder(folder, skipped)
    if not folders:
        raise InputError(f"unknown layout: {folder} has no class folders; found {_found(folder)}; expected {folder.name}/<class>/<image>.JPEG")
    if images:
        raise InputError(
            f"unknown layout: {folder} holds {len(folders)} folders and {len(images)} images ({images[0][0]}, ...) side by side; "
            f"put every image into its class folder"
        )
    if classes is not None and tuple(folders) != classes:
        odd = sorted(set(folders) ^ set(classes))
        raise InputError(
            f"the classes of {folder} are not those of {root / 'train'}: {len(odd)} are in only one of them ({', '.join(odd[:3])}, ...)"
        )
    result = Scan(tuple(folders), skipped=skipped)
    for label, key in enumerate(folders):
        _add_class(result, root, folder / key, label)
    return result


def _add_class(result: Scan, root: Path, folder: Path, label: int) -> None:
    inner, images = list_folder(folder, result.skipped)
    if inner == ["images"] and not images:  # Tiny ImageNet: <wnid>/images/ beside <wnid>_boxes.txt
        folder = folder / "images"
        inner, images = list_folder(folder, result.skipped)
    result.skipped["folder"] += len(inner)
    if not images:
        raise InputError(f"empty class: {folder} holds no image ({_found(folder)}); add images, or remove the folder from every split")
    prefix = folder.relative_to(root).as_posix()
    for name, size in images:
        result.add(f"{prefix}/{name}", label, size)


def _tiny_imagenet_val(root: Path, folder: Path, classes: tuple[str, ...] | None) -> Scan:
    table = folder / "val_annotations.txt"  # image name, wnid, box; tab between
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    if any(len(row) < 2 for row in rows):
        raise InputError(f"{table}: expected lines of image name, wnid and box with tabs between them")
    wnid = {row[0]: row[1] for row in rows}
    keys = classes or tuple(sorted(set(wnid.values())))
    result = Scan(keys)
    _, images = list_folder(folder / "images", result.skipped)
    label = {key: number for number, key in enumerate(keys)}
    rows_found = []
    for name, size in images:
        if wnid.get(name) not in label:
            raise InputError(f"{folder / 'images' / name} has no class: {table} and the folders of {root / 'train'} do not name one")
        rows_found.append((label[wnid[name]], name, size))
    if len(rows_found) != len(wnid):
        raise InputError(f"{table} lists {len(wnid)} images but {folder / 'images'} holds {len(rows_found)}; unpack the archive again")
    for number, name, size in sorted(rows_found):
        result.add(f"{folder.name}/images/{name}", number, size)
    return result


def _found(folder: Path) -> str:
    """What a refused folder holds, in a few words."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in os.scandir(folder))
    if not names:
        return "nothing"
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def class_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Images of each class, int64 (classes,)."""
    return np.bincount(labels, minlength=classes)
