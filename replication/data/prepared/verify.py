"""Verification: every image decoded once, to list what is broken, odd or repeated.

The decoder is the one that training uses (section 2). ``decode.POLICY`` says what is done with each
kind of file."""

import dataclasses
import hashlib
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import write_atomic
from replication.data.files import cifar10 as packed
from replication.data.files import jpeg, layouts, tree, unchanged
from replication.data.files.decode import POLICY, Unreadable, picture, read
from replication.data.files.index import Index, build
from replication.data.files.parallel import each
from replication.data.sources import catalog

CROP = 224  # pixels, section 4.1
LISTED = 1000  # files of one kind in a report, at most
BITS = {rule.kind: 1 << number for number, rule in enumerate(POLICY)}
QUARANTINE = sum(BITS[rule.kind] for rule in POLICY if rule.treatment == "quarantine")

PASSING = BITS["unreachable"]


@dataclass(frozen=True, eq=False)
class Findings:
    """The outcome of decoding the N images of one index."""

    index: Index
    kinds: np.ndarray  # int64 (N,): a bit of BITS for each kind that the file is
    sizes: np.ndarray  # int64 (N, 2): height and width, upright; 0 where it cannot be decoded
    hashes: np.ndarray  # uint64 (N,) of the decoded pixels and their shape
    messages: dict[int, str]  # row -> why it cannot be decoded
    passed: dict[str, bool]  # files with other suffixes -> whether they are images

    @property
    def unreadable(self) -> np.ndarray:
        """Return which rows are to be left out, bool (N,)."""
        return (self.kinds & QUARANTINE) != 0

    def rows(self, kind: str) -> np.ndarray:
        """Return the rows that are of ``kind``."""
        return np.flatnonzero(self.kinds & BITS[kind])


@dataclass(frozen=True, eq=False)
class Report:
    """The findings of a data set's splits, with what they have in common."""

    splits: tuple[Findings, ...]
    crop: int

    @property
    def healthy(self) -> bool:
        """Return whether every file can be decoded."""
        return not any(found.unreadable.any() for found in self.splits)

    @cached_property
    def repeated(self) -> dict[str, list[tuple[str, str, bool]]]:
        """Return pairs of files with the same pixels, and whether the two have the same class.

        A "duplicate" is in one split, a "leak" in two; the earlier file comes second."""
        pairs: dict[str, list[tuple[str, str, bool]]] = {"duplicate": [], "leak": []}
        first: dict[int, tuple[int, int]] = {}  # hash -> its first split and row
        hashes = np.concatenate([found.hashes[~found.unreadable] for found in self.splits])
        values, counts = np.unique(hashes, return_counts=True)
        several = values[counts > 1]
        for number, found in enumerate(self.splits):
            for row in np.flatnonzero(np.isin(found.hashes, several) & ~found.unreadable).tolist():
                before = first.setdefault(int(found.hashes[row]), (number, row))
                if before != (number, row):
                    kind = "duplicate" if before[0] == number else "leak"
                    here, there = found.index, self.splits[before[0]].index
                    agree = here.classes[here.labels[row]] == there.classes[there.labels[before[1]]]
                    pairs[kind].append((_entry(here, row), _entry(there, before[1]), agree))
        return pairs

    def dump(self) -> dict[str, Any]:
        """Return the report as plain values, with the first files of each kind by name."""
        return {
            "name": self.splits[0].index.name,
            "root": str(self.splits[0].index.root),
            "crop": self.crop,
            "healthy": self.healthy,
            "splits": [_facts(found) for found in self.splits],
            "repeated": {
                kind: {
                    "count": len(pairs),
                    "other_class": sum(not agree for _, _, agree in pairs),
                    "files": [(one, other) for one, other, _ in pairs[:LISTED]],
                }
                for kind, pairs in self.repeated.items()
            },
            "policy": [rule._asdict() for rule in POLICY],
        }


