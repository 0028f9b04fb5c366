"""Shards, files of many images each, turned into ``<split>/<class>/<image>``.

Understood: tar and zip files of class folders, of images named by wnid, or of WebDataset's pairs
(``x.jpg`` with ``x.cls``); parquet and arrow files as Hugging Face writes them, which need pyarrow
(the extra ``parquet``)."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from replication.base.errors import InputError
from replication.base.text import counted, printable
from replication.data.files import tree
from replication.data.files.flat import WNID
from replication.data.sources import download
from replication.data.sources.disk import check_space, locked, writing

LABELS = ("label", "labels", "fine_label", "class")  # names of the column
IMAGES = ("image", "img", "jpg", "jpeg", "png")
UNKNOWN = ".jpg"  # suffix of an image without a name; it is decoded by its content
CHUNK = 256  # rows read at once


class Item(NamedTuple):
    """One image of a shard."""

    key: str  # of its class
    name: str
    content: bytes


def unpack(source: Path, place: Path) -> Counter[str]:
    """Write the images of all shards to ``place`` and return how many each split has.

    Nothing is at ``place`` before everything is. Raises InputError for shards without classes."""
    if not source.is_dir():
        found = f"{printable(str(source))} is a file: name the folder that holds it"
        missing = f"no such folder: {printable(str(source))}"
        raise InputError(found if source.exists() else missing)
    shards: list[Path] = []
    tree.walk(source, lambda folder: shards.extend(folder.path / n for n in folder.shards()))
    if not shards:
        raise InputError(
            f"{printable(str(source))} has no files {', '.join(tree.SHARDS)}; found"
            f" {tree.contents(source)}"
        )
    if place.exists():
        raise InputError(f"{place} exists: name a folder that does not")
    work = place.with_name(f".{place.name}.partial")
    counts: Counter[str] = Counter()
    with writing(place, source.name), locked(place):
        check_space(_existing(place), sum(path.stat().st_size for path in shards), "the images")
        shutil.rmtree(work, ignore_errors=True)
        try:
            for path in sorted(shards):
                split = split_of(path.relative_to(source))
                for item in _items(path):
                    _write(item, work / split, path)
                    counts[split] += 1
            if not counts:
                raise InputError(
                    f"{printable(str(source))}: its files hold no image with a class; unpack"
                    " archives that hold archives by hand first"
                )
            work.rename(place)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return counts


def _write(item: Item, folder: Path, shard: Path) -> None:
    """Write one image into its class's folder. Raises InputError if it has no place of its own."""
    key = item.key.replace("/", "_")
    if not key or key.startswith(".") or "\0" in key:
        raise InputError(
            f"{printable(str(shard))}: the class of {printable(item.name)} is {key!r}, which is no"
            " name for a folder; correct it by hand"
        )
    file = folder / key / item.name
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("xb") as opened:
            opened.write(item.content)
    except FileExistsError:
        raise InputError(
            f"{printable(str(shard))}: a second image of the class {key} is named"
            f" {printable(item.name)}; rename one of them by hand"
        ) from None


def split_of(path: Path) -> str:
    """Return the split that a shard's name or its folders say; "train" if they say none."""
    for word in (*reversed(path.parts[:-1]), *re.split(r"[-_.]", path.name)):
        for split, names in tree.SPLIT_FOLDERS.items():
            if word.casefold() in names:
                return split
    return "train"


def _existing(place: Path) -> Path:
    return next(folder for folder in place.parents if folder.is_dir())


def _items(path: Path) -> Iterator[Item]:
    name, damage = path.name.lower(), (*download.DAMAGE, OSError)
    try:
        if name.endswith(".tfrecord"):
            raise InputError(f"{printable(str(path))}: TFRecord files are not understood")
        if name.endswith((".parquet", ".arrow")):
            damage += (_arrow_exception(path),)  # also while the rows are read
            yield from _table_items(path)
        else:
            yield from _archive_items(path)
    except damage as error:
        if getattr(error, "errno", None) is not None:  # of the disk, not of what is in the file
            raise
        raise InputError(f"cannot unpack {printable(str(path))}: {error}; get it again") from None


def _arrow_exception(path: Path) -> type[Exception]:
    """Return what pyarrow raises. Raises InputError if it is not installed."""
    try:
        import pyarrow
    except ImportError:
        raise InputError(
            f"{printable(str(path))} needs pyarrow: `pip install pyarrow`, then run this again"
        ) from None
    return pyarrow.ArrowException


