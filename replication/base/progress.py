"""A bar on a terminal while something long is prepared; nothing elsewhere."""

import os
import sys
from typing import Any, TextIO


def is_live(out: TextIO) -> bool:
    """Return whether a line of ``out`` can be written over: on a terminal that is not dumb."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


class _NoBar:
    """What takes the bar's place on a machine without tqdm."""

    def __enter__(self) -> "_NoBar":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is shown."""

    def update(self, count: int = 1) -> None:
        """Nothing is shown."""


def progress_bar(
    total: int | None, done: int, unit: str, name: str = "", scale: bool = False
) -> Any:
    """Return a context manager with ``update``: a bar of ``total`` units, ``done`` before it."""
    try:
        from tqdm import tqdm
    except ImportError:
        return _NoBar()
    return tqdm(
        total=total,
        initial=done,
        unit=unit,
        unit_scale=scale,
        desc=name or None,
        disable=not is_live(sys.stderr),
    )
