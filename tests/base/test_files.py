"""Files: complete or absent, rights that follow umask and folder, errors that name them."""

import errno
import os
import stat
from pathlib import Path

import pytest

from replication.base import files
from replication.base.files import beside, write_atomic, write_text


@pytest.fixture(params=[0o002, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> int:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_and_folders_follow_the_umask(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "new" / "x.txt", "x")
    assert stat.S_IMODE((tmp_path / "new" / "x.txt").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o777 & ~umask


def test_the_group_of_a_setgid_folder_is_inherited(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    write_text(tmp_path / "inner" / "x.txt", "x")
    assert (tmp_path / "inner").stat().st_mode & stat.S_ISGID
    assert (tmp_path / "inner" / "x.txt").stat().st_gid == tmp_path.stat().st_gid


def test_a_failed_write_leaves_the_old_file_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "old")

    def full(file: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError) as caught:
        write_atomic(path, full)
    assert caught.value.filename == str(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("answer", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_without_folder_fsync_or_file_fsync_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(answer, "not supported")

    monkeypatch.setattr(files.os, "fsync", refuse)
    write_text(tmp_path / "x.txt", "x")
    assert (tmp_path / "x.txt").read_text() == "x"


def test_a_disk_that_fails_to_flush_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        write_text(tmp_path / "x.txt", "x")
    assert not list(tmp_path.iterdir())


def test_names_beside_a_path_are_hidden_and_never_the_same(tmp_path: Path) -> None:
    names = {beside(tmp_path / "x").name for _ in range(100)}
    assert len(names) == 100 and all(name.startswith(".x.") for name in names)