def _archive_items(path: Path) -> Iterator[Item]:
    images: dict[str, tuple[str, bytes]] = {}  # of a pair, until its class is known
    labels: dict[str, str] = {}
    for name, opened in download.members(path):
        place = PurePosixPath(name)
        if opened is None or _is_passed_over(place):
            continue
        stem = str(place.with_suffix(""))
        if place.suffix.lower() == ".cls":
            labels[stem] = opened.read().decode("utf-8", "replace").strip()
        elif place.suffix.lower() in tree.IMAGE_SUFFIXES:
            key, content = _class_of(place, path), opened.read()
            if key is not None:
                yield Item(key, place.name, content)
                continue
            images[stem] = place.name, content
        if stem in images and stem in labels:
            file, pixels = images.pop(stem)
            label = labels.pop(stem)
            yield Item(f"{int(label):05d}" if label.isdigit() else label, file, pixels)
    if images:
        raise InputError(
            f"{printable(str(path))}: no class for {counted(len(images), 'image')}"
            f" ({printable(next(iter(images)))}, ...); sort them by hand"
        )


def _is_passed_over(place: PurePosixPath) -> bool:
    """Return whether an index would pass over it: hidden, or left behind by a system."""
    return any(
        part in tree.STRAY or (part.startswith(".") and part not in (".", ".."))
        for part in place.parts
    )


def _class_of(place: PurePosixPath, archive: Path) -> str | None:
    """Return the class that a member's folder, its name or the archive's name says."""
    folders = [part for part in place.parts[:-1] if not _names_split(part)]
    if folders:
        return folders[-1]
    wnids = set(WNID.findall(place.name)) or set(WNID.findall(archive.name))
    return wnids.pop() if len(wnids) == 1 else None


def _names_split(part: str) -> bool:
    return part in (".", "images") or any(part.casefold() in n for n in tree.SPLIT_FOLDERS.values())


def _table_items(path: Path) -> Iterator[Item]:
    schema, batches = _table(path)
    image = next((name for name in IMAGES if name in schema.names), None)
    label = next((name for name in LABELS if name in schema.names), None)
    if image is None or label is None:
        raise InputError(
            f"{printable(str(path))} has the columns {', '.join(schema.names)}: expected an image"
            " and a label"
        )
    names = _class_names(schema.metadata, label)
    for number, (cell, value) in enumerate(_rows(batches, image, label), 1):
        if value is None or value == -1:  # Hugging Face's mark of a test image
            continue
        content = cell["bytes"] if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise InputError(
                f"{printable(str(path))}: row {number} has no image in its column {image!r}, only"
                f" {type(content).__name__}: get the files with the images themselves"
            )
        given = PurePosixPath((isinstance(cell, dict) and cell.get("path")) or "")
        try:
            key = names[value] if names else _key(value)
        except (IndexError, TypeError):
            raise InputError(
                f"{printable(str(path))}: row {number} has {value!r} in its column {label!r}, which"
                " is no class"
            ) from None
        yield Item(key, f"{path.stem}-{number:07d}{given.suffix or UNKNOWN}", content)


def _rows(batches: Iterator[Any], image: str, label: str) -> Iterator[tuple[Any, Any]]:
    for batch in batches:
        columns = batch.select([image, label]).to_pydict()
        yield from zip(columns[image], columns[label], strict=True)


def _table(path: Path) -> tuple[Any, Iterator[Any]]:
    """Return the schema of a parquet or arrow file, and its rows in batches."""
    import pyarrow
    import pyarrow.parquet

    if path.suffix.lower() == ".parquet":
        file = pyarrow.parquet.ParquetFile(path)
        return file.schema_arrow, file.iter_batches(CHUNK)
    try:
        stream = pyarrow.ipc.open_stream(path.open("rb"))
    except pyarrow.ArrowInvalid:
        stream = pyarrow.ipc.open_file(path)
        return stream.schema, map(stream.get_batch, range(stream.num_record_batches))
    return stream.schema, iter(stream)


def _class_names(metadata: dict[bytes, bytes] | None, label: str) -> list[str] | None:
    """Return the names of the classes that Hugging Face keeps in a file's metadata."""
    try:
        info = json.loads((metadata or {})[b"huggingface"])
        return info["info"]["features"][label]["names"]
    except (KeyError, ValueError, TypeError):
        return None


def _key(value: object) -> str:
    """Return a label as the name of a folder. Raises TypeError if it is no number or text."""
    if not isinstance(value, int | float | str):
        raise TypeError
    return f"{value:05d}" if isinstance(value, int) else str(value)
