"""Folders of photographs that are only loaded, for timings: they need no labels."""

from pathlib import Path

from replication.base import paths
from replication.base.errors import InputError
from replication.data.sources import catalog


def photographs_folder(name: str) -> Path | None:
    """Return where the photographs of a name that is no data set's are looked for.

    It is a folder in REPLICATION_DATA. None for a data set, and for a folder named by its path."""
    if catalog.folder_of(name) is not None or name in catalog.names():
        return None
    return paths.data() / name


def open_photographs(name: str) -> Path:
    """Return the folder of the photographs of a data set (of one class), or of a folder.

    Raises InputError if it is not there."""
    if name in catalog.names():
        return catalog.open_index(name, "train").path(0).parent
    named = catalog.folder_of(name)
    place = named or paths.data() / name
    if place.is_dir():
        return place
    raise InputError(
        f"photographs: {place} is not a folder"
        if named
        else f"photographs: {name!r} is neither a data set of `replication data list` nor a folder"
        f" in {paths.data()}"
    )
