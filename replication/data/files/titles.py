"""The titles of classes, for the labels of figures and tables.

They are not unique, so nothing is decided by them.

``words.txt`` beside the images, as in Tiny ImageNet and the embedded set, has lines "key<tab>title,
other titles"."""

from collections.abc import Sequence
from pathlib import Path

from replication.data.files.index import Index

WORDS = "words.txt"
IMAGENETTE = {  # as its makers call its ten classes; its archive has no words.txt
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


def titles(index: Index, classes: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return a title for each of ``classes`` (default: the index's own), in their order.

    A class without a known title keeps its key."""
    listed = {key: text.split(",")[0].strip() for key, text in words(index.root / WORDS).items()}
    known = IMAGENETTE | listed
    return tuple(known.get(key, key) for key in classes or index.classes)


def words(path: Path) -> dict[str, str]:
    """Return key -> titles, as ``words.txt`` has them; {} without that file."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8-sig", errors="replace")  # whatever editor wrote it
    lines = (line.partition("\t") for line in text.splitlines())
    return {key: titles.strip() for key, _, titles in lines if titles.strip()}
