"""Data sets that are classes of another one, built from its files and checked.

``<name>.toml`` beside this module lists the classes, key = digest."""

import hashlib
import shutil
import tempfile
import tomllib
from pathlib import Path

from replication.base.errors import InputError
from replication.base.files import write_text
from replication.data.files.index import Index, index_folder
from replication.data.files.titles import WORDS, words
from replication.data.sources.disk import check_space, writing

SPLITS = ("train", "val")


def listed(name: str) -> dict[str, str]:
    """Return the classes of the subset ``name``, key -> digest over its images."""
    with Path(__file__).with_name(f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def build(whole: Path, place: Path, classes: dict[str, str]) -> Path:
    """Copy ``classes`` of the tree ``whole`` to ``place``, as ``<split>/<class>/<image>``.

    Raises InputError if a class is not the listed one; nothing is at ``place`` then."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with (
        writing(place, place.name),
        tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as parent,
    ):
        work = Path(parent) / place.name
        work.mkdir()
        digests = {key: hashlib.sha256() for key in classes}
        for split in SPLITS:
            index = index_folder(whole, split)
            missing = sorted(set(classes) - set(index.classes))
            if missing:
                raise InputError(f"{whole} has no class {', '.join(missing[:3])}; get it again")
            rows = _rows(index, classes)
            size = sum(index.path(row).stat().st_size for row in rows)
            check_space(place.parent, size, f"the images of {place.name}")
            for row in rows:
                key, path = index.classes[index.labels[row]], index.path(row)
                content = path.read_bytes()
                part = f"{split}/{path.name}\0".encode() + hashlib.sha256(content).digest()
                digests[key].update(part)
                copy = work / split / key / path.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
        odd = [key for key, digest in digests.items() if digest.hexdigest()[:16] != classes[key]]
        if odd:
            raise InputError(
                f"{whole}: {len(odd)} classes ({', '.join(odd[:3])}, ...) are not the official"
                " ones; remove it and get it again"
            )
        known = words(whole / WORDS)
        lines = [f"{key}\t{known[key]}\n" for key in classes if key in known]
        write_text(work / WORDS, "".join(lines))
        shutil.move(work, place)
    return place


def _rows(index: Index, classes: dict[str, str]) -> list[int]:
    """Return the rows of ``classes``, each class sorted by file name as the digests are."""
    rows = [row for row in range(len(index)) if index.classes[index.labels[row]] in classes]
    return sorted(rows, key=lambda row: (index.labels[row], index.path(row).name))
