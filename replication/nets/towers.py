"""Where the two towers run (section 3.2): on one device, or on one device each.

For towers on two ranks, see ``training.distributed.exchange``. A placement changes where a tower's
activations are, never its weights' names or values: a checkpoint written by any placement loads in
any other, and all give the same numbers."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from replication.base.errors import InputError
from replication.base.text import counted
from replication.nets.alexnet import AlexNet
from replication.nets.crossings import Devices, OneDevice


def on_devices(net: AlexNet, devices: Sequence[torch.device | str]) -> AlexNet:
    """Move ``net``'s towers to ``devices``, one each, in place; the logits are then on the first.

    Build the optimiser afterwards. Raises InputError unless there are as many devices as towers."""
    devices = [torch.device(device) for device in devices]
    if len(devices) != len(net.towers):
        raise InputError(
            f"the net has {counted(len(net.towers), 'tower')} and was given"
            f" {counted(len(devices), 'device')}; give one"
            " for each tower"
        )
    for tower, device in zip(net.towers.values(), devices, strict=True):
        tower.to(device)
    net.exchange = OneDevice() if len(set(devices)) == 1 else Devices(devices)
    return net


def load_towers(net: AlexNet, state: Mapping[str, Tensor]) -> None:
    """Load a whole net's ``state_dict`` into ``net``, which may have one tower only.

    Raises InputError if it is another net's."""
    wanted = {name: value.shape for name, value in net.state_dict().items()}
    ours = {name: value for name, value in state.items() if name.split(".")[1] in net.towers}
    shapes = {name: value.shape for name, value in ours.items()}
    wrong = sorted(
        name for name in wanted.keys() | shapes.keys() if wanted.get(name) != shapes.get(name)
    )
    if wrong:
        others = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise InputError(
            f"the checkpoint is of another net: {wrong[0]}{others} differs; use the recipe it was"
            " trained with"
        )
    net.load_state_dict(ours)
