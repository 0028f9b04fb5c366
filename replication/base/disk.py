"""Folders that may not exist yet: where they would be created, and whether files can be."""

import os
import shutil
import tempfile
from pathlib import Path


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists: where it would be created."""
    return next(place for place in (folder, *folder.parents) if os.path.lexists(place))


def free_bytes(folder: Path) -> int:
    """Return the free space on the disk of ``folder``, which may not exist yet.

    Raises OSError for a link to a disk that is not mounted."""
    return shutil.disk_usage(nearest(folder)).free


def why_not_writable(folder: Path) -> str:
    """Return why no file can be created in ``folder``, which may not exist yet; else ""."""
    try:
        with tempfile.TemporaryFile(dir=nearest(folder)):
            return ""
    except OSError as error:
        return error.strerror or str(error)
