"""Data sets on their way: one compressed archive each, in parts of less than 40 MB."""

import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path

from replication.base import paths
from replication.base.errors import InputError
from replication.data.sources import catalog
from replication.lease.plan import Images

PART_BYTES = 38_000_000


def pack_images(name: str, folder: Path, part_bytes: int = PART_BYTES) -> Images:
    """Write one data set's folder as a compressed archive, cut into parts."""
    root = catalog.open_index(name, "train").root
    place = next(
        (at for at in (paths.data(), paths.runs() / "data") if root.is_relative_to(at)), None
    )
    if place is None:
        raise InputError(f"{name} is in {root}: only data sets of the data folder can be packed")
    digest, parts = hashlib.sha256(), []
    with tempfile.TemporaryFile(dir=folder) as whole:
        with tarfile.open(fileobj=whole, mode="w:gz", compresslevel=1) as archive:
            archive.add(root, root.relative_to(place).as_posix())
        whole.seek(0)
        while content := whole.read(part_bytes):
            digest.update(content)
            parts.append(f"{name}.tar.gz.{len(parts):02d}")
            (folder / parts[-1]).write_bytes(content)
    return Images(name=name, parts=tuple(parts), digest=digest.hexdigest())


def unpack_images(images: Images, folder: Path, into: Path) -> None:
    """Put a packed data set's folder into ``into``, whole or not at all.

    Raises InputError if a part is missing or damaged."""
    done = into / f".{images.name}.{images.digest[:16]}"
    if done.is_file():
        return
    into.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.TemporaryFile(dir=into) as whole:
        for part in images.parts:
            try:
                content = (folder / part).read_bytes()
            except OSError as error:
                raise InputError(
                    f"{folder / part}: {error.strerror}; pack the plan again"
                ) from None
            digest.update(content)
            whole.write(content)
        if digest.hexdigest() != images.digest:
            raise InputError(f"{folder}: the parts of {images.name} are damaged; pack them again")
        whole.seek(0)
        with (
            tempfile.TemporaryDirectory(dir=into, prefix=f".{images.name}.") as half,
            tarfile.open(fileobj=whole, mode="r:gz") as archive,
        ):
            archive.extractall(half, filter="data")
            for found in Path(half).iterdir():
                shutil.rmtree(into / found.name, ignore_errors=True)
                found.rename(into / found.name)
    done.touch()
