"""A folder tree as it is on the disk: its split folders, and the entries of each folder.

Nothing is opened here. Hidden and stray entries are counted by kind, files with other suffixes by
suffix."""

import errno
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from replication.base.errors import InputError
from replication.base.text import counted, printable
from replication.data.files.decode import SUFFIXES

IMAGE_SUFFIXES = frozenset().union(*SUFFIXES.values())
SHARDS = (".parquet", ".arrow", ".tar", ".tar.gz", ".tgz", ".zip", ".tfrecord")
STRAY = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})  # left behind by macOS and Windows
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
KAGGLE = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")  # of its ImageNet competition
NAMED = 1000  # files passed over that are kept by name, at most


@dataclass
class Folder:
    """The entries of one folder."""

    path: Path
    folders: list[str] = field(default_factory=list)  # sorted
    images: list[tuple[str, int, int]] = field(default_factory=list)  # name, bytes, stamp; sorted
    skipped: Counter[str] = field(default_factory=Counter)  # kind of entry -> how many
    passed: list[str] = field(default_factory=list)  # names of files with other suffixes

    @property
    def names(self) -> list[str]:
        """The names of the images."""
        return [name for name, _, _ in self.images]

    def shards(self) -> list[str]:
        """Return the names of files that hold many images each."""
        return sorted(name for name in self.passed if name.lower().endswith(SHARDS))


def list_folder(path: Path) -> Folder:
    """List a folder. Raises InputError for a link that leads nowhere, or to itself."""
    result = Folder(path)
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            suffix = os.path.splitext(name)[1].lower()
            if name in STRAY:
                result.skipped["stray"] += 1
            elif name.startswith("."):
                result.skipped["hidden"] += 1
            elif _is_folder(entry):
                result.folders.append(name)
            elif suffix in IMAGE_SUFFIXES:
                found = _of(entry)
                if stat.S_ISREG(found.st_mode):
                    result.images.append((name, *_size_and_stamp(found)))
                else:  # to open a pipe would wait for a writer
                    result.skipped["not a file (a pipe, a socket or a device)"] += 1
            else:
                result.skipped[f"not an image ({printable(suffix) or 'no suffix'})"] += 1
                result.passed.append(name)
    result.folders.sort()
    result.images.sort()
    result.passed.sort()
    return result


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False  # a link to itself


def _of(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        raise InputError(
            f"broken link: {printable(entry.path)}; restore its target, or remove it"
        ) from None


def stamp(path: Path) -> tuple[int, int]:
    """Return a file's size, and a number that changes with its size and its times of change."""
    return _size_and_stamp(path.stat())


def _size_and_stamp(of: os.stat_result) -> tuple[int, int]:
    # a tuple of integers has the same hash in every process
    return of.st_size, hash((of.st_size, of.st_mtime_ns, of.st_ctime_ns))


def walk(root: Path, each: Callable[[Folder], None]) -> None:
    """Call ``each`` on every folder under ``root``, linked ones too, each once."""
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        path = waiting.pop()
        here = os.stat(path)
        if (here.st_dev, here.st_ino) in seen:
            continue
        seen.add((here.st_dev, here.st_ino))
        found = list_folder(path)
        each(found)
        waiting += [path / name for name in reversed(found.folders)]


def base(root: Path) -> Path:
    """Return the folder of the splits: ``root``, or the one inside Kaggle's ImageNet tree."""
    if not root.is_dir():
        raise InputError(f"no such folder: {printable(str(root))}")
    if not any(_candidates(root, split) for split in SPLIT_FOLDERS):
        for inner in KAGGLE:
            if (root / inner).is_dir():
                return root / inner
    return root


def split_folder(root: Path, split: str) -> Path:
    """Return the folder of ``split``, in any spelling of SPLIT_FOLDERS.

    Raises InputError that names the folders accepted and what exists instead."""
    if split not in SPLIT_FOLDERS:
        raise InputError(f"unknown split {split!r}: use one of {', '.join(SPLIT_FOLDERS)}")
    if not root.is_dir():
        raise InputError(f"no such folder: {printable(str(root))}")
    found = _candidates(root, split)
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise InputError(
            f"{printable(str(root))} has several folders for {split}: {names}; keep one of them"
        )
    if found:
        return found[0]
    names = SPLIT_FOLDERS[split]
    if inner := _only_folder(root, split):
        raise InputError(
            f"{printable(str(root))} has no folder {' or '.join(names)}, but"
            f" {printable(str(inner))} has: name that one"
        )
    raise InputError(
        f"{printable(str(root))} has no folder {' or '.join(names)}: found {contents(root)};"
        f" the layout accepted is {names[0]}/<class>/<image>.JPEG{_shard_hint(root)}"
    )


def list_split(root: Path, split: str) -> Folder | None:
    """List the folder of ``split``; None if there is none, or more than one."""
    try:
        folder = split_folder(root, split)
    except InputError:
        return None
    return list_folder(folder)


def _candidates(root: Path, split: str) -> list[Path]:
    return sorted(
        path
        for path in root.iterdir()
        if path.name.casefold() in SPLIT_FOLDERS[split] and path.is_dir()
    )


def _only_folder(root: Path, split: str) -> Path | None:
    """Return the folder in ``root``, unpacked one level too deep, that has the split."""
    while len(folders := list_folder(root).folders) == 1:
        root /= folders[0]
        if _candidates(root, split):
            return root
        if root.is_symlink():
            break
    return None


def _shard_hint(root: Path) -> str:
    for folder in (root, root / "data"):
        if folder.is_dir() and (names := list_folder(folder).shards()):
            return "; " + unpack_hint(root, names)
    return ""


def unpack_hint(folder: Path, names: list[str]) -> str:
    """Return the command that turns shards, archives of many images, into class folders."""
    return (
        f"the images are in {counted(len(names), 'file')} ({names[0]}, ...): run"
        f" `replication data unpack {printable(str(folder))} FOLDER`, then name FOLDER"
    )


def check_distinct(folder: Path, names: Iterable[str]) -> None:
    """Raise InputError if people could not tell two of the class names apart."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(plain(name), name)
        if other != name:
            raise InputError(
                f"{printable(str(folder))}: the class folders {ascii(other)} and {ascii(name)}"
                " differ only in case, blanks or Unicode form; rename one, or merge them"
            )


def plain(name: str) -> str:
    """Return a name without differences that people overlook: Unicode form, case, blanks."""
    visible = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible).casefold().split())


def contents(folder: Path) -> str:
    """Return what a refused folder holds, in a few words."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in os.scandir(folder))
    if not names:
        return "nothing"
    shown = ", ".join(map(printable, names[:4]))
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")
