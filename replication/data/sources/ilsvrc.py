"""ILSVRC-2010 and 2012 from the archives that image-net.org gives to registered users (section 2).

The training archive is an archive of one archive for each wnid; they are unpacked side by side.
What is interrupted goes on where it stopped: a class is unpacked into a hidden folder and renamed,
and a split gets its name when it is whole. Images are placed by the last part of their name alone,
so nothing can leave its folder."""

import multiprocessing
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path, PurePosixPath
from shutil import copyfileobj, rmtree

from replication.base import files
from replication.base.errors import InputError
from replication.base.machine import cpus
from replication.base.progress import progress_bar
from replication.data.sources import download
from replication.data.sources.disk import writing


def prepare(root: Path, parts: dict[str, tuple[Path, str]], workers: int | None = None) -> Path:
    """Unpack the archives into ``root``: ``train/<wnid>/``, flat ``val/`` (and ``test/``), the
    development kit.

    ``parts`` gives for each of "kit", "train", "val", "test", "test truth", "patch" that the
    contest has the file and its published hash, "" where none is published. A part that is done is
    not touched again. InputError names a damaged file."""
    root.mkdir(parents=True, exist_ok=True)
    for part, (path, known_hash) in parts.items():
        done = root / f".{part.replace(' ', '-')}.done"
        if done.exists():
            continue
        checked = root / f".{path.name}.checked"
        if known_hash and not checked.exists():  # minutes for the training archive, so only once
            download.check_hash(path, known_hash)
            files.write_text(checked, known_hash)
        try:
            with writing(root, f"the images of {path.name}"):
                _UNPACK[part](path, root, part, workers or cpus())
        except (tarfile.TarError, EOFError) as error:
            raise InputError(f"cannot unpack {path}: {error}; get it again") from None
        files.write_text(done, path.name)
    return root


def _kit(path: Path, root: Path, _part: str, _workers: int) -> None:
    with tarfile.open(path) as archive:
        folder = PurePosixPath(next(iter(archive)).name).parts[0]
    download.unpack(path, folder, root)


def _truth(path: Path, root: Path, _part: str, _workers: int) -> None:
    files.write_text(root / path.name, path.read_text(encoding="ascii"))


def _train(path: Path, root: Path, part: str, workers: int) -> None:
    work = root / f".{part}"
    work.mkdir(exist_ok=True)
    with tarfile.open(path, "r:") as archive:
        inner = [
            (PurePosixPath(member.name).stem, member.offset_data)
            for member in archive
            if member.isfile()
        ]
        _check_end(archive)
    todo = [(path, start, work / wnid) for wnid, start in inner if not (work / wnid).is_dir()]
    with (
        ProcessPoolExecutor(
            min(workers, max(len(todo), 1)), multiprocessing.get_context("spawn")
        ) as pool,
        progress_bar(len(inner), len(inner) - len(todo), "class") as bar,
    ):
        for _ in pool.map(_class, *zip(*todo, strict=True)) if todo else ():
            bar.update()
    work.rename(root / part)


def _class(path: Path, start: int, folder: Path) -> None:
    """Unpack the inner archive at byte ``start`` to ``folder``."""
    work = folder.with_name(f".{folder.name}")
    rmtree(work, ignore_errors=True)
    work.mkdir()
    with path.open("rb") as outer:
        outer.seek(start)
        with tarfile.open(fileobj=outer, mode="r:") as archive:
            for name, _, content in _images(archive):
                _write(work / name, content)
    work.rename(folder)


def _flat(path: Path, root: Path, part: str, _workers: int) -> None:
    work = root / f".{part}"
    rmtree(work, ignore_errors=True)
    work.mkdir()
    with (
        tarfile.open(path) as archive,
        progress_bar(None, 0, "image", part) as bar,
    ):
        for name, _, content in _images(archive):
            _write(work / name, content)
            bar.update()
    work.rename(root / part)


def _patch(path: Path, root: Path, _part: str, _workers: int) -> None:
    """Put the corrected images of 2010, ``.../<split>/<image>``, in the place of the broken
    ones.
    """
    with tarfile.open(path) as archive:
        for name, split, content in _images(archive):
            place = (
                root / split / name.split("_")[0] / name
                if split == "train"
                else root / split / name
            )
            if not place.parent.is_dir():
                raise InputError(
                    f"{path}: no folder {place.parent} for its image {name}; unpack the images"
                    " first"
                )
            with place.with_name(f".{name}").open("wb") as file:
                copyfileobj(content, file)
            place.with_name(f".{name}").replace(place)


def _images(archive: tarfile.TarFile) -> Iterator[tuple[str, str, object]]:
    """(name, name of its folder, content) of each image; other entries are passed over."""
    for member in archive:
        path = PurePosixPath(member.name)
        if (
            member.isfile()
            and path.suffix.lower() in (".jpeg", ".jpg")
            and not path.name.startswith(".")
        ):
            yield path.name, path.parent.name, archive.extractfile(member)
    _check_end(archive)


def _check_end(archive: tarfile.TarFile) -> None:
    """A tar file ends with zeros; Python takes one that is cut between two entries for whole."""
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends early")


def _write(path: Path, content: object) -> None:
    with path.open("xb") as file:
        copyfileobj(content, file)


_UNPACK = {
    "kit": _kit,
    "train": _train,
    "val": _flat,
    "test": _flat,
    "test truth": _truth,
    "patch": _patch,
}
