"""Small arrays that a reviewer needs, stored with the results.

They are the net's probabilities for every image, and the kernels of its first layer. Probabilities
are float16, which changes them by less than 0.0005 and keeps the ranks of all but equal ones;
errors are always computed before, from float32.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from replication.base.files import write_atomic
from replication.evaluation.predictions import Predictions

PROBABILITIES = "probabilities.npz"
KERNELS = "conv1.npz"


def probabilities_file(answers: Mapping[str, Predictions]) -> bytes:
    """Return the content of ``PROBABILITIES``: answers by "split/views", images in order of ids."""
    arrays: dict[str, np.ndarray] = {}
    for key, answer in answers.items():
        order = np.argsort(answer.ids)
        arrays |= {
            f"{key}/ids": answer.ids[order],
            f"{key}/labels": answer.labels[order].astype(np.int16),
            f"{key}/p": answer.p[order].astype(np.float16),
            f"{key}/classes": np.array(answer.classes),
            f"{key}/fingerprint": np.array(answer.fingerprint),
        }
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    return content.getvalue()


def read_probabilities(path: Path) -> dict[str, Predictions]:
    """Return the answers in a file of ``probabilities_file``, by "split/views"."""
    with np.load(path, allow_pickle=False) as stored:
        keys = [name.removesuffix("/ids") for name in stored.files if name.endswith("/ids")]
        return {
            key: Predictions(
                stored[f"{key}/ids"],
                stored[f"{key}/labels"].astype(np.int64),
                stored[f"{key}/p"].astype(np.float32),
                tuple(stored[f"{key}/classes"].tolist()),
                key.partition("/")[0],
                str(stored[f"{key}/fingerprint"]),
            )
            for key in keys
        }


def write_kernels(path: Path, towers: Sequence[np.ndarray]) -> None:
    """Write conv1's kernels, float32 (n, 3, k, k), of each tower."""
    arrays = {f"tower{number}": kernels for number, kernels in enumerate(towers)}
    write_atomic(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def read_kernels(path: Path) -> list[np.ndarray]:
    """Return what ``write_kernels`` wrote, tower by tower."""
    with np.load(path, allow_pickle=False) as stored:
        return [stored[f"tower{number}"] for number in range(len(stored.files))]
