"""The final weights of a run: one safetensors file that says what it is, loadable without running
any code of its maker.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import write_atomic
from replication.recipe import Recipe

FILE = "weights.safetensors"


class Weights(NamedTuple):
    """Trained weights, and what they were trained as."""

    state: dict[str, Tensor]  # of the whole net, under its own names
    recipe: Recipe
    classes: tuple[str, ...]  # in the order of the outputs
    fingerprint: str  # of the training images
    epochs: int


def weights_path(run: str) -> Path:
    """Where the run with that id leaves its weights."""
    return paths.runs() / run / FILE


def save_weights(
    path: Path,
    state: Mapping[str, Tensor],
    recipe: Recipe,
    classes: tuple[str, ...],
    fingerprint: str,
    epochs: int,
) -> None:
    """Write ``state`` with its origin, whole or not at all."""
    notes = {
        "recipe": recipe.model_dump_json(),
        "classes": json.dumps(classes),
        "fingerprint": fingerprint,
        "epochs": str(epochs),
    }
    content = _noted(
        save({name: value.detach().cpu().contiguous() for name, value in state.items()}), notes
    )
    write_atomic(path, lambda file: file.writelines(content))


def _noted(content: bytes, notes: dict[str, str]) -> tuple[bytes, memoryview]:
    """A safetensors file's content with ``notes`` in its header, in their order.

    The library writes them in an order that differs from call to call; so the same weights would
    not be the same file."""
    # of the header, JSON that spaces fill up to a multiple of eight bytes
    size = int.from_bytes(content[:8], "little")
    header = json.dumps({"__metadata__": notes} | json.loads(content[8 : 8 + size])).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header, memoryview(content)[8 + size :]


def load_weights(path: Path) -> Weights:
    """Read weights onto the CPU. Raises InputError for a file that is damaged or says nothing of
    its origin.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            names = file.keys()
            state = {name: file.get_tensor(name) for name in names}
        recipe, classes = (
            Recipe.model_validate_json(notes["recipe"]),
            tuple(json.loads(notes["classes"])),
        )
        return Weights(state, recipe, classes, notes["fingerprint"], int(notes["epochs"]))
    except FileNotFoundError:
        raise InputError(f"{path}: no such weights; train the run first") from None
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not weights of this project, or damaged ({type(error).__name__}); train the"
            " run again"
        ) from error
