"""Data sets by name: where each is looked for, in which forms, and how to get it.

The data folder (``REPLICATION_DATA``) is only read, except by ``get``. What has to be built, the
synthetic set and an unpacked copy of an archive that the user put into the data folder, goes to
``runs/data/``."""

import os
import tomllib
from functools import cache
from pathlib import Path

from replication.base import paths
from replication.base.errors import InputError, unknown
from replication.base.models import Frozen
from replication.data.files import cifar10 as packed
from replication.data.files import layouts
from replication.data.files.index import Index, index_cifar, index_folder
from replication.data.sources import download, ilsvrc, parts, subset, synthetic
from replication.data.sources.disk import locked, writing

FOLDER = "folder:"  # "folder:/path" names an ImageFolder tree of one's own
PACKED = ("cifar-python", "cifar-binary")


class Form(Frozen):
    """One way in which a data set may be stored in the data folder."""

    form: str
    folder: str
    note: str = ""


class Archive(Frozen):
    """One file of the official source, with its published hash ("md5:...") and its top folder."""

    file: str
    url: str
    hash: str
    folder: str


class Part(Frozen):
    """One file that the user fetches with an account."""

    part: str  # as in ``ilsvrc.prepare``
    file: str
    hash: str = ""  # "" if none is published
    images: int | None = None


class Dataset(Frozen):
    """One entry of ``catalog.toml``."""

    name: str
    title: str
    splits: tuple[str, ...]
    how: str = ""
    forms: tuple[Form, ...] = ()
    archives: tuple[Archive, ...] = ()
    parts: tuple[Part, ...] = ()
    subset_of: str = ""  # the data set from whose files it is built

    def accepted(self) -> str:
        """Return the names that are looked for, as a phrase."""
        names = [form.folder for form in self.forms] + [archive.file for archive in self.archives]
        if self.parts:
            names.append("all of " + " + ".join(part.file for part in self.parts))
        return ", ".join(names)

    def way(self) -> str:
        """Return how to get it, as a phrase."""
        if self.archives or self.subset_of:
            return f"run `replication data get {self.name}`"
        return self.how


def folder_of(name: str) -> Path | None:
    """Return the folder of ``folder:/path`` or of a bare path, None for a name of the catalog."""
    if name.startswith(FOLDER) or "/" in name or name.startswith(("~", ".")):
        return paths.absolute(name.removeprefix(FOLDER))
    return None


def splits(name: str) -> tuple[str, ...]:
    """Return the labelled splits of a data set; of a tree of one's own, those on the disk."""
    root = folder_of(name)
    if root is None:
        return find(name).splits
    return layouts.splits(root) if root.is_dir() else ()


def open_index(name: str, split: str) -> Index:
    """Return the index of ``split`` of a data set of the catalog, or of ``folder:/path``.

    Raises InputError that says which folders and files would be accepted if it is not there."""
    if (root := folder_of(name)) is not None:
        return index_folder(root, split)
    dataset = find(name)
    if split not in dataset.splits:
        raise InputError(f"{name} has no split {split!r}: use {' or '.join(dataset.splits)}")
    if name == "synthetic":
        return index_folder(synthetic.ensure(_built()), split, name, "synthetic", "synthetic")
    found = _locate(dataset) or _unpack_local(dataset)
    if found is None:
        raise InputError(
            f"{name} is not in {paths.data()}: {dataset.way()}; accepted there:"
            f" {dataset.accepted()} (REPLICATION_DATA names the folder)"
        )
    form, root = found
    if form.form in PACKED:
        return index_cifar(root, split, form.form, name, form.note)
    return index_folder(root, split, name, form.form, form.note)


def available(name: str) -> bool:
    """Return whether the images of a data set are here: on the disk, or embedded in the package."""
    if (root := folder_of(name)) is not None:
        return root.is_dir()
    dataset = find(name)
    return name == "synthetic" or bool(_locate(dataset) or _archive(dataset))


