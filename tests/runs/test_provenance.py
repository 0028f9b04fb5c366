"""A result's provenance names our commit or none, and the machine that computed it."""

import json
import subprocess
from pathlib import Path

import pytest

from replication.runs import provenance


def _repository(folder: Path) -> str:
    folder.mkdir(parents=True)
    (folder / "file").write_text(folder.name)
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*name, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)
    done = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_commit_of_another_repository_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(provenance.COMMIT, raising=False)
    ours, other = _repository(tmp_path / "ours"), _repository(tmp_path / "other")
    inside = tmp_path / "ours" / "venv" / "site-packages"
    inside.mkdir(parents=True)
    monkeypatch.setattr(provenance, "ROOT", inside)
    none = provenance.commit()
    assert (none["commit"], none["dirty"]) == (None, None)
    assert "inside another repository" in none["no_commit"]
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "ours")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert provenance.commit()["commit"] == ours != other


def test_a_git_that_does_not_answer_is_recorded_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(words: list[str], **options: object) -> None:
        raise subprocess.TimeoutExpired(words, 30, stderr=b"warning: a slow disk")

    monkeypatch.delenv(provenance.COMMIT, raising=False)
    monkeypatch.setattr(provenance.subprocess, "run", slow)
    assert "timed out after 30 seconds" in json.dumps(provenance.commit())