def verify(name: str, split: str | None = None, crop: int = CROP) -> Report:
    """Decode every image of a data set, named by the catalog or by the path of a folder."""
    return Report(tuple(examine(index, crop) for index in open_indexes(name, split)), crop)


def examine(index: Index, crop: int = CROP) -> Findings:
    """Decode every image of ``index`` in parallel."""
    n = len(index)
    kinds, sizes = np.zeros(n, np.int64), np.zeros((n, 2), np.int64)
    hashes, messages = np.zeros(n, np.uint64), {}

    def look(row: int) -> tuple[int, tuple[int, int], bytes, str]:
        try:
            image, found = _open(index, row)
        except Unreadable as error:
            return BITS[error.kind], (0, 0), bytes(8), str(error)
        bits = sum(BITS[kind] for kind in found) | (BITS["small"] if min(image.size) < crop else 0)
        digest = hashlib.blake2b(image.tobytes(), digest_size=8, salt=b"%x %x" % image.size)
        return bits, (image.height, image.width), digest.digest(), ""

    for row, (bits, size, digest, message) in enumerate(
        each(look, range(n), f"{index.name} {index.split}")
    ):
        kinds[row], sizes[row], hashes[row] = bits, size, int.from_bytes(digest, "little")
        if message:
            messages[row] = message
    passed = {path: _is_image(index.root / path) for path in index.passed}
    return Findings(index, kinds, sizes, hashes, messages, passed)


def readable(index: Index) -> Index:
    """Return the index without the images that cannot be decoded, which ``skipped`` counts.

    The others keep their ids. Every file is decoded once, and the outcome is kept until a file
    changes. A fault of the machine is no property of the data: the outcome is then not kept."""
    return _without(index, _unreadable(index))


def check_readable(index: Index) -> None:
    """Raise InputError that names images which cannot be decoded, after one look at each."""
    rows = np.flatnonzero(_unreadable(index))
    if not len(rows):
        return
    try:
        _open(index, int(rows[0]))
        first = f"cannot decode {index.path(int(rows[0]))}"
    except Unreadable as error:
        first = str(error)
    more = f"; {len(rows) - 1} more: run `replication data verify`" if len(rows) > 1 else ""
    raise InputError(first + more)


def _unreadable(index: Index) -> np.ndarray:
    """Return bits of QUARANTINE, int64 (N,), of an earlier look if nothing has changed."""
    path = paths.runs() / "verify" / f"{index.name}-{index.split}-{index.fingerprint}.npz"
    kinds = _kept(path, len(index))
    if kinds is not None and unchanged.is_current(path, index):
        return kinds
    work = each(lambda row: _fault(index, row), range(len(index)), f"{index.name} {index.split}")
    kinds = np.fromiter(work, np.int64, len(index))
    if not (kinds & PASSING).any():
        policy = np.array(list(BITS))
        write_atomic(path, lambda file: np.savez(file, policy=policy, kinds=kinds))
        unchanged.record(path, index)
    return kinds


def _fault(index: Index, row: int) -> int:
    """Return the bit of QUARANTINE that row ``row`` has, 0 if it can be decoded."""
    path = index.path(row)
    try:
        if index.records is None:
            content = read(path, str(path))
            header = jpeg.frame(content)
            if header is None or not header.plain or not jpeg.is_sound(content, header.components):
                picture(content, str(path))
    except Unreadable as error:
        return BITS[error.kind]
    return 0


def open_indexes(name: str, split: str | None = None) -> list[Index]:
    """Return the indexes of a data set's splits, or of one of them.

    All images of a folder without splits are one index."""
    root = catalog.folder_of(name)
    if root is None and name not in catalog.names() and paths.named(name).is_dir():
        root = paths.absolute(name)
    if root is None:
        return [
            catalog.open_index(name, one)
            for one in ([split] if split else catalog.find(name).splits)
        ]
    known = layouts.splits(root) if root.is_dir() else ()
    if known and "train" not in known and _is_packed(root):
        known = ("train", *known)  # which says how to unpack it
    if split or known:
        return [
            catalog.open_index(f"{catalog.FOLDER}{root}", one)
            for one in ([split] if split else known)
        ]
    return [_loose(root)]


