"""The files of a training that have one line per epoch, as every room names and reads them."""

import json
from pathlib import Path

METRICS = "metrics.jsonl"  # losses and errors
TIMINGS = "timings.jsonl"  # how long each epoch took; absent in the oldest runs


def losses(folder: Path) -> list[float]:
    """Return the loss of every epoch of a training; [] if they are not on record.

    They tell trainings apart. The other columns depend on the version of this project."""
    path = folder / METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line)["loss"] for line in lines]
