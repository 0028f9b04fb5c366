"""The parameters that share a learning rate, and the rate that each has in an epoch."""

from torch import nn

from replication.base.errors import InputError
from replication.nets.alexnet import AlexNet
from replication.recipe import Recipe
from replication.training.schedule import CONV1, EpochSettings
from replication.training.sgd import PaperSGD


def optimiser_for(recipe: Recipe, net: nn.Module) -> PaperSGD:
    """Return the update rule for ``net``, with one group per set of parameters that share a rate.

    Weights and biases have groups of their own, and so has each layer with a rate of its own.
    Raises InputError if the recipe gives a rate or a decay to a layer that does not exist."""
    update = recipe.update
    separate = {
        *update.layer_rates,
        *update.layer_decays,
        *([CONV1] if recipe.schedule.kind == "timeline" else []),
    }
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {("", False): [], ("", True): []}
    # fc8 is on tower 0, and this may be tower 1's process
    layers = {"fc8"} if isinstance(net, AlexNet) else set()
    for name, parameter in net.named_parameters():
        layer, kind = name.split(".")[-2:]
        layers.add(layer)
        group = groups.setdefault((layer if layer in separate else "", kind == "bias"), [])
        group.append(parameter)
    if unknown := sorted(separate - layers):
        raise InputError(
            f"update names the layer {unknown[0]}, and the net has {', '.join(sorted(layers))}"
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


def set_learning_rates(recipe: Recipe, optimiser: PaperSGD, settings: EpochSettings) -> None:
    """Give every group its learning rate of an epoch."""
    update = recipe.update
    for group in optimiser.param_groups:
        factor = settings.biases if group["bias"] else settings.weights
        if group["layer"] == CONV1 and settings.conv1 is not None:
            factor = settings.conv1
        base = update.rate * update.bias_rate_factor if group["bias"] else update.rate
        group["lr"] = base * update.layer_rates.get(group["layer"], 1.0) * factor
