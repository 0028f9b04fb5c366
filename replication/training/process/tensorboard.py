"""A run's epochs as TensorBoard event files, beside its JSON lines."""

import json
from pathlib import Path
from typing import Any

from replication.base.epochs import METRICS
from replication.base.errors import InputError

FOLDER = "tensorboard"  # in the run's folder
SCALARS = (
    "loss",
    "running_error",
    "exact_error",
    "validation_error",
    "validation_error5",
    "rate",
)


class TensorBoard:
    """Adds each new row of a run's ``metrics.jsonl`` to its event files."""

    def __init__(self, folder: Path) -> None:
        """``folder``: the run's. Raises InputError without the package ``tensorboard``."""
        self.folder, self.metrics = folder / FOLDER, folder / METRICS
        # an interrupted run has written these before
        self.written = len(self._rows()) if self.folder.is_dir() else 0
        self.writer = _writer(self.folder)

    def update(self) -> None:
        """Add the rows that are new since the last call."""
        rows = self._rows()
        for row in rows[self.written :]:
            for name in SCALARS:
                if row.get(name) is not None:
                    self.writer.add_scalar(name, row[name], row["epoch"])
        self.written = max(self.written, len(rows))  # a run that resumes repeats some epochs
        self.writer.flush()

    def _rows(self) -> list[dict[str, Any]]:
        if not self.metrics.is_file():
            return []
        return [json.loads(line) for line in self.metrics.read_text("utf-8").splitlines()]


def _writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "--log tensorboard: the package is not installed; run `pip install"
            " '.[tensorboard]'` in the clone"
        ) from None
    return SummaryWriter(folder)
