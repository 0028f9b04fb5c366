"""The directory layouts that are understood; every other one is refused by name.

A scan only lists names and sizes; no image is opened. Labels follow the sorted list of class keys
(wnid or folder name) of the *training* split, so that a test split can never shift them."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from replication.base.errors import InputError
from replication.base.text import counted, printable
from replication.data.files import flat
from replication.data.files.tree import (
    NAMED,
    SPLIT_FOLDERS,
    Folder,
    base,
    check_distinct,
    contents,
    list_folder,
    list_split,
    plain,
    split_folder,
    unpack_hint,
)

LISTERS = 16  # folders listed at once: a network disk answers several faster than one by one


@dataclass
class Scan:
    """Names of one split's images, sorted by (class, name)."""

    classes: tuple[str, ...]
    # relative to the data set's root, with "/" between the parts
    paths: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # bytes
    stamps: list[int] = field(default_factory=list)  # change with a file's size and times
    skipped: Counter[str] = field(default_factory=Counter)  # kind of entry -> how many
    passed: list[str] = field(default_factory=list)  # paths of files with other suffixes

    def add(self, path: str, label: int, size: int, stamp: int = 0) -> None:
        """Append one image."""
        self.paths.append(path)
        self.labels.append(label)
        self.sizes.append(size)
        self.stamps.append(stamp)

    def count(self, root: Path, folder: Folder) -> None:
        """Add what was passed over in ``folder``."""
        self.skipped.update(folder.skipped)
        room = NAMED - len(self.passed)
        prefix = folder.path.relative_to(root)
        self.passed += [(prefix / name).as_posix() for name in folder.passed[:room]]


def scan(root: Path, split: str) -> Scan:
    """List the images of ``split`` under ``root``.

    Understood: ``<split>/<class>/<image>`` (ImageFolder, ILSVRC by wnid, the CIFAR-10 JPEG tree,
    Imagenette); Tiny ImageNet's ``train/<wnid>/images/<image>`` with ``val/images/`` and its table,
    or with a val that was sorted into class folders; flat folders whose classes a table or the
    names give (``flat``). Raises InputError for anything else, saying what was found."""
    folder = split_folder(root, split)
    result = Scan(())
    if split != "train":
        result.classes = _training_classes(root)
    found = list_folder(folder)
    if (folder / flat.TINY).is_file() and (loose := _tiny_images(found)):
        result.count(root, loose)
        result.skipped["folder"] += len(found.folders) - (loose is not found)
        _add_flat(result, root, loose, flat.tiny_table(folder), folder / flat.TINY)
        return result
    found = _without_images_folder(found)
    result.count(root, found)
    if found.folders and found.images:
        raise InputError(
            f"unknown layout: {printable(str(folder))} holds"
            f" {counted(len(found.folders), 'folder')} and {counted(len(found.images), 'image')}"
            f" ({printable(found.images[0][0])}, ...) side by side; put every"
            " image into its class folder"
        )
    if found.folders:
        _class_folders(result, root, found)
    elif found.images:
        _flat(result, root, found, split)
    else:
        raise InputError(
            f"unknown layout: {printable(str(folder))} has no class folders; found"
            f" {contents(folder)}; expected {folder.name}/<class>/<image>.JPEG"
            + ("; " + unpack_hint(root, shards) if (shards := found.shards()) else "")
        )
    return result


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits under ``root`` that have folders with labelled images."""
    root = base(root)
    return tuple(split for split in SPLIT_FOLDERS if _is_labelled(root, split))


def _is_labelled(root: Path, split: str) -> bool:
    try:
        if (listed := list_split(root, split)) is None:
            return False
        found = _without_images_folder(listed)
        if (listed.path / flat.TINY).is_file() or found.folders not in ([], ["images"]):
            return True
        if found.folders:  # "images" may be a class, unless the training images have others
            return _training_classes(root) in ((), ("images",))
        return bool(found.images) and flat.table(root, found.path, split, found.names) is not None
    except InputError:
        return True  # there is something, and the scan says what is wrong


def _training_classes(root: Path) -> tuple[str, ...]:
    """Return the keys of the training split; () without one."""
    if (listed := list_split(root, "train")) is None:
        return ()
    found = _without_images_folder(listed)
    if found.folders:
        return tuple(found.folders)
    by_name = flat.wnids_in_names(found.names)
    return tuple(sorted(set((by_name or {}).values())))


def _without_images_folder(found: Folder) -> Folder:
    """Return ``images/`` instead of ``found`` if it is all there is and names the classes."""
    if found.folders == ["images"] and not found.images:
        inner = list_folder(found.path / "images")
        if flat.wnids_in_names(inner.names) is not None:
            return inner
    return found


def _class_folders(result: Scan, root: Path, found: Folder) -> None:
    folders = found.folders
    check_distinct(found.path, folders)
    if result.classes and tuple(folders) != result.classes:
        raise InputError(_other_classes(root, found.path, folders, result.classes))
    result.classes = tuple(folders)
    with ThreadPoolExecutor(LISTERS) as pool:
        for label, (outer, inner) in enumerate(
            pool.map(_list_class, (found.path / key for key in folders))
        ):
            _add_class(result, root, outer, inner, label)


def _list_class(path: Path) -> tuple[Folder, Folder]:
    """List a class folder, and where its images are: in it, or in Tiny ImageNet's ``images/``."""
    outer = list_folder(path)
    if outer.folders == ["images"] and not outer.images:
        return outer, list_folder(path / "images")
    return outer, outer


