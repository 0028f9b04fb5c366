"""Initial weights from another run or a file (section 6: nets that were pre-trained on Fall 2011).

The output layer starts afresh if the classes differ, or their order; every other layer must fit
exactly."""

import shutil
from pathlib import Path

from torch import nn

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import digest, write_atomic
from replication.base.text import counted
from replication.nets.alexnet import AlexNet
from replication.training.weights import FILE as WEIGHTS
from replication.training.weights import load_weights, weights_path

FILE = "file:"  # and the first 16 digits of the sha256 of a file kept in ``runs/weights``


def adopt(source: str) -> str:
    """Return the name in ``Recipe.init_from`` of ``source``, a run's id or a file of weights.

    A folder means the weights in it, as of a run or of an exported net. A file is copied into
    ``runs/weights`` and named by its content, because a path may lead to others tomorrow."""
    path = paths.named(source)
    if source == path.name and weights_path(source).is_file():
        return source
    if path.is_dir():
        path /= WEIGHTS
    if not path.is_file():
        raise InputError(
            f"{source}: neither a run with weights in {paths.runs()} nor a file of weights"
        )
    load_weights(path)
    name = FILE + digest(path)
    if not (kept := _place(name)).is_file():
        with path.open("rb") as file:
            write_atomic(kept, lambda copy: shutil.copyfileobj(file, copy))
    return name


def start_from(source: str, net: nn.Module, classes: tuple[str, ...]) -> str:
    """Load the weights named by ``source`` (``Recipe.init_from``) into ``net``.

    ``net`` is a whole net or one rank's tower. Returns a line that says what was loaded. Raises
    InputError if the weights are not available or belong to another net."""
    path = _place(source)
    weights = load_weights(path)
    if source.startswith(FILE) and FILE + digest(path) != source:
        raise InputError(
            f"{path}: not the file that the recipe names; give it to --init-from again"
        )
    fresh = None if weights.classes == classes else _output(net)
    wanted = net.state_dict()
    state = {}
    for name, value in wanted.items():
        if fresh is not None and name.startswith(f"{fresh}."):
            continue
        given = weights.state.get(name)
        if given is None or given.shape != value.shape:
            raise InputError(
                f"{path}: {name} there does not fit this net; use the recipe's net of run"
                f" {weights.recipe.id}"
            )
        state[name] = given
    if left := [
        name
        for name in weights.state
        if name not in wanted and _is_local(net, name) and not name.startswith(f"{fresh}.")
    ]:
        raise InputError(
            f"{path}: it has {left[0]}, and this net has not; use the recipe's net of run"
            f" {weights.recipe.id}"
        )
    net.load_state_dict(wanted | state)
    return f"weights start from {source}" + (
        f", with a new {fresh.split('.')[-1]} for {counted(len(classes), 'class')}" if fresh else ""
    )


def _place(source: str) -> Path:
    if source.startswith(FILE):
        return paths.runs() / "weights" / f"{source.removeprefix(FILE)}.safetensors"
    return weights_path(source)


def _output(net: nn.Module) -> str:
    if isinstance(net, AlexNet):
        return "towers.0.fc8"
    return [name for name, module in net.named_modules() if isinstance(module, nn.Linear)][-1]


def _is_local(net: nn.Module, name: str) -> bool:
    """Return whether a parameter of that name would be in this process, not in another rank."""
    return not isinstance(net, AlexNet) or name.split(".")[1] in net.towers
