"""The digest of the package's code, by which results and workers are told apart."""

from pathlib import Path

import pytest

from replication.base import code


def test_an_editors_lock_of_an_open_file_is_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text("1\n")
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    digest = code.code_digest.__wrapped__
    before = digest()
    (tmp_path / ".#a.py").symlink_to("user@host.123")  # as Emacs leaves it while a.py is edited
    assert digest() == before
    (tmp_path / "a.py").write_text("2\n")
    assert digest() != before