def _is_packed(root: Path) -> bool:
    """Return whether the training images are still in archives."""
    try:
        return bool(tree.list_folder(tree.split_folder(tree.base(root), "train")).shards())
    except InputError:
        return False


def _open(index: Index, row: int) -> tuple[Image.Image, tuple[str, ...]]:
    path = index.path(row)
    if index.records is not None:
        return Image.fromarray(packed.read(path, int(index.records[row]))), ()
    return picture(path, str(path))


def _is_image(path: Path) -> bool:
    try:
        picture(path, path.name)
    except Unreadable:
        return False
    return True


def _without(index: Index, kinds: np.ndarray) -> Index:
    """Return the index without the rows that have bits of QUARANTINE in ``kinds``."""
    if not kinds.any():
        return index
    if kinds.all():
        raise InputError(
            f"no image of {index.name} {index.split} in {index.root} can be decoded; get the data"
            " set again"
        )
    counts = {kind: int(np.count_nonzero(kinds & bit)) for kind, bit in BITS.items()}
    skipped = index.skipped | {
        kind: index.skipped.get(kind, 0) + count for kind, count in counts.items() if count
    }
    return dataclasses.replace(index.take(np.flatnonzero(kinds == 0)), skipped=skipped)


def _loose(root: Path) -> Index:
    """Return all images under a folder without splits; their class is their folder."""
    found = layouts.Scan(())
    images = []

    def add(folder: tree.Folder) -> None:
        found.count(root, folder)
        key = folder.path.relative_to(root).as_posix()
        images.extend((key, *image) for image in folder.images)

    tree.walk(root, add)
    if not images:
        raise InputError(
            f"no images in {root}: name a folder of images or a data set of `replication data list`"
        )
    found.classes = tuple(sorted({folder for folder, *_ in images}))
    number = {key: label for label, key in enumerate(found.classes)}
    for folder, name, size, stamp in sorted(images):
        path = name if folder == "." else f"{folder}/{name}"
        found.add(path, number[folder], size, stamp)
    return build(f"folder-{root.name}", "folder", "", "all", root, found)


def _kept(path: Path, n: int) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            if kept["policy"].tolist() != list(BITS) or kept["kinds"].shape != (n,):
                return None
            return kept["kinds"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # damaged: look again


def _facts(found: Findings) -> dict[str, Any]:
    index = found.index
    counts = np.bincount(index.labels, minlength=len(index.classes))
    files = {
        kind: [_entry(index, row) for row in found.rows(kind)[:LISTED].tolist()] for kind in BITS
    }
    return {
        "split": index.split,
        "form": index.form,
        "note": index.note,
        "images": len(index),
        "readable": int((~found.unreadable).sum()),
        "classes": len(index.classes),
        "images_per_class": [int(counts.min()), int(counts.max())],
        "skipped": index.skipped,
        "images_passed_over": [path for path, image in found.passed.items() if image],
        "fingerprint": index.fingerprint,
        "sizes": _sizes(found.sizes[~found.unreadable]),
        "kinds": {
            kind: {"count": len(found.rows(kind)), "files": names}
            for kind, names in files.items()
            if names
        },
        "messages": [found.messages[row] for row in sorted(found.messages)[:LISTED]],
    }


def _sizes(sizes: np.ndarray) -> dict[str, Any]:
    """Return the smallest, median and largest sides, pixels, and how many sizes there are."""
    if not len(sizes):
        return {}
    sides = {"height": sizes[:, 0], "width": sizes[:, 1], "shorter": sizes.min(axis=1)}
    return {"different": len(np.unique(sizes, axis=0))} | {
        side: [int(values.min()), float(np.median(values)), int(values.max())]
        for side, values in sides.items()
    }


def _entry(index: Index, row: int) -> str:
    return (
        index.paths[row] if index.records is None else f"{index.paths[row]}[{index.records[row]}]"
    )
