"""Shards, files of many images each, turned into ``<split>/<class>/<image>``.

Understood: tar and zip files of class folders, of images named by wnid, or of WebDataset's pairs
(``x.jpg`` with ``x.cls``); parquet and arrow files as Hugging Face writes them, which need pyarrow
(the extra ``parquet``)."""

import json
import re
import shutil
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from replication.base.errors import InputError
from replication.base.text import counted, printable
from replication.data.files import tree
from replication.data.files.flat import WNID
from replication.data.sources.disk import check_space, locked, writing
from replication.data.sources.ilsvrc import check_end

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
        raise InputError(f"no such folder: {printable(str(source))}")
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
        for path in sorted(shards):
            split = split_of(path.relative_to(source))
            for item in _items(path):
                file = work / split / item.key.replace("/", "_") / item.name
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("xb") as opened:
                    opened.write(item.content)
                counts[split] += 1
        if not counts:
            raise InputError(f"{printable(str(source))}: its files hold no image with a class")
        work.rename(place)
    return counts


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
    name = path.name.lower()
    try:
        if name.endswith(".tfrecord"):
            raise InputError(f"{printable(str(path))}: TFRecord files are not understood")
        if name.endswith((".parquet", ".arrow")):
            yield from _table_items(path)
        else:
            yield from _archive_items(path)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"cannot unpack {printable(str(path))}: {error}; get it again") from None


def _archive_items(path: Path) -> Iterator[Item]:
    images: dict[str, tuple[str, bytes]] = {}  # of a pair, until its class is known
    labels: dict[str, str] = {}
    for name, content in _members(path):
        place = PurePosixPath(name)
        stem = str(place.with_suffix(""))
        if place.suffix.lower() == ".cls":
            labels[stem] = content.decode("utf-8", "replace").strip()
        elif place.suffix.lower() in tree.IMAGE_SUFFIXES:
            key = _class_of(place, path)
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


def _class_of(place: PurePosixPath, archive: Path) -> str | None:
    """Return the class that a member's folder, its name or the archive's name says."""
    folders = [part for part in place.parts[:-1] if not _names_split(part)]
    if folders:
        return folders[-1]
    wnids = set(WNID.findall(place.name)) or set(WNID.findall(archive.name))
    return wnids.pop() if len(wnids) == 1 else None


def _names_split(part: str) -> bool:
    return part in (".", "images") or any(part.casefold() in n for n in tree.SPLIT_FOLDERS.values())


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as opened:
            for entry in opened.infolist():
                if not entry.is_dir():
                    yield entry.filename, opened.read(entry)
        return
    with tarfile.open(path) as opened:
        for member in opened:
            if member.isfile():
                yield member.name, opened.extractfile(member).read()
        check_end(opened)


def _table_items(path: Path) -> Iterator[Item]:
    schema, batches = _batches(path)
    image = next((name for name in IMAGES if name in schema.names), None)
    label = next((name for name in LABELS if name in schema.names), None)
    if image is None or label is None:
        raise InputError(
            f"{printable(str(path))} has the columns {', '.join(schema.names)}: expected an image"
            " and a label"
        )
    names = _class_names(schema.metadata, label)
    number = 0
    for batch in batches:
        columns = batch.select([image, label]).to_pydict()
        for cell, value in zip(columns[image], columns[label], strict=True):
            number += 1
            if value is None or value == -1:  # Hugging Face's mark of a test image
                continue
            content = cell["bytes"] if isinstance(cell, dict) else cell
            given = PurePosixPath((isinstance(cell, dict) and cell.get("path")) or "")
            key = names[value] if names else _key(value)
            yield Item(key, f"{path.stem}-{number:07d}{given.suffix or UNKNOWN}", content)


def _batches(path: Path) -> tuple[Any, Iterator[Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"{printable(str(path))} needs pyarrow: `pip install pyarrow`, then run this again"
        ) from None
    try:
        if path.suffix.lower() == ".parquet":
            file = pyarrow.parquet.ParquetFile(path)
            return file.schema_arrow, file.iter_batches(CHUNK)
        try:
            stream = pyarrow.ipc.open_stream(path.open("rb"))
        except pyarrow.ArrowInvalid:
            stream = pyarrow.ipc.open_file(path)
            return stream.schema, map(stream.get_batch, range(stream.num_record_batches))
        return stream.schema, iter(stream)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"cannot read {printable(str(path))}: {error}; get it again") from None


def _class_names(metadata: dict[bytes, bytes] | None, label: str) -> list[str] | None:
    """Return the names of the classes that Hugging Face keeps in a file's metadata."""
    try:
        info = json.loads((metadata or {})[b"huggingface"])
        return info["info"]["features"][label]["names"]
    except (KeyError, ValueError, TypeError):
        return None


def _key(value: object) -> str:
    return f"{value:05d}" if isinstance(value, int) else str(value)
