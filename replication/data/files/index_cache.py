"""The index of a large tree in one small file: 1.3 million names are listed once (section 2).

A kept index is good as long as no folder and no table that it was made from has changed its time of
change. A file that is overwritten in place under its old name does not change its folder; smaller
trees are therefore listed anew every time."""

import hashlib
import json
import os
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from replication.base import paths
from replication.base.files import write_atomic

if TYPE_CHECKING:
    from replication.data.files.index import Index

SMALLEST = 200_000  # images; listing fewer takes about a second
# seconds: a folder changed more recently may change again without its time showing it
SETTLED = 2.0
FORMAT = 1


def save(index: "Index", stamps: dict[str, int]) -> None:
    """Keep the full index, unless it is small or was changed a moment ago. ``stamps``: path to time
    of change, ns.
    """
    if len(index) < SMALLEST or time.time_ns() - max(stamps.values()) < SETTLED * 1e9:
        return
    head = {
        "format": FORMAT,
        "stamps": stamps,
        "classes": list(index.classes),
        "skipped": index.skipped,
        "fingerprint": index.fingerprint,
    }
    names = np.frombuffer(b"\0".join(map(os.fsencode, index.paths)), np.uint8)
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    write_atomic(
        _place(index.root, index.split),
        lambda file: np.savez_compressed(file, head=text, names=names, labels=index.labels),
    )


def load(root: Path, split: str) -> dict | None:
    """The fields of a kept index that is still good, or None."""
    path = _place(root, split)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            head = json.loads(kept["head"].tobytes())
            if head["format"] != FORMAT or any(
                _stamp(name) != stamp for name, stamp in head["stamps"].items()
            ):
                return None
            names, labels = kept["names"].tobytes(), kept["labels"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # damaged: list the tree again
    ids = np.arange(len(labels), dtype=np.int64)
    for array in (labels, ids):
        array.setflags(write=False)
    return {
        "classes": tuple(head["classes"]),
        "paths": tuple(map(os.fsdecode, names.split(b"\0"))),
        "records": None,
        "labels": labels,
        "ids": ids,
        "skipped": head["skipped"],
        "fingerprint": head["fingerprint"],
    }


def _place(root: Path, split: str) -> Path:
    key = hashlib.sha256(os.fsencode(root.resolve() / split)).hexdigest()[:16]
    return paths.runs() / "index" / f"{key}.npz"


def _stamp(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
