"""Data sets by name: where each is looked for, in which forms it is accepted, and how to get it.

The data folder (``REPLICATION_DATA``) is only read, except by ``get``. What has to be made, the
synthetic set and an unpacked copy of an archive that the user put into the data folder, goes to
``runs/data/``."""

import tomllib
from functools import cache
from pathlib import Path

from replication.base import paths
from replication.base.errors import InputError, unknown
from replication.base.models import Frozen
from replication.data.files import layouts
from replication.data.files.index import Index, index_cifar, index_folder
from replication.data.sources import download, ilsvrc, synthetic

FOLDER = "folder:"  # "folder:/path" names an ImageFolder tree of one's own


class Form(Frozen):
    """One way in which a data set may lie in the data folder."""

    form: str
    folder: str
    note: str = ""


class Archive(Frozen):
    """One file of the official source; ``hash`` as published ("md5:..."), ``folder`` its top
    folder.
    """

    file: str
    url: str
    hash: str
    folder: str


class Part(Frozen):
    """One file that the user fetches with an account; ``part`` as in ``ilsvrc.prepare``, ``hash``
    "" where none is published.
    """

    part: str
    file: str
    hash: str = ""


class Dataset(Frozen):
    """One entry of ``catalog.toml``."""

    name: str
    title: str
    splits: tuple[str, ...]
    how: str = ""
    forms: tuple[Form, ...] = ()
    archives: tuple[Archive, ...] = ()
    parts: tuple[Part, ...] = ()

    def accepted(self) -> str:
        """The names that are looked for, as a phrase."""
        names = [form.folder for form in self.forms] + [archive.file for archive in self.archives]
        if self.parts:
            names.append("all of " + " + ".join(part.file for part in self.parts))
        return ", ".join(names)

    def way(self) -> str:
        """How to get it, as a phrase."""
        return f"run `replication data get {self.name}`" if self.archives else self.how


def folder_of(name: str) -> Path | None:
    """Return the folder of ``folder:/path`` or of a bare path, None for a name of the catalog."""
    if name.startswith(FOLDER) or "/" in name or name.startswith(("~", ".")):
        return Path(name.removeprefix(FOLDER)).expanduser().resolve()
    return None


def splits(name: str) -> tuple[str, ...]:
    """Return the labelled splits of a data set; of a tree of one's own, those on the disk."""
    root = folder_of(name)
    if root is None:
        return find(name).splits
    return layouts.splits(root) if root.is_dir() else ()


def open_index(name: str, split: str) -> Index:
    """The index of ``split`` of a data set of the catalog, or of ``folder:/path``.

    InputError says which folders and files would be accepted, and where, if the data set is not
    there."""
    if (root := folder_of(name)) is not None:
        return index_folder(root, split)
    dataset = find(name)
    if split not in dataset.splits:
        raise InputError(f"{name} has no split {split!r}: use {' or '.join(dataset.splits)}")
    if name == "synthetic":
        return index_folder(synthetic.ensure(_made()), split, name, "synthetic", "synthetic")
    found = _locate(dataset) or _unpack_local(dataset)
    if found is None:
        raise InputError(
            f"{name} is not in {paths.data()}: {dataset.way()}; accepted there:"
            f" {dataset.accepted()} (REPLICATION_DATA names the folder)"
        )
    form, root = found
    if form.form in ("cifar-python", "cifar-binary"):
        return index_cifar(root, split, form.form, name, form.note)
    return index_folder(root, split, name, form.form, form.note)


def listing() -> list[dict]:
    """One row for each data set: name, title, splits, form found (None if not there), where, note,
    how to get it.
    """
    rows = []
    for dataset in _catalog().values():
        row = {"name": dataset.name, "title": dataset.title, "splits": list(dataset.splits)}
        form, where, note = None, None, ""
        if dataset.name == "synthetic":
            form, note = "synthetic", "synthetic"
            where = str(synthetic.place(_made())) if synthetic.is_made(_made()) else None
        elif found := _locate(dataset):
            form, where, note = found[0].form, str(found[1]), found[0].note
        elif archive := _archive(dataset):
            form, where = "archive", str(archive[1])
        rows.append(
            row
            | {
                "form": form,
                "where": where,
                "note": note,
                "how": dataset.way(),
                "accepts": dataset.accepted(),
            }
        )
    return rows