def listing() -> list[dict]:
    """Return one row per data set: what is there, where, and how to get it.

    "form" and "where" are None if it is not there; "origin" is "original" for files with the
    author's hashes, "copy" for others used instead; "present" are the splits on the disk."""
    rows = []
    for dataset in _catalog().values():
        form, where, note, origin, present = None, None, "", "", ()
        if dataset.name == "synthetic":
            note = "synthetic"
            if synthetic.is_made(_built()):
                form, where = "synthetic", str(synthetic.place(_built()))
                present = dataset.splits
        elif found := _locate(dataset):
            form, where, note = found[0].form, str(found[1]), found[0].note
            origin, present = _origin(*found), _present(*found, dataset)
        elif archive := _archive(dataset):
            form, where = "archive", str(archive[1])
        rows.append(
            {
                "name": dataset.name,
                "title": dataset.title,
                "splits": list(dataset.splits),
                "form": form,
                "where": where,
                "present": list(present),
                "origin": origin,
                "note": note,
                "how": dataset.way(),
                "accepts": dataset.accepted(),
            }
        )
    return rows


def _origin(form: Form, root: Path) -> str:
    if form.form in PACKED:
        return "original" if packed.is_original(root, form.form) else "not the author's files"
    return "copy" if form.form == "cifar-jpeg" else ""


def _present(form: Form, root: Path, dataset: Dataset) -> tuple[str, ...]:
    if form.form in PACKED:
        return tuple(split for split in dataset.splits if packed.is_present(root, form.form, split))
    return layouts.splits(root)


def get(name: str, file: str | None = None, source: Path | None = None) -> Path:
    """Bring a data set into the data folder, checked and unpacked, and return its folder.

    It is downloaded from its official source, or taken from the folder ``source``; ``file`` chooses
    among the source's archives, the first by default. Nothing is fetched if the folder is there. A
    second process waits for the first. ILSVRC's files are never downloaded, but looked for in
    ``source`` and the data folder; an interrupted call resumes. Raises InputError that names the
    folder and file that would be accepted instead, or what is missing."""
    dataset = find(name)
    if file is not None and not dataset.archives:
        raise InputError(f"{name} has no files to choose from: leave --file out")
    if name == "synthetic":
        return synthetic.ensure(_built())
    if dataset.parts:
        return _prepare_parts(dataset, source)
    if dataset.subset_of:
        return _build_subset(dataset, source)
    if not dataset.archives:
        raise InputError(
            f"{name} cannot be downloaded: {dataset.how}, in {paths.data()} as {dataset.accepted()}"
        )
    archive = _chosen(dataset, file)
    if found := _unpacked(archive):
        return _whole(dataset, found)
    path = (paths.data() if source is None else paths.absolute(source)) / archive.file
    if source is not None and not path.is_file():  # before the data folder is created
        raise InputError(
            f"{path} does not exist: name the folder that holds {archive.file}, or leave --from"
            " out to download it"
        )
    place = paths.data() / archive.folder
    with writing(place, name), locked(place):
        if found := _unpacked(archive):  # by another process, meanwhile
            return _whole(dataset, found)
        if source is None:
            instead = f"put one of these into {paths.data()} instead: {dataset.accepted()}"
            if other := _locate(dataset):
                instead = f"{other[1]} is used until {archive.folder} is in {paths.data()}"
            download.download(archive.url, archive.hash, path, instead)
        else:
            download.check_hash(path, archive.hash)
        return download.unpack(path, archive.folder, paths.data())


def _unpacked(archive: Archive) -> Path | None:
    places = (root / archive.folder for root in (paths.data(), _built()))
    return next((place for place in places if place.is_dir()), None)


