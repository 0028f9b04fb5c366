"""The index: an explicit list (path, label, id) of one split, the same for every back-end.

Two libraries never scan a folder differently, because neither scans: DALI, the reference pipeline
and the raw store all read this list. Classes are keyed by wnid or folder name, never by a title,
because titles are not unique ("crane" is two classes)."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from replication.base.errors import InputError
from replication.base.text import counted
from replication.data.files import cifar10 as packed
from replication.data.files import layouts, tree
from replication.data.files.decode import decode


@dataclass(frozen=True, eq=False)
class Index:
    """The images of one split. Row k of every field belongs to one image; N rows.

    In a full index ``ids`` is 0 to N-1: the order is by (class, name) for files and by (file,
    record) for packed forms. A subset keeps the ids of the full index, so that draws and stored
    rows belong to the same images in both."""

    name: str  # the catalog's name, or "folder-<name>" for a folder of one's own
    # what is on disk: "folder", "cifar-python", "cifar-binary", "cifar-jpeg", "synthetic"
    form: str
    note: str  # a remark that every result made with it carries, or ""
    split: str  # "train", "val" or "test"
    root: Path
    classes: tuple[str, ...]  # keys; label k is classes[k]
    paths: tuple[str, ...]  # relative to root
    records: np.ndarray | None  # int64 (N,): number inside the file, for packed forms
    labels: np.ndarray  # int64 (N,)
    ids: np.ndarray  # int64 (N,)
    skipped: dict[str, int]  # kind of entry -> how many were left out
    # 16 hex digits over classes, paths, labels, records and file sizes; not over the root
    fingerprint: str
    stamps: np.ndarray  # int64 (N,): change when the row's file does; of this machine alone
    passed: tuple[str, ...] = ()  # files with other suffixes, relative to root; the first of them

    @property
    def stamp(self) -> str:
        """16 hex digits that change when any of the files does."""
        return hashlib.sha256(self.stamps.astype("<i8").tobytes()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, i: int) -> Path:
        """Return the file of row ``i``."""
        return self.root / self.paths[i]

    def take(self, rows: Sequence[int] | np.ndarray) -> "Index":
        """Return the index of these rows, in this order. Ids, classes and labels stay."""
        rows = np.asarray(rows, np.int64)
        text = f"{self.fingerprint}/".encode() + self.ids[rows].astype("<i8").tobytes()
        return dataclasses.replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            records=None if self.records is None else _fixed(self.records[rows]),
            labels=_fixed(self.labels[rows]),
            ids=_fixed(self.ids[rows]),
            stamps=_fixed(self.stamps[rows]),
            fingerprint=hashlib.sha256(text).hexdigest()[:16],
        )

    def subset(
        self, count: int | None = None, classes: Sequence[str] | None = None, seed: int = 0
    ) -> "Index":
        """Return part of the index: only ``classes``, then ``count`` images, equally many of each.

        ``classes`` are keys; labels are renumbered in sorted order.

        Which images: each class's ids in an order that depends on (seed, id) only, the first
        ``count / K`` of them. So a larger subset of the same seed contains a smaller one. Rows
        stay in ascending order. InputError if K does not divide ``count`` or a class has too few
        images."""
        if classes is not None:
            return self._of_classes(classes).subset(count, seed=seed)
        if count is None or count == len(self):
            return self
        each, rest = divmod(count, len(self.classes))
        smallest = int(np.bincount(self.labels, minlength=len(self.classes)).min())
        if rest or not 1 <= each <= smallest:
            raise InputError(
                f"cannot take {counted(count, 'image')} of {self.name} {self.split}: use a"
                f" multiple of its {counted(len(self.classes), 'class')}, at most"
                f" {smallest * len(self.classes)}, or"
                f" data.count=null for all {len(self)}"
            )
        # by class, then in the seeded order
        order = np.lexsort((_mixed(self.ids, seed), self.labels))
        starts = np.searchsorted(self.labels[order], np.arange(len(self.classes)))
        return self.take(np.sort(order[(starts[:, None] + np.arange(each)).ravel()]))

    def _of_classes(self, classes: Sequence[str]) -> "Index":
        keys = tuple(sorted(set(classes)))
        missing = [key for key in keys if key not in self.classes]
        if missing or not keys:
            raise InputError(
                f"{self.name} has no class {', '.join(missing) or 'of an empty list'}; its classes"
                f" are {_few(self.classes)}"
            )
        number = np.full(len(self.classes), -1, np.int64)
        number[[self.classes.index(key) for key in keys]] = np.arange(len(keys))
        part = self.take(np.flatnonzero(number[self.labels] >= 0))
        text = "\0".join((part.fingerprint, *keys)).encode()
        return dataclasses.replace(
            part,
            classes=keys,
            labels=_fixed(number[part.labels]),
            fingerprint=hashlib.sha256(text).hexdigest()[:16],
        )


def index_folder(
    root: Path, split: str, name: str | None = None, form: str = "folder", note: str = ""
) -> Index:
    """Index a tree of image files; ``layouts.scan`` says which layouts are understood.

    Raises InputError if there is no such split or layout."""
    name = name or f"folder-{root.name}"
    root = tree.base(root)
    return build(name, form, note, split, root, layouts.scan(root, split))


def index_cifar(root: Path, split: str, form: str, name: str = "cifar10", note: str = "") -> Index:
    """Index CIFAR-10's original files; ``form`` is "cifar-python" or "cifar-binary".

    Ids follow the files and their records."""
    if split not in packed.PYTHON_FILES:
        raise InputError(f"CIFAR-10 has no split {split!r}: use train or test")
    found = layouts.Scan(packed.CLASSES)
    records = []
    for file in packed.files(form, split):
        _, labels = packed.load(root / file)
        size, stamp = tree.stamp(root / file)
        for label in labels.tolist():
            found.add(file, label, size, stamp)
        records.append(np.arange(len(labels)))
    return build(name, form, note, split, root, found, np.concatenate(records))


def build(
    name: str,
    form: str,
    note: str,
    split: str,
    root: Path,
    found: layouts.Scan,
    records: np.ndarray | None = None,
) -> Index:
    """Return the index of a scan; ``records`` int64 (N,) for packed forms."""
    labels = np.array(found.labels, np.int64)
    digest = hashlib.sha256()
    for names in (found.classes, found.paths):
        digest.update(len(names).to_bytes(8, "little") + b"\0".join(map(os.fsencode, names)))
    for numbers in (
        labels,
        np.array(found.sizes, np.int64),
        np.array([] if records is None else records, np.int64),
    ):
        digest.update(numbers.astype("<i8").tobytes())
    return Index(
        name=name,
        form=form,
        note=note,
        split=split,
        root=root,
        classes=found.classes,
        paths=tuple(found.paths),
        records=None if records is None else _fixed(np.asarray(records, np.int64)),
        labels=_fixed(labels),
        ids=_fixed(np.arange(len(labels), dtype=np.int64)),
        skipped={kind: count for kind, count in sorted(found.skipped.items()) if count},
        fingerprint=digest.hexdigest()[:16],
        stamps=_fixed(np.array(found.stamps, np.int64)),
        passed=tuple(found.passed),
    )


def read_image(index: Index, i: int) -> np.ndarray:
    """Return row ``i`` (not id), uint8 (H, W, 3) RGB, by the policy of ``decode``.

    Raises InputError that names a file which cannot be decoded."""
    path = index.path(i)
    if index.records is not None:
        return packed.read(path, int(index.records[i]))
    return decode(path, str(path))


def _fixed(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)  # the index is shared by every back-end
    return array


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _mixed(ids: np.ndarray, seed: int) -> np.ndarray:
    """Return a random-looking uint64 for each id, by splitmix64: the same for ever."""
    with np.errstate(over="ignore"):
        x = (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
            seed
        ) * np.uint64(0xD1B54A32D192ED03)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