def get(name: str, file: str | None = None, source: Path | None = None) -> Path:
    """Download a data set from its official source into the data folder, check it, unpack it; the
    folder it lies in.

    ``file`` chooses among the archives of the source; the first by default. Nothing is downloaded
    when the folder is there already. With ``source``, a folder, the files are taken from there
    instead, checked and unpacked. ILSVRC's files are never downloaded but looked for in ``source``
    and the data folder; interrupted, their unpacking goes on. Without a network the InputError
    names the folder and file that would be accepted instead."""
    dataset = find(name)
    if file is not None and not dataset.archives:
        raise InputError(f"{name} has no files to choose from: leave --file out")
    if name == "synthetic":
        return synthetic.ensure(_made())
    if dataset.parts:
        return _prepare_parts(dataset, source)
    if not dataset.archives:
        raise InputError(
            f"{name} cannot be downloaded: {dataset.how}, in {paths.data()} as {dataset.accepted()}"
        )
    archive = dataset.archives[0]
    if file is not None:
        named = [archive for archive in dataset.archives if archive.file == file]
        if not named:
            raise InputError(
                f"{name} has no file {file!r}: use"
                f" {' or '.join(archive.file for archive in dataset.archives)}"
            )
        archive = named[0]
    for root in (paths.data(), _made()):
        if (root / archive.folder).is_dir():
            return root / archive.folder
    if source is not None:
        local = source.expanduser().resolve() / archive.file
        if not local.is_file():
            raise InputError(
                f"{local} is not there: name the folder that holds {archive.file}, or leave --from"
                " out to download it"
            )
        download.check_hash(local, archive.hash)
        return download.unpack(local, archive.folder, paths.data())
    instead = f"put one of these into {paths.data()} instead: {dataset.accepted()}"
    path = download.download(archive.url, archive.hash, paths.data() / archive.file, instead)
    return download.unpack(path, archive.folder, paths.data())


def _prepare_parts(dataset: Dataset, source: Path | None) -> Path:
    places = [paths.data()] if source is None else [source.expanduser().resolve(), paths.data()]
    files = {
        part: next((place / part.file for place in places if (place / part.file).is_file()), None)
        for part in dataset.parts
    }
    missing = [part.file for part, path in files.items() if path is None]
    if missing:
        looked = " and ".join(map(str, places))
        raise InputError(f"{dataset.name}: {', '.join(missing)} missing in {looked}; {dataset.how}")
    parts = {part.part: (path, part.hash) for part, path in files.items()}
    return ilsvrc.prepare(paths.data() / dataset.forms[0].folder, parts)


def names() -> tuple[str, ...]:
    """The names of the catalog."""
    return tuple(_catalog())


def find(name: str) -> Dataset:
    """The entry of that name; InputError lists the names."""
    catalog = _catalog()
    if name not in catalog:
        raise InputError(f"{unknown('data set', name, catalog)}, or {FOLDER}/path")
    return catalog[name]


@cache
def _catalog() -> dict[str, Dataset]:
    with Path(__file__).with_name("catalog.toml").open("rb") as file:
        return {
            entry["name"]: Dataset.model_validate(entry) for entry in tomllib.load(file)["dataset"]
        }


def _made() -> Path:
    return paths.runs() / "data"


def _locate(dataset: Dataset) -> tuple[Form, Path] | None:
    for form in dataset.forms:  # the best form first, wherever it lies
        for root in (paths.data(), _made()):
            if (root / form.folder).is_dir():
                return form, root / form.folder
    return None


def _archive(dataset: Dataset) -> tuple[Archive, Path] | None:
    for archive in dataset.archives:
        if (paths.data() / archive.file).is_file():
            return archive, paths.data() / archive.file
    return None


def _unpack_local(dataset: Dataset) -> tuple[Form, Path] | None:
    """Use an archive that the user put into the data folder: check it, unpack it beside the other
    made things.
    """
    found = _archive(dataset)
    if found is None:
        return None
    archive, path = found
    download.check_hash(path, archive.hash)
    download.unpack(path, archive.folder, _made())
    return _locate(dataset)
