"""What a reader calls a class: for the labels of figures and tables. Nothing is decided by a title;
they are not unique.

``words.txt`` beside the images, as in Tiny ImageNet and the embedded set, has lines "key<tab>title,
other titles"."""

from collections.abc import Sequence
from pathlib import Path

from replication.data.files.index import Index

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
    """A title for each of ``classes`` (the index's own, if not given), in their order; the key
    itself where none is known.
    """
    known = IMAGENETTE | _words(index.root / "words.txt")
    return tuple(known.get(key, key) for key in classes or index.classes)


def _words(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (
        line.rstrip("\n").partition("\t") for line in path.read_text(encoding="utf-8").splitlines()
    )
    return {key: words.split(",")[0].strip() for key, _, words in lines if words.strip()}
