"""Where a run stands, and how that goes into a checkpoint and comes out of it.

A checkpoint holds the whole net and all velocities by the parameters' names, whatever number of
devices or ranks wrote it, so any placement goes on from any other's."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from replication.base.errors import InputError
from replication.data.loader import Loader
from replication.nets.alexnet import AlexNet
from replication.nets.towers import load_towers
from replication.recipe import Recipe
from replication.training import schedule
from replication.training.distributed.team import Alone
from replication.training.sgd import PaperSGD


@dataclass
class Progress:
    """Where a run stands: everything but the weights and velocities."""

    epoch: int = 0  # epochs that are complete
    step: int = 0  # minibatches done of the epoch in hand
    mistakes: int = 0  # of the epoch's minibatches so far, each counted before its update
    # of them, in the epoch's last fifth; None: a checkpoint of before these were counted has no
    # number
    late: int | None = 0
    loss: float = 0.0  # sum over the epoch's minibatches so far
    window: float = 0.0  # sum of the loss since the last look at whether it is stuck
    stuck: bool = False  # it was found stuck in this epoch, and the run goes on all the same
    busy: float = 0.0  # seconds of the epoch in hand so far
    waited: float = 0.0  # of them, seconds in which the net waited for images
    seconds: float = 0.0  # of all sessions of this run
    ended: str = ""  # "", "epochs", "stop_error", "plateau" or "diverged"
    history: list[dict[str, Any]] = field(default_factory=list)  # one row an epoch
    # one row an epoch; kept apart, because they are never the same twice
    timings: list[dict[str, Any]] = field(default_factory=list)
    memory: schedule.Memory = field(default_factory=schedule.Memory)

    def dump(self) -> str:
        """As text, for the checkpoint."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Progress":
        """From ``dump``."""
        values = {"late": None} | json.loads(text)
        return cls(**values | {"memory": schedule.Memory(**values["memory"])})


def optimiser_for(recipe: Recipe, net: nn.Module) -> PaperSGD:
    """Groups of parameters that share a rate: weights and biases, apart for each layer whose rate
    is set by itself.

    Raises InputError if the recipe gives a rate or a decay to a layer that there is not.
    """
    update = recipe.update
    alone = {
        *update.layer_rates,
        *update.layer_decays,
        *([schedule.CONV1] if recipe.schedule.kind == "timeline" else []),
    }
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {("", False): [], ("", True): []}
    # on tower 0, and this may be tower 1's process
    found = {"fc8"} if isinstance(net, AlexNet) else set()
    for name, parameter in net.named_parameters():
        layer, kind = name.split(".")[-2:]
        found.add(layer)
        groups.setdefault((layer if layer in alone else "", kind == "bias"), []).append(parameter)
    if unknown := sorted(alone - found):
        raise InputError(
            f"update names the layer {unknown[0]}, and the net has {', '.join(sorted(found))}"
        )
    return PaperSGD(
        [
            {
                "params": parameters,
                "layer": layer,
                "bias": bias,
                "weight_decay": (
                    update.layer_decays.get(layer, update.weight_decay)
                    if not bias or update.decay_biases
                    else 0.0
                ),
            }
            for (layer, bias), parameters in groups.items()
            if parameters
        ],
        update.rate,
        update.momentum,
    )


def set_rates(recipe: Recipe, optimiser: PaperSGD, holds: schedule.Now) -> None:
    """Give every group the rate that holds in an epoch."""
    update = recipe.update
    for group in optimiser.param_groups:
        factor = holds.biases if group["bias"] else holds.weights
        if group["layer"] == schedule.CONV1 and holds.conv1 is not None:
            factor = holds.conv1
        base = update.rate * update.bias_rate_factor if group["bias"] else update.rate
        group["rate"] = base * update.layer_rates.get(group["layer"], 1.0) * factor


def velocities(net: nn.Module, optimiser: PaperSGD) -> dict[str, Tensor]:
    """Every parameter's velocity by its name; zeros where it has not moved yet."""
    found = {
        name: optimiser.state[p].get("velocity") if p in optimiser.state else None
        for name, p in net.named_parameters()
    }
    return {
        name: torch.zeros_like(p) if found[name] is None else found[name]
        for name, p in net.named_parameters()
    }


def dump(
    recipe: Recipe,
    net: nn.Module,
    optimiser: PaperSGD,
    loader: Loader,
    progress: Progress,
    team: Alone,
) -> dict[str, Any] | None:
    """What a checkpoint holds; None on a rank that writes none. A joint act of all ranks."""
    weights, moving = team.whole(net.state_dict(), net), team.whole(velocities(net, optimiser), net)
    if not team.first:
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
    """Put a checkpoint's state into ``net``, which may hold one tower only, and ``optimiser``.

    Raises InputError where it was made with another recipe, on other images, or with the classes in
    another order."""
    if Recipe.model_validate_json(state["recipe"]) != recipe:
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
    return Progress.read(state["progress"])
