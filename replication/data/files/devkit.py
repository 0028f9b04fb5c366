"""ILSVRC's development kit: class numbers, wnids, and the classes of validation images.

The numbers (``ILSVRC2012_ID``, ``ILSVRC2010_ID``) start at 1 and are not in the order of wnids; the
images are flat and numbered by name. The table of classes is a MATLAB 5 file, of which the few
lines below read what is needed: one array of structures of numbers and text. Format:
"MAT-File Format", MathWorks."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from replication.base.errors import InputError

CLASSES = 1000  # larger numbers are inner nodes of the tree
_MATRIX, _COMPRESSED = 14, 15  # kinds of element
_CHAR, _STRUCT = 4, 2  # kinds of array
_NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
}


def find(root: Path, contest: str = "ILSVRC") -> Path | None:
    """Return the kit's folder (``ILSVRC2012_devkit_t12``, ``devkit-1.0``), if it is near.

    Of several, it is the first that has a table of ``contest``, for instance "ILSVRC2010"."""
    kits = [
        folder
        for place in (root, root.parent)
        for folder in sorted(place.glob("*devkit*"))
        if (folder / "data" / "meta.mat").is_file()
    ]
    own = [kit for kit in kits if any((kit / "data").glob(f"{contest}*"))]
    return next(iter([*own, *kits]), None)


def wnids(kit: Path) -> dict[int, str]:
    """Return class number, 1 to 1000, -> wnid."""
    path = kit / "data" / "meta.mat"
    try:
        rows = list(_structures(path.read_bytes()))
        key = next(name for name in rows[0] if name.startswith("ILSVRC") and name.endswith("_ID"))
        table = {int(row[key]): str(row["WNID"]) for row in rows if int(row[key]) <= CLASSES}
    except (
        OSError,
        zlib.error,
        struct.error,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        StopIteration,
    ) as error:
        raise InputError(
            f"cannot read {path} ({type(error).__name__}): unpack the development kit again"
        ) from None
    if len(set(table.values())) != len(table):
        raise InputError(
            f"{path}: two class numbers have one wnid; unpack the development kit again"
        )
    return table


def truth(root: Path, split: str, contest: str = "ILSVRC") -> tuple[Path, list[str]] | None:
    """Return the table of true classes of ``split``, "val" or "test", and its wnids.

    Image number n has entry n - 1. None if there is no kit. ``contest``: how the images' names
    begin, for instance "ILSVRC2010"; another year's table is as long, and would be wrong.

    The truth of the ILSVRC-2010 test set is a file of its own, found in the kit or in ``root``;
    that of 2012 was never published."""
    kit = find(root, contest)
    if kit is None:
        return None
    pattern = {
        "val": f"{contest}*_validation_ground_truth.txt",
        "test": f"{contest}*_test_ground_truth.txt",
    }[split]
    tables = [
        path
        for place in (kit / "data", kit, root, root.parent)
        for path in sorted(place.glob(pattern))
    ]
    if not tables:
        raise InputError(
            f"{kit / 'data'} has no {pattern}, the true classes of {root / split}; put it there"
        )
    table, names = tables[0], wnids(kit)
    try:
        return table, [names[int(line)] for line in table.read_text(encoding="ascii").split()]
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{table}: {error} is not the number of a class; unpack the development kit again"
        ) from None


def _structures(content: bytes) -> Iterator[dict[str, float | str]]:
    """Yield the rows of the file's first array of structures; only numbers and text are kept."""
    order = {b"IM": "<", b"MI": ">"}[content[126:128]]
    for kind, body in _elements(content[128:], order):
        if kind == _COMPRESSED:
            kind, body = next(_elements(zlib.decompress(body), order), (kind, b""))
        parts = [part for _, part in _elements(body, order)] if kind == _MATRIX else []
        if parts and parts[0][0 if order == "<" else 3] == _STRUCT:
            length = struct.unpack(order + "i", parts[3][:4])[0]
            names = [
                parts[4][at : at + length].split(b"\0")[0].decode("ascii")
                for at in range(0, len(parts[4]), length)
            ]
            values = [_value(part, order) for part in parts[5:]]
            for at in range(0, len(values), len(names)):
                yield {
                    name: value
                    for name, value in zip(names, values[at : at + len(names)], strict=True)
                    if value is not None
                }
            return
    raise ValueError("no array of structures")


def _value(matrix: bytes, order: str) -> float | str | None:
    elements = list(_elements(matrix, order))
    if len(elements) < 4:
        return None
    flags, (kind, data) = elements[0][1], elements[3]
    numbers = np.frombuffer(data, order + _NUMBERS[kind])
    if flags[0 if order == "<" else 3] == _CHAR:
        return "".join(map(chr, numbers))
    return float(numbers[0]) if len(numbers) == 1 else None


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(order + "II", content, at)
        if kind >> 16:  # up to four bytes are in the tag itself
            kind, size = kind & 0xFFFF, kind >> 16
            yield kind, content[at + 4 : at + 4 + size]
            at += 8
        else:
            yield kind, content[at + 8 : at + 8 + size]
            # to the next multiple of eight
            at += 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)
