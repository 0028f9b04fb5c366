"""What lies in a folder of images: the directory layouts that are understood, and everything else
refused by name (section 2).

A scan only lists names and sizes; no image is opened. Hidden and stray entries are skipped and
counted by kind. Labels follow the sorted list of class keys (wnid or folder name) of the *training*
split, so that a test split can never shift them."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from replication.base.errors import InputError
from replication.data.files import devkit

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp"})
STRAY = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})  # left behind by macOS and Windows
SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


@dataclass
class Scan:
    """Names of one split's images, sorted by (class, name)."""

    classes: tuple[str, ...]
    # relative to the data set's root, with "/" between the parts
    paths: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # bytes
    skipped: Counter[str] = field(default_factory=Counter)  # kind of entry -> how many
    # folders and tables that were read -> time of change, ns
    stamps: dict[str, int] = field(default_factory=dict)

    def add(self, path: str, label: int, size: int) -> None:
        self.paths.append(path)
        self.labels.append(label)
        self.sizes.append(size)

    def list_folder(self, folder: Path) -> tuple[list[str], list[tuple[str, int]]]:
        """Sorted sub-folder names, and sorted (name, bytes) of image files; the rest is counted in
        ``skipped``.
        """
        self.stamps[str(folder)] = folder.stat().st_mtime_ns
        folders, images = [], []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name in STRAY:
                    self.skipped["stray"] += 1
                elif name.startswith("."):
                    self.skipped["hidden"] += 1
                elif entry.is_dir():
                    folders.append(name)
                elif os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
                    try:
                        images.append((name, entry.stat().st_size))
                    except FileNotFoundError:
                        raise InputError(
                            f"broken link: {entry.path}; restore what it points to, or remove it"
                        ) from None
                else:
                    self.skipped["not an image"] += 1
        return sorted(folders), sorted(images)

    def read_table(self, path: Path) -> list[str]:
        """The lines of a text file that are not empty."""
        self.stamps[str(path)] = path.stat().st_mtime_ns
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def scan(root: Path, split: str) -> Scan:
    """List the images of ``split`` under ``root``.

    Understood: ``<split>/<class>/<image>`` (ImageFolder, ILSVRC by wnid, the CIFAR-10 JPEG tree,
    Imagenette); Tiny ImageNet's own ``train/<wnid>/images/<image>`` with ``val/images/`` and
    ``val/val_annotations.txt``; ILSVRC's flat ``val/`` (and ``test/`` of 2010) with the development
    kit beside it. Raises InputError for anything else, saying what was found."""
    folder = split_folder(root, split)
    result = Scan(())
    if split != "train":
        result.classes = _training_classes(result, root)
    if (folder / "val_annotations.txt").is_file():
        _tiny_imagenet_val(result, root, folder)
        return result
    folders, images = result.list_folder(folder)
    if folders and images:
        raise InputError(
            f"unknown layout: {folder} holds {len(folders)} folders and {len(images)} images"
            f" ({images[0][0]}, ...) side by side; put every image into its class folder"
        )
    if folders:
        _class_folders(result, root, folder, folders)
    elif images and split != "train" and images[0][0].startswith("ILSVRC"):
        _ilsvrc_flat(result, root, folder, split, images)
    else:
        raise InputError(
            f"unknown layout: {folder} has no class folders; found {_found(folder)}; expected"
            f" {folder.name}/<class>/<image>.JPEG"
        )
    return result


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
        f"{root} has no folder {' or '.join(names)}: found {_found(root)}; the layout accepted is"
        f" {names[0]}/<class>/<image>.JPEG"
    )


def _training_classes(result: Scan, root: Path) -> tuple[str, ...]:
    """Keys of the training split; empty if there is none."""
    if not (root / "train").is_dir():
        return ()
    before = result.skipped.copy()
    folders, _ = result.list_folder(root / "train")
    result.skipped = before  # stray entries of another split are not this one's
    return tuple(folders)


