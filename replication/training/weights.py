"""The final weights of a run: one safetensors file that describes itself and runs no code."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import write_atomic
from replication.recipe import Recipe

try:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save
except ImportError:  # a bare machine with torch (``replication.lease``)
    from replication.training.plain_safetensors import (  # type: ignore[assignment]
        SafetensorError,
        safe_open,
        save,
    )

FILE = "weights.safetensors"
MEAN = "mean_image"  # its name in the file; no parameter of a net has this name


class Weights(NamedTuple):
    """Trained weights and their origin."""

    state: dict[str, Tensor]  # of the whole net, by parameter name
    recipe: Recipe
    classes: tuple[str, ...]  # in the order of the outputs
    fingerprint: str  # of the training images
    epochs: int
    # float32 (S, S, 3), grey levels: subtracted from stored images; None: nothing is subtracted,
    # or the file is of an older version, which did not store it
    mean: np.ndarray | None = None


def weights_path(run: str, epoch: int | None = None) -> Path:
    """Return the weights file of the run with that id, or of those it keeps after ``epoch``."""
    return paths.runs() / run / (FILE if epoch is None else f"weights-after-{epoch}.safetensors")


def no_weights(path: Path) -> InputError:
    """Return the error for missing weights, with the command that trains them."""
    command = training_command(path.parent.name)
    how = f" with `{command}`" if command else ""
    return InputError(
        f"{path}: no such weights; train it first{how}, or name the folder that holds them in"
        " REPLICATION_RUNS"
    )


def training_command(run: str) -> str | None:
    """Return the command that trains the run with this id; None for an unknown recipe."""
    for stored in sorted(paths.results().rglob(f"*-{run}/recipe.json")):
        return f"replication train {shlex.quote(str(stored))}"
    from replication.recipes import NETS, PROFILES, named  # its YAML is not on a bare machine

    for name in NETS:
        for profile in PROFILES:
            if named(name, profile).id == run:
                return f"replication train {name} --profile {profile}"
    return None


def save_weights(
    path: Path,
    state: Mapping[str, Tensor],
    recipe: Recipe,
    classes: tuple[str, ...],
    fingerprint: str,
    epochs: int,
    mean: np.ndarray | None = None,
) -> None:
    """Write ``state`` with its origin and the mean image, whole or not at all."""
    notes = {
        "recipe": recipe.model_dump_json(),
        "classes": json.dumps(classes),
        "fingerprint": fingerprint,
        "epochs": str(epochs),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    if mean is not None:
        tensors[MEAN] = torch.from_numpy(np.ascontiguousarray(mean, np.float32))
    content = _with_notes(save(tensors), notes)
    write_atomic(path, lambda file: file.writelines(content))


def _with_notes(content: bytes, notes: dict[str, str]) -> tuple[bytes, memoryview]:
    """Return a safetensors file's content with ``notes`` in its header, in their order.

    The library writes them in an order that differs from call to call, so that the same weights
    would not give the same file."""
    # The header is JSON, padded with spaces to a multiple of eight bytes.
    size = int.from_bytes(content[:8], "little")
    header = json.dumps({"__metadata__": notes} | json.loads(content[8 : 8 + size])).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header, memoryview(content)[8 + size :]


def load_weights(path: Path) -> Weights:
    """Load weights onto the CPU.

    Raises InputError for a file that is missing, cannot be read, is damaged or without its origin.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            names = file.keys()
            state = {name: file.get_tensor(name) for name in names}
        recipe = Recipe.model_validate_json(notes["recipe"])
        classes = tuple(json.loads(notes["classes"]))
        mean = state.pop(MEAN).numpy() if MEAN in state else None
        return Weights(state, recipe, classes, notes["fingerprint"], int(notes["epochs"]), mean)
    except FileNotFoundError:
        raise no_weights(path) from None
    except OSError as error:  # of the library, without the file's name
        raise InputError(f"{path}: cannot be read ({error})") from None
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not weights of this project, or damaged ({type(error).__name__}); train the"
            " run again"
        ) from error
