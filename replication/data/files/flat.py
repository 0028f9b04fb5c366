"""The classes of images that are not in class folders: by a table, or by their own names.

Understood: Tiny ImageNet's ``val_annotations.txt``, ILSVRC's development kit, Kaggle's
``LOC_val_solution.csv``, and names with one wnid in them, as Hugging Face's exports have them."""

import csv
import re
from pathlib import Path

from replication.base.errors import InputError
from replication.base.text import counted, printable
from replication.data.files import devkit

TINY = "val_annotations.txt"
SOLUTION = "LOC_val_solution.csv"
ABOVE = 4  # folders above the images in which Kaggle's table may be
WNID = re.compile(r"(?<![0-9A-Za-z])n\d{8}(?![0-9])")
CONTEST = re.compile(r"ILSVRC(\d{4})?")  # how an image's name begins
NUMBERED = re.compile(r"ILSVRC\d+_\w+?_0*(\d+)\.jpe?g", re.I)


def tiny_table(folder: Path) -> dict[str, str]:
    """Return file name -> wnid of Tiny ImageNet's validation images."""
    path = folder / TINY  # image name, wnid, box; tab between
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    if any(len(row) < 2 for row in rows):
        raise InputError(
            f"{path}: expected lines of image name, wnid and box with tabs between them"
        )
    return {row[0]: row[1].strip() for row in rows}


def wnids_in_names(names: list[str]) -> dict[str, str] | None:
    """Return file name -> wnid if every name has exactly one in it, else None."""
    found = {name: set(WNID.findall(name)) for name in names}
    if not found or any(len(wnids) != 1 for wnids in found.values()):
        return None
    return {name: wnids.pop() for name, wnids in found.items()}


def solution(folder: Path) -> Path | None:
    """Return Kaggle's table of the validation images' classes, in ``folder`` or above it."""
    for place in (folder, *folder.parents[:ABOVE]):
        if (place / SOLUTION).is_file():
            return place / SOLUTION
    return None


def table(
    root: Path, folder: Path, split: str, names: list[str]
) -> tuple[Path | None, dict[str, str]] | None:
    """Return the table, and file name -> wnid, of a flat folder's images; None without one.

    Raises InputError for a table that does not fit the images."""
    if (by_name := wnids_in_names(names)) is not None:
        return None, by_name
    if split == "val" and (path := solution(folder)) is not None:
        return path, _from_solution(path, names)
    contest = CONTEST.match(names[0])
    if split == "train" or contest is None:
        return None
    found = devkit.truth(root, split, contest[0])
    if found is None:
        return None
    path, wnids = found
    if len(names) != len(wnids):
        raise InputError(
            f"{path} lists {counted(len(wnids), 'image')} but {printable(str(folder))} holds"
            f" {len(names)};"
            " unpack the archive again"
        )
    numbers = {name: NUMBERED.fullmatch(name) for name in names}
    return path, {
        name: wnids[int(number[1]) - 1]
        for name, number in numbers.items()
        if number and 1 <= int(number[1]) <= len(wnids)
    }


def _from_solution(path: Path, names: list[str]) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row][1:]  # the first is the heading
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path} ({type(error).__name__}): get it again") from None
    # the class comes first in the second column, then the boxes
    wnids = {row[0]: row[1].split()[0] for row in rows if len(row) > 1 and row[1].split()}
    by_name = {name: wnids.get(name.rpartition(".")[0]) for name in names}
    known = {name: wnid for name, wnid in by_name.items() if wnid is not None}
    if len(known) != len(wnids):
        raise InputError(
            f"{path} lists {counted(len(wnids), 'image')}, and {len(known)} of them are in"
            f" {printable(str(path.parent))}; unpack the archive again"
        )
    return known
