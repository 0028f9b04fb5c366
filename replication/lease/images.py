"""Data sets on their way: one compressed archive each, in parts of less than 40 MB."""

import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import write_atomic
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
        # links lead nowhere on another machine: what they lead to is packed
        with tarfile.open(fileobj=whole, mode="w:gz", compresslevel=1, dereference=True) as archive:
            archive.add(root, root.relative_to(place).as_posix())
        whole.seek(0)
        while content := whole.read(part_bytes):
            digest.update(content)
            parts.append(f"{name}.tar.gz.{len(parts):02d}")
            (folder / parts[-1]).write_bytes(content)
    return Images(name=name, parts=tuple(parts), digest=digest.hexdigest())


def receive_images(images: Images, folder: Path, into: Path) -> list[str]:
    """Put a packed data set's folder into ``into``, and return the parts that are still missing.

    Parts may come in several calls: those in ``folder`` are kept in ``into`` until all are there,
    apart from the parts of another packing. Raises InputError if the parts together are damaged."""
    version = images.digest[:16]
    done, kept = into / f".{images.name}.{version}", into / ".parts" / version
    if done.is_file():
        return []
    kept.mkdir(parents=True, exist_ok=True)
    for part in images.parts:
        if (folder / part).is_file():
            with (folder / part).open("rb") as content:
                write_atomic(kept / part, lambda file: shutil.copyfileobj(content, file))
    missing = [part for part in images.parts if not (kept / part).is_file()]
    if not missing:
        _unpack(images, kept, into)
        done.touch()
        shutil.rmtree(kept)
    return missing


def _unpack(images: Images, kept: Path, into: Path) -> None:
    digest = hashlib.sha256()
    with tempfile.TemporaryFile(dir=into) as whole:
        for part in images.parts:
            content = (kept / part).read_bytes()
            digest.update(content)
            whole.write(content)
        if digest.hexdigest() != images.digest:
            raise InputError(f"the parts of {images.name} are damaged; pack them again")
        whole.seek(0)
        with (
            tempfile.TemporaryDirectory(dir=into, prefix=f".{images.name}.") as half,
            tarfile.open(fileobj=whole, mode="r:gz") as archive,
        ):
            archive.extractall(half, filter="data")
            for found in Path(half).iterdir():
                shutil.rmtree(into / found.name, ignore_errors=True)
                found.rename(into / found.name)
