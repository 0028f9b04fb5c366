"""Every image of a data set decoded once, before training meets it: what is broken, what is odd,
what occurs twice (section 2).

The decoder is the one that training uses, and what is done with each kind of file is the one table
``decode.POLICY``."""

import dataclasses
import hashlib
import os
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
from replication.data.files import layouts
from replication.data.files.decode import POLICY, Unreadable, picture
from replication.data.files.index import Index, build
from replication.data.prepared.store import each
from replication.data.sources import catalog

CROP = 224  # pixels, section 4.1
LISTED = 1000  # files of one kind in a report, at most
BITS = {rule.kind: 1 << number for number, rule in enumerate(POLICY)}
QUARANTINE = sum(BITS[rule.kind] for rule in POLICY if rule.treatment == "quarantine")


@dataclass(frozen=True, eq=False)
class Findings:
    """What decoding the N images of one index told."""

    index: Index
    kinds: np.ndarray  # int64 (N,): a bit of BITS for each kind that the file is
    sizes: np.ndarray  # int64 (N, 2): height and width, upright; 0 where it cannot be decoded
    hashes: np.ndarray  # uint64 (N,) of the decoded pixels and their shape
    messages: dict[int, str]  # row -> why it cannot be decoded

    @property
    def unreadable(self) -> np.ndarray:
        """bool (N,): to be left out."""
        return (self.kinds & QUARANTINE) != 0

    def rows(self, kind: str) -> np.ndarray:
        """The rows that are of ``kind``."""
        return np.flatnonzero(self.kinds & BITS[kind])


@dataclass(frozen=True, eq=False)
class Report:
    """The findings of a data set's splits, with what they have in common."""

    splits: tuple[Findings, ...]
    crop: int

    @property
    def healthy(self) -> bool:
        """Whether every file can be decoded."""
        return not any(found.unreadable.any() for found in self.splits)

    @cached_property
    def repeated(self) -> dict[str, list[tuple[str, str, bool]]]:
        """For "duplicate" and "leak": a file, the earlier one (of its own or of another split) with
        the same pixels, and whether the two have the same class."""
        pairs: dict[str, list[tuple[str, str, bool]]] = {"duplicate": [], "leak": []}
        first: dict[int, tuple[int, int]] = {}  # hash -> where it was met first: split, row
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
        """The report as plain values; of each kind the first files by name."""
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
    """Decode every image of a data set: a name of the catalog, or the path of a folder of images in
    any layout.
    """
    return Report(tuple(examine(index, crop) for index in open_indexes(name, split)), crop)


def examine(index: Index, crop: int = CROP) -> Findings:
    """Decode every image of ``index`` in parallel."""
    n = len(index)
    kinds, sizes, hashes, messages = (
        np.zeros(n, np.int64),
        np.zeros((n, 2), np.int64),
        np.zeros(n, np.uint64),
        {},
    )

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
    return Findings(index, kinds, sizes, hashes, messages)


def quarantined(found: Findings) -> Index:
    """The index without the images that cannot be decoded, which are counted in ``skipped``; the
    others keep their ids.
    """
    return _without(found.index, found.kinds & QUARANTINE)


def readable(index: Index) -> Index:
    """The index without the images that cannot be decoded. Every file is decoded once; the outcome
    is kept for the next time.
    """
    path = paths.runs() / "verify" / f"{index.name}-{index.split}-{index.fingerprint}.npz"
    kinds = _kept(path, len(index))
    if kinds is None:
        kinds = examine(index).kinds & QUARANTINE
        write_atomic(path, lambda file: np.savez(file, policy=np.array(list(BITS)), kinds=kinds))
    return _without(index, kinds)


def open_indexes(name: str, split: str | None = None) -> list[Index]:
    """The indexes of a data set's splits, or of one; of a folder that has no splits, all images
    under it as one.
    """
    root = Path(name.removeprefix(catalog.FOLDER)).expanduser().resolve()
    if name in catalog.names() or not (name.startswith(catalog.FOLDER) or root.is_dir()):
        return [
            catalog.open_index(name, one)
            for one in ([split] if split else catalog.find(name).splits)
        ]
    known = [
        one
        for one, folders in layouts.SPLIT_FOLDERS.items()
        if any((root / folder).is_dir() for folder in folders)
    ]
    if split or known:
        return [
            catalog.open_index(f"{catalog.FOLDER}{root}", one)
            for one in ([split] if split else known)
        ]
    return [_loose(root)]


def _open(index: Index, row: int) -> tuple[Image.Image, tuple[str, ...]]:
    path = index.path(row)
    if index.records is not None:
        return Image.fromarray(packed.read(path, int(index.records[row]))), ()
    return picture(path, str(path))


def _without(index: Index, kinds: np.ndarray) -> Index:
    """``kinds``: bits of QUARANTINE, int64 (N,)."""
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
    """All images under a folder without splits; their class is the folder that they lie in."""
    found = layouts.Scan(())
    images = []
    for folder, inner, _ in os.walk(root):
        inner[:], here = found.list_folder(Path(folder))
        images += [(Path(folder).relative_to(root).as_posix(), name, size) for name, size in here]
    if not images:
        raise InputError(
            f"no images in {root}: name a folder of images or a data set of `replication data list`"
        )
    found.classes = tuple(sorted({folder for folder, _, _ in images}))
    number = {key: label for label, key in enumerate(found.classes)}
    for folder, name, size in sorted(images):
        found.add(name if folder == "." else f"{folder}/{name}", number[folder], size)
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
    """Smallest, median and largest of the sides, pixels, and how many sizes there are."""
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
