"""ILSVRC-2010 and 2012 from the archives that image-net.org gives to users.

The training archive is an archive of one archive per wnid; they are unpacked side by side. An
interrupted call resumes where it stopped: a class is unpacked into a hidden folder and renamed, and
a split gets its name once its images are counted. Images are placed by the last part of their name
alone, so nothing can leave its folder."""

import multiprocessing
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path, PurePosixPath
from shutil import copyfileobj, rmtree
from typing import IO

from replication.base import files
from replication.base.errors import InputError
from replication.base.machine import cpus
from replication.base.progress import progress_bar
from replication.data.files import tree
from replication.data.sources import download
from replication.data.sources.disk import check_space, locked, writing


def prepare(
    root: Path,
    parts: dict[str, tuple[Path, str]],
    workers: int | None = None,
    images: dict[str, int] | None = None,
) -> Path:
    """Unpack the archives into ``root``: ``train/<wnid>/``, flat ``val/``, the kit.

    ``parts`` gives for each of "kit", "train", "val", "test", "test truth", "patch" that the
    contest has the file and its published hash, "" if none is published; ``images``: how many a
    part holds. A part that is done is not touched again, and a second process waits for the first.
    Raises InputError that names a damaged file."""
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / "unpacking"):
        for part, (path, known_hash) in parts.items():
            done = root / f".{part.replace(' ', '-')}.done"
            if done.exists():
                continue
            checked = root / f".{path.name}.checked"
            if known_hash and not checked.exists():  # minutes for the training archive: only once
                download.check_hash(path, known_hash)
                files.write_text(checked, known_hash)
            try:
                with writing(root, f"the images of {path.name}"):
                    _UNPACK[part](path, root, part, workers or cpus())
            except download.DAMAGE as error:
                raise InputError(f"cannot unpack {path}: {error}; get it again") from None
            check_count(root, part, (images or {}).get(part))
            files.write_text(done, path.name)
    return root


def check_count(root: Path, split: str, images: int | None) -> None:
    """Raise InputError unless ``split`` has ``images`` images; None: any number."""
    if images is None:
        return
    found = count_images(root / split)
    if found != images:
        raise InputError(
            f"{root / split} holds {found:,} of {images:,} images; remove it and unpack its archive"
            " again"
        )


def count_images(folder: Path) -> int:
    """Return how many images there are in a folder and its class folders."""
    found = tree.list_folder(folder)
    inner = sum(len(tree.list_folder(folder / name).images) for name in found.folders)
    return len(found.images) + inner


def _kit(path: Path, root: Path, _part: str, _workers: int) -> None:
    with tarfile.open(path) as archive:
        folder = PurePosixPath(next(iter(archive)).name).parts[0]
    download.unpack(path, folder, root)


def _truth(path: Path, root: Path, _part: str, _workers: int) -> None:
    files.write_atomic(root / path.name, lambda file: file.write(path.read_bytes()))


def _train(path: Path, root: Path, part: str, workers: int) -> None:
    work = root / f".{part}"
    work.mkdir(exist_ok=True)
    with tarfile.open(path, "r:") as archive:
        members = [member for member in archive if member.isfile()]
        download.check_end(archive)
    inner = [(PurePosixPath(member.name).stem, member.offset_data) for member in members]
    missing = sum(
        member.size for member in members if not (work / PurePosixPath(member.name).stem).is_dir()
    )
    check_space(root, missing, f"the images of {path.name}")
    jobs = [(path, start, work / wnid) for wnid, start in inner]
    with (
        ProcessPoolExecutor(
            min(workers, max(len(jobs), 1)), multiprocessing.get_context("spawn")
        ) as pool,
        progress_bar(len(inner), 0, "class") as bar,
    ):
        for _ in pool.map(_class, *zip(*jobs, strict=True)) if jobs else ():
            bar.update()
    work.rename(root / part)


def _class(path: Path, start: int, folder: Path) -> None:
    """Unpack the inner archive at byte ``start``, unless all its images are in ``folder``."""
    with path.open("rb") as outer:

        def inner() -> tarfile.TarFile:
            outer.seek(start)
            return tarfile.open(fileobj=outer, mode="r:")

        if folder.is_dir():
            with inner() as archive:
                if len(os.listdir(folder)) == sum(1 for _ in _images(archive)):
                    return
            rmtree(folder)
        with inner() as archive:
            _unpack_images(archive, folder)


def _unpack_images(archive: tarfile.TarFile, folder: Path) -> None:
    """Write an archive's images into a hidden folder, count them, and rename it to ``folder``."""
    work = folder.with_name(f".{folder.name}")
    rmtree(work, ignore_errors=True)
    work.mkdir()
    expected = 0
    for name, _, content in _images(archive):
        with (work / name).open("xb") as file:
            copyfileobj(content, file)
        expected += 1
    if len(os.listdir(work)) != expected:
        raise InputError(f"{work} does not hold the {expected} images of its archive; run it again")
    work.rename(folder)


def _flat(path: Path, root: Path, part: str, _workers: int) -> None:
    check_space(root, path.stat().st_size, f"the images of {path.name}")
    with tarfile.open(path) as archive:
        _unpack_images(archive, root / part)


def _patch(path: Path, root: Path, _part: str, _workers: int) -> None:
    """Replace the broken images of 2010 by the corrected ones, ``.../<split>/<image>``."""
    with tarfile.open(path) as archive:
        for name, split, content in _images(archive):
            place = (
                root / split / name.split("_")[0] / name
                if split == "train"
                else root / split / name
            )
            if split not in tree.SPLIT_FOLDERS or not place.parent.is_dir():
                raise InputError(
                    f"{path}: no folder {place.parent} for its image {name}; unpack the images"
                    " first"
                )
            with place.with_name(f".{name}").open("wb") as file:
                copyfileobj(content, file)
            place.with_name(f".{name}").replace(place)


def _images(archive: tarfile.TarFile) -> Iterator[tuple[str, str, IO[bytes]]]:
    """Yield (name, its folder's name, content) of each image; other entries are passed over."""
    for member in archive:
        path = PurePosixPath(member.name)
        if (
            member.isfile()
            and path.suffix.lower() in (".jpeg", ".jpg")
            and not path.name.startswith(".")
        ):
            yield path.name, path.parent.name, archive.extractfile(member)
    download.check_end(archive)


_UNPACK = {
    "kit": _kit,
    "train": _train,
    "val": _flat,
    "test": _flat,
    "test truth": _truth,
    "patch": _patch,
}
