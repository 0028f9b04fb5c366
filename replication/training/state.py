"""The state of a run, and how it goes into a checkpoint and comes out of it.

A checkpoint holds the whole net and all velocities by the parameters' names, regardless of the
number of devices or ranks that wrote it. So any placement resumes from any other's."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import nn

from replication.base.errors import InputError
from replication.data.loader import Loader
from replication.nets.alexnet import AlexNet
from replication.nets.towers import load_towers
from replication.recipe import Recipe
from replication.training.distributed.group import SingleProcess
from replication.training.schedule import ScheduleState
from replication.training.sgd import PaperSGD


@dataclass
class EpochSums:
    """Sums over the minibatches of the current epoch."""

    loss: float = 0.0
    mistakes: int = 0  # each counted before its update
    # of them, in the epoch's last fifth; None: unknown, as the epoch began in an older version
    late_mistakes: int | None = 0
    stuck: bool = False  # the loss was found stuck at guessing, and training continued
    seconds: float = 0.0
    waited: float = 0.0  # of them, seconds in which the net waited for images
    early_mistakes: int | None = 0  # in the epoch's first fifth; None: as above
    # images that could not be read, in the epoch and in these two fifths of it
    left_out: int = 0
    late_left_out: int = 0
    early_left_out: int = 0


@dataclass
class Progress:
    """The state of a run, except for its weights and velocities."""

    epoch: int = 0  # complete epochs
    step: int = 0  # complete minibatches of the current epoch
    sums: EpochSums = field(default_factory=EpochSums)
    window: float = 0.0  # sum of the loss since the last check for a stuck loss
    seconds: float = 0.0  # of all sessions of this run
    ended: str = ""  # "", "epochs", "stop_error", "plateau" or "diverged"
    history: list[dict[str, Any]] = field(default_factory=list)  # one row per epoch
    # one row per epoch; separate, because they are never the same twice
    timings: list[dict[str, Any]] = field(default_factory=list)
    schedule: ScheduleState = field(default_factory=ScheduleState)

    def dump(self) -> str:
        """Return the state as text, for the checkpoint."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Progress":
        """Return the state that ``dump`` wrote, in this version or an older one."""
        values = json.loads(text)
        if "sums" not in values:
            values = _from_flat(values)
        values["sums"] = EpochSums(**{"early_mistakes": None} | values["sums"])
        values["schedule"] = ScheduleState(**values["schedule"])
        return cls(**values)


# Names in checkpoints of the first version, which kept the epoch's sums beside the rest.
FLAT_SUMS = {
    "loss": "loss",
    "mistakes": "mistakes",
    "late": "late_mistakes",
    "stuck": "stuck",
    "busy": "seconds",
    "waited": "waited",
}


def _from_flat(old: dict[str, Any]) -> dict[str, Any]:
    sums = {new: old[name] for name, new in FLAT_SUMS.items() if name in old}
    kept = {one.name for one in fields(Progress)}
    values = {name: value for name, value in old.items() if name in kept}
    return values | {"sums": {"late_mistakes": None} | sums, "schedule": old["memory"]}


@torch.no_grad()
def is_finite(net: nn.Module, optimiser: PaperSGD) -> bool:
    """Return whether every weight and every velocity of this process is a finite number."""
    moving = [state["velocity"] for state in optimiser.state.values() if "velocity" in state]
    return all(bool(t.isfinite().all()) for t in [*net.parameters(), *moving])


def dump(
    recipe: Recipe,
    net: nn.Module,
    optimiser: PaperSGD,
    loader: Loader,
    progress: Progress,
    group: SingleProcess,
) -> dict[str, Any] | None:
    """Return what a checkpoint holds; None in a process that writes none. A joint call."""
    weights = group.gather(net.state_dict(), net)
    velocities = {name: optimiser.velocity(p) for name, p in net.named_parameters()}
    moving = group.gather(velocities, net)
    if not group.is_main:
        return None
    return {
        "recipe": recipe.model_dump_json(),
        "data": loader.fingerprint,
        "classes": list(loader.classes),
        "net": weights,
        "velocities": moving,
        "progress": progress.dump(),
    }


def restore(
    state: dict[str, Any],
    recipe: Recipe,
    net: nn.Module,
    optimiser: PaperSGD,
    loader: Loader,
    place: object,
) -> Progress:
    """Load a checkpoint's state into ``net``, which may have one tower only, and ``optimiser``.

    A checkpoint of the same recipe with fewer epochs is extended. Raises InputError if it is of
    another recipe, of other images, or has the classes in another order. ``place`` names the
    checkpoint's folder in the message."""
    stored = Recipe.model_validate_json(state["recipe"])
    if stored.model_copy(update={"epochs": recipe.epochs}) != recipe or (
        stored.epochs > recipe.epochs
    ):
        raise InputError(
            f"{place}: the checkpoint there was made with another recipe; name another"
            " REPLICATION_RUNS folder"
        )
    if state["classes"] != list(loader.classes):
        raise InputError(
            f"{place}: the checkpoint there has other classes, or in another order; move it away to"
            " start afresh"
        )
    if state["data"] != loader.fingerprint:
        raise InputError(
            f"{place}: the checkpoint there was made on other images of {loader.index.name}; move"
            " it away to start afresh"
        )
    if isinstance(net, AlexNet):
        load_towers(net, state["net"])
    else:
        net.load_state_dict(state["net"])
    for name, p in net.named_parameters():
        optimiser.state[p]["velocity"] = torch.empty_like(p).copy_(state["velocities"][name])
    progress = Progress.read(state["progress"])
    if progress.ended == "epochs" and progress.epoch < recipe.epochs:
        progress.ended = ""
    return progress