def _add_class(result: Scan, root: Path, outer: Folder, inner: Folder, label: int) -> None:
    result.count(root, outer)
    if inner is not outer:
        result.count(root, inner)
    result.skipped["folder"] += len(inner.folders)
    if not inner.images:
        raise InputError(
            f"empty class: {printable(str(inner.path))} holds no image ({contents(inner.path)});"
            " add images, or remove the folder from every split"
            + ("; " + unpack_hint(root, shards) if (shards := inner.shards()) else "")
        )
    ends = flat.wnids_in_names([inner.images[0][0], inner.images[-1][0]])  # names are sorted
    if ends and len(set(ends.values())) > 1:
        raise InputError(
            f"{printable(str(inner.path))} holds images of several classes by their names"
            f" ({', '.join(sorted(set(ends.values())))}): if it is no class folder, move the"
            f" images of all such folders into {printable(str(outer.path.parent))} itself; if it is"
            " one, rename the images, without these WordNet ids"
        )
    prefix = inner.path.relative_to(root).as_posix()
    for name, size, stamp in inner.images:
        result.add(f"{prefix}/{name}", label, size, stamp)


def _other_classes(root: Path, folder: Path, folders: Iterable[str], classes: Iterable[str]) -> str:
    odd = sorted(set(folders) ^ set(classes))
    shown = ", ".join(map(printable, odd[:3]))
    line = (
        f"the classes of {printable(str(folder))} are not those of training in"
        f" {printable(str(root))}: {len(odd)} are in only one of them ({shown}, ...)"
    )
    forms = {plain(name) for name in set(folders) - set(classes)}
    if forms and forms == {plain(name) for name in set(classes) - set(folders)}:
        line += "; the names differ only in case, blanks or Unicode form: rename the folders"
    return line


def _tiny_images(found: Folder) -> Folder | None:
    """Return the folder of Tiny ImageNet's flat validation images, None if they were sorted."""
    if "images" in found.folders:
        inner = list_folder(found.path / "images")
        if inner.images:
            return inner
        found.folders.remove("images")  # left empty by the sorting
    if found.images and not found.folders:
        return found
    if not found.folders:
        return list_folder(found.path)  # nothing: the table says how many are missing
    return None


def _flat(result: Scan, root: Path, found: Folder, split: str) -> None:
    names = found.names
    labelled = flat.table(root, found.path, split, names)
    if labelled is None:
        ilsvrc = split != "train" and names[0].startswith("ILSVRC")
        advice = (
            f"put ILSVRC's development kit beside it ({root / 'ILSVRC2012_devkit_t12'} or"
            f" devkit-1.0), or Kaggle's {flat.SOLUTION}"
            if ilsvrc
            else f"expected {found.path.name}/<class>/<image>.JPEG"
        )
        raise InputError(
            f"unknown layout: {printable(str(found.path))} has no class folders; found"
            f" {contents(found.path)}, and neither the names nor a table say their classes:"
            f" {advice}"
        )
    _add_flat(result, root, found, labelled[1], labelled[0])


def _add_flat(
    result: Scan, root: Path, found: Folder, wnids: dict[str, str], table: Path | None
) -> None:
    """Add the images of one folder with their wnids by name, each exactly once."""
    result.classes = result.classes or tuple(sorted(set(wnids.values())))
    label = {key: number for number, key in enumerate(result.classes)}
    source = table or "its name"
    rows = []
    for name, size, stamp in found.images:
        if wnids.get(name) not in label:
            raise InputError(
                f"{printable(str(found.path / name))} has no class: {source} and the training"
                f" images in {printable(str(root))} do not name one"
            )
        rows.append((label[wnids[name]], name, size, stamp))
    if len(rows) != len(wnids):
        raise InputError(
            f"{source} lists {counted(len(wnids), 'image')} but {printable(str(found.path))} holds"
            f" {len(rows)}; unpack the archive again"
        )
    prefix = found.path.relative_to(root).as_posix()
    for number, name, size, stamp in sorted(rows):
        result.add(f"{prefix}/{name}", number, size, stamp)
