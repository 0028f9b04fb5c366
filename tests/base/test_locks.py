"""Locks: one holder at a time, released when a process dies, and on file systems without flock."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import _unix

from replication.base.errors import InputError
from replication.base.locks import held, is_held, is_locked, locked


def test_a_second_holder_waits_and_then_gives_up(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    with held(path):
        assert is_held(path)
        with pytest.raises(TimeoutError), held(path, wait=0.2):
            pass
    assert not is_held(path)


def test_a_run_that_is_being_trained_is_refused_with_its_name(tmp_path: Path) -> None:
    with locked(tmp_path / "run", "the recipe abc"):
        assert is_locked(tmp_path / "run")
        refusal = pytest.raises(InputError, match="another process is training the recipe abc")
        with refusal, locked(tmp_path / "run", "the recipe abc", wait=0):
            pass
    assert not is_locked(tmp_path / "run")


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, os; from replication.base.locks import held\n"
        "with held(pathlib.Path(sys.argv[1])): print('held', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "lock")], capture_output=True, check=False
    )
    assert done.stdout == b"held\n"
    with held(tmp_path / "lock", wait=0):
        pass


@pytest.mark.parametrize("answer", [errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_flock_is_locked_by_a_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    def refuse(descriptor: int) -> bool:
        raise OSError(answer, "no flock here")

    monkeypatch.setattr(_unix, "lock_fd_nonblocking", refuse)
    with (
        locked(tmp_path, "a run"),
        pytest.raises(InputError),
        locked(tmp_path, "a run", wait=0),
    ):
        pass
    with locked(tmp_path, "a run", wait=0):
        pass
