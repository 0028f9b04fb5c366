"""Standard streams that are closed, full, or of an encoding that lacks our characters."""

import os
import select
import sys
from functools import cache


def prepare() -> tuple[int, int]:
    """Give every standard stream a place to write to, and a way to write any character.

    A closed one (``2>&-``) becomes /dev/null, so that no data file takes its number. Return
    copies of output and error, for ``has_reader``: rich replaces an output that is broken."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # the lowest free one
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return _copies()


@cache
def _copies() -> tuple[int, int]:
    return os.dup(1), os.dup(2)


def has_reader(number: int) -> bool:
    """Return False for a pipe that nobody reads any more, else True."""
    poll = select.poll()
    poll.register(number, 0)  # such a pipe is reported all the same
    return not poll.poll(0)


def finish() -> str:
    """Write out what is buffered; return what is wrong with standard output, or ""."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # a reader such as ``head`` has seen enough
        _discard()
    except OSError as error:
        _discard()
        return f"standard output: {error.strerror}"
    return ""


def _discard() -> None:
    """Keep Python from failing once more when it closes the stream."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