def _class_folders(result: Scan, root: Path, folder: Path, folders: list[str]) -> None:
    if result.classes and tuple(folders) != result.classes:
        odd = sorted(set(folders) ^ set(result.classes))
        raise InputError(
            f"the classes of {folder} are not those of {root / 'train'}: {len(odd)} are in only one"
            f" of them ({', '.join(odd[:3])}, ...)"
        )
    result.classes = tuple(folders)
    for label, key in enumerate(folders):
        _add_class(result, root, folder / key, label)


def _add_class(result: Scan, root: Path, folder: Path, label: int) -> None:
    inner, images = result.list_folder(folder)
    if inner == ["images"] and not images:  # Tiny ImageNet: <wnid>/images/ beside <wnid>_boxes.txt
        folder = folder / "images"
        inner, images = result.list_folder(folder)
    result.skipped["folder"] += len(inner)
    if not images:
        raise InputError(
            f"empty class: {folder} holds no image ({_found(folder)}); add images, or remove the"
            " folder from every split"
        )
    prefix = folder.relative_to(root).as_posix()
    for name, size in images:
        result.add(f"{prefix}/{name}", label, size)


def _tiny_imagenet_val(result: Scan, root: Path, folder: Path) -> None:
    table = folder / "val_annotations.txt"  # image name, wnid, box; tab between
    rows = [line.split("\t") for line in result.read_table(table)]
    if any(len(row) < 2 for row in rows):
        raise InputError(
            f"{table}: expected lines of image name, wnid and box with tabs between them"
        )
    _, images = result.list_folder(folder / "images")
    _add_flat(result, root, folder / "images", images, {row[0]: row[1] for row in rows}, table)


def _ilsvrc_flat(
    result: Scan, root: Path, folder: Path, split: str, images: list[tuple[str, int]]
) -> None:
    found = devkit.truth(root, split)
    if found is None:
        raise InputError(
            f"{folder} holds {len(images)} images without class folders: put ILSVRC's development"
            f" kit beside it ({root / 'ILSVRC2012_devkit_t12'} or devkit-1.0), or sort the images"
            f" into {folder.name}/<wnid>/"
        )
    table, wnids = found
    result.read_table(table)
    names = {}
    for name, _ in images:
        number = re.fullmatch(r"ILSVRC\d+_\w+_0*(\d+)\.JPEG", name)
        if number and 1 <= int(number[1]) <= len(wnids):
            names[name] = wnids[int(number[1]) - 1]
    if len(images) != len(wnids):
        raise InputError(
            f"{table} lists {len(wnids)} images but {folder} holds {len(images)}; unpack the"
            " archive again"
        )
    _add_flat(result, root, folder, images, names, table)


def _add_flat(
    result: Scan,
    root: Path,
    folder: Path,
    images: list[tuple[str, int]],
    wnids: dict[str, str],
    table: Path,
) -> None:
    """Images of one folder with their wnids by name, each exactly once."""
    result.classes = result.classes or tuple(sorted(set(wnids.values())))
    label = {key: number for number, key in enumerate(result.classes)}
    rows = []
    for name, size in images:
        if wnids.get(name) not in label:
            raise InputError(
                f"{folder / name} has no class: {table} and the folders of {root / 'train'} do not"
                " name one"
            )
        rows.append((label[wnids[name]], name, size))
    if len(rows) != len(wnids):
        raise InputError(
            f"{table} lists {len(wnids)} images but {folder} holds {len(rows)}; unpack the archive"
            " again"
        )
    prefix = folder.relative_to(root).as_posix()
    for number, name, size in sorted(rows):
        result.add(f"{prefix}/{name}", number, size)


def _found(folder: Path) -> str:
    """What a refused folder holds, in a few words."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in os.scandir(folder))
    if not names:
        return "nothing"
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def class_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Images of each class, int64 (classes,)."""
    return np.bincount(labels, minlength=classes)