def _whole(dataset: Dataset, root: Path) -> Path:
    """Return the folder of a data set. Raises InputError if splits are missing in it."""
    form = next(form for form in dataset.forms if form.folder == root.name)
    present = _present(form, root, dataset)
    if missing := [split for split in dataset.splits if split not in present]:
        raise InputError(
            f"{root} lacks the images of {' and '.join(missing)}: move it away or delete it, and"
            f" run `replication data get {dataset.name}` again"
        )
    return root


def _chosen(dataset: Dataset, file: str | None) -> Archive:
    for archive in dataset.archives:
        if file in (None, archive.file):
            return archive
    names = " or ".join(archive.file for archive in dataset.archives)
    raise InputError(f"{dataset.name} has no file {file!r}: use {names}")


def _prepare_parts(dataset: Dataset, source: Path | None) -> Path:
    found = _locate(dataset)
    root = found[1] if found else paths.data() / dataset.forms[0].folder
    images = {part.part: part.images for part in dataset.parts}
    lacking = parts.lacking(root, images)
    if not lacking:
        return root
    places = [paths.data()] if source is None else [paths.absolute(source), paths.data()]
    files = {
        part: next((place / part.file for place in places if (place / part.file).is_file()), None)
        for part in dataset.parts
        if part.part in lacking
    }
    missing = [part.file for part, path in files.items() if path is None]
    if missing:
        looked = " and ".join(map(str, places))
        there = f" (in {root}: all but {', '.join(lacking)})" if found else ""
        raise InputError(
            f"{dataset.name}: {', '.join(missing)} missing in {looked}{there}; {dataset.how}"
        )
    archives = {part.part: (path, part.hash) for part, path in files.items()}
    return ilsvrc.prepare(root, archives, images=images)


def _build_subset(dataset: Dataset, source: Path | None) -> Path:
    place = paths.data() / dataset.forms[0].folder
    if found := _locate(dataset):
        return _whole(dataset, found[1])
    whole = _locate(find(dataset.subset_of))
    root = whole[1] if whole else get(dataset.subset_of, source=source)
    with writing(place, dataset.name), locked(place):
        if place.is_dir():  # another process has built it meanwhile
            return place
        return subset.build(root, place, subset.listed(dataset.name))


def names() -> tuple[str, ...]:
    """Return the names of the catalog."""
    return tuple(_catalog())


def find(name: str) -> Dataset:
    """Return the entry of that name.

    Raises InputError that lists the names, or says how a folder is named."""
    catalog = _catalog()
    if name and name not in catalog and os.path.isdir(name):
        raise InputError(f"no data set is called {name!r}: for the folder write {FOLDER}{name}")
    if name not in catalog:
        raise InputError(f"{unknown('data set', name, catalog)}, or {FOLDER}/path")
    return catalog[name]


@cache
def _catalog() -> dict[str, Dataset]:
    with Path(__file__).with_name("catalog.toml").open("rb") as file:
        return {
            entry["name"]: Dataset.model_validate(entry) for entry in tomllib.load(file)["dataset"]
        }


def _built() -> Path:
    return paths.runs() / "data"


def _locate(dataset: Dataset) -> tuple[Form, Path] | None:
    for form in dataset.forms:  # the best form first, wherever it is
        for root in (paths.data(), _built()):
            if (root / form.folder).is_dir():
                return form, root / form.folder
    return None


def _archive(dataset: Dataset) -> tuple[Archive, Path] | None:
    for archive in dataset.archives:
        if (paths.data() / archive.file).is_file():
            return archive, paths.data() / archive.file
    return None


def _unpack_local(dataset: Dataset) -> tuple[Form, Path] | None:
    """Check an archive that the user put into the data folder; unpack it in ``runs/data/``."""
    found = _archive(dataset)
    if found is None:
        return None
    archive, path = found
    place = _built() / archive.folder
    with writing(place, dataset.name), locked(place):
        if not place.is_dir():  # no other process has unpacked it meanwhile
            download.check_hash(path, archive.hash)
            download.unpack(path, archive.folder, _built())
    return _locate(dataset)
