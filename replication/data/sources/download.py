"""Files from an official source: downloaded, checked against the published hash, unpacked.

A file or folder under its final name is whole. A download in progress is ``<file>.part`` beside it
and is resumed; an archive is unpacked into a hidden folder that is renamed at the end."""

import hashlib
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from replication.base.errors import InputError
from replication.base.progress import progress_bar
from replication.data.sources.disk import check_space

try:
    from lzma import LZMAError
except ImportError:  # a Python that was built without it, whose tarfile reads no such archive
    LZMAError = EOFError  # type: ignore[assignment, misc]

RETRIES = 2
TIMEOUT = 30  # seconds without an answer
CHUNK = 1 << 16  # bytes; a connection that breaks loses no more than this
# what the readers of archives raise on a damaged one, or on a compression that they lack; and an
# OSError without a number
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    NotImplementedError,
)
ENCRYPTED = 1  # bit of a zip entry's flags


def download(url: str, known_hash: str, path: Path, instead: str) -> Path:
    """Download ``url`` to ``path`` unless it is there with ``known_hash`` ("md5:...").

    Resumes and retries. ``instead`` says what the user may do without a network; it ends the line
    of the InputError."""
    # here, because pooch loads tqdm's notebook bar, which warns in every notebook that only reads
    # data, and because a bare machine has neither
    import pooch
    import requests

    fetcher = pooch.create(
        path.parent,
        base_url="",
        registry={path.name: known_hash},
        urls={path.name: url},
        retry_if_failed=RETRIES,
    )
    pooch.get_logger().setLevel("WARNING")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetcher.fetch(path.name, downloader=_resume)
    except requests.exceptions.RequestException as error:
        raise InputError(f"cannot download {url} ({type(error).__name__}); {instead}") from None
    except ValueError:  # pooch's word for a wrong hash
        raise InputError(
            f"{url} does not have the published {known_hash}; the download was dropped; {instead}"
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; free space or set REPLICATION_DATA"
        ) from None
    return path


def check_hash(path: Path, known_hash: str) -> None:
    """Raise InputError unless the file has this hash."""
    algorithm, _, value = known_hash.partition(":")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    total = path.stat().st_size
    with (
        path.open("rb") as file,
        progress_bar(total, 0, "B", path.name, scale=True) as bar,
    ):
        while block := file.read(1 << 20):
            digest.update(block)
            bar.update(len(block))
    if digest.hexdigest() != value:
        raise InputError(
            f"{path} does not have the published {known_hash}: damaged or incomplete; remove it and"
            " get it again"
        )


def unpack(archive: Path, folder: str, into: Path) -> Path:
    """Unpack the top folder of a tar or zip file into ``into`` and return its place.

    Only plain files and folders inside ``folder`` are accepted; links, devices, absolute paths and
    ".." are refused before anything is moved into place."""
    into.mkdir(parents=True, exist_ok=True)
    place = into / folder
    check_space(into, archive.stat().st_size, f"the files of {archive.name}")
    with tempfile.TemporaryDirectory(dir=into, prefix=f".{folder}.") as work:
        try:
            for name, content in members(archive):
                _write(name, content, Path(work), archive)
        except (*DAMAGE, OSError) as error:
            raise InputError(
                f"cannot unpack {archive}: {error}; remove it and get it again, or free some space"
            ) from None
        if not (Path(work) / folder).is_dir():
            raise InputError(f"{archive} holds no folder {folder}: not the official archive")
        if not place.exists():
            (Path(work) / folder).rename(place)
    return place


def members(archive: Path) -> Iterator[tuple[str, BinaryIO | None]]:
    """Yield (name, content) of each file of a zip or tar file; content None if it is no plain file.

    The content can be read until the next one is asked for. Raises one of ``DAMAGE``, also for an
    archive that is cut short."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                if entry.flag_bits & ENCRYPTED:
                    raise zipfile.BadZipFile("it is encrypted")
                if not entry.is_dir():
                    with opened.open(entry) as content:
                        yield entry.filename, content
    else:
        with tarfile.open(archive) as opened:
            for member in opened:
                if not member.isdir():
                    yield member.name, opened.extractfile(member) if member.isfile() else None
            check_end(opened)
            _check_sum(opened)


def check_end(archive: tarfile.TarFile) -> None:
    """Raise ReadError unless the archive ends with zeros, as every tar file does.

    Python accepts one that is cut between two entries."""
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends early")


def _check_sum(archive: tarfile.TarFile) -> None:
    """Read the rest of an archive; Python then raises an error if a compressed one is damaged.

    Its checksum comes last, and reading the entries does not reach it."""
    while archive.fileobj.read(CHUNK):
        pass


def _write(name: str, content: BinaryIO | None, work: Path, archive: Path) -> None:
    parts = PurePosixPath(name).parts
    if (
        content is None
        or not parts
        or ".." in parts
        or PurePosixPath(name).is_absolute()
        or "\\" in name
    ):
        raise InputError(
            f"{archive} is refused: its entry {name!r} would leave the folder or is a link; not the"
            " official archive"
        )
    path = work.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, CHUNK)


def _resume(url: str, output_file: str, fetcher: Any) -> None:
    """Resume from ``<file>.part`` if there is one, then move it to ``output_file``.

    The hash check follows.
    """
    import requests

    name = next(name for name in fetcher.registry if fetcher.get_url(name) == url)
    part = Path(fetcher.abspath) / f"{name}.part"
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        # the part is whole already
        if answer.status_code != requests.codes.requested_range_not_satisfiable:
            answer.raise_for_status()
            go_on = answer.status_code == requests.codes.partial_content
            have = have if go_on else 0
            total = have + int(answer.headers.get("Content-Length", 0)) or None
            with (
                part.open("ab" if go_on else "wb") as file,
                progress_bar(total, have, "B", name, scale=True) as bar,
            ):
                for block in answer.iter_content(CHUNK):
                    file.write(block)
                    bar.update(len(block))
            if total and part.stat().st_size < total:
                raise requests.exceptions.ConnectionError(f"{url} ended early")
    shutil.move(part, output_file)
