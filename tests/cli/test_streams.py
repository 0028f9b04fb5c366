"""Standard streams: closed, full, ASCII or cut short, and JSON that parses in all of them."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from replication.base import paths
from replication.cli import app

COMMAND = f"{sys.executable} -m replication"


def _shell(line: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=paths.ROOT,
        env=os.environ | {"PYTHONPATH": str(paths.ROOT)} | variables,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_a_closed_standard_error_is_no_failure() -> None:
    done = _shell(f"{COMMAND} --version 2>&-")
    assert done.returncode == 0 and done.stdout.startswith(b"replication")


def test_a_full_standard_output_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    done = _shell(f"{COMMAND} claims >/dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(b"replication: ")
    assert b"No space left" in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["claims", "claims --json", "where dropout", "--help"])
def test_a_reader_that_stops_is_no_failure(words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # at once: ``head`` may be too slow for a short answer
    done = subprocess.run(
        [*COMMAND.split(), *words.split()],
        env=os.environ | {"PYTHONPATH": str(paths.ROOT)},
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_command_whose_report_nobody_reads_is_cut_short_and_not_done() -> None:
    program = """
import sys, typer
from replication.cli import app
app.app = typer.Typer()
app.app.command()(lambda: print("epoch 1", file=sys.stderr))
sys.argv = ["replication"]
app.main()
"""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, stdout=writing, stderr=writing, timeout=120, check=False)
    os.close(writing)
    assert done.returncode == 1


def test_a_broken_pipe_to_a_process_of_ours_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(app, "app", typer.Typer(pretty_exceptions_enable=False))
    app.app.command()(broken)
    monkeypatch.setattr(sys, "argv", ["replication"])
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # typer wraps both
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    with pytest.raises(BrokenPipeError):
        app.main()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict", "latin-1"])
def test_json_parses_in_every_encoding(encoding: str) -> None:
    done = _shell(f"{COMMAND} claims --json", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("ascii"))["rows"]


def test_tables_are_written_to_a_stream_without_their_characters() -> None:
    done = _shell(f"{COMMAND} claims", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and b"Traceback" not in done.stderr
