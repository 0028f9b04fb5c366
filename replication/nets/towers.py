"""Where the two towers run (section 3.2): one device, or one device for each. For one rank each,
see ``training.distributed.ranks``.

A placement changes where a tower's activations are, never its weights' names or values: a
checkpoint written by any placement loads in any other, and all give the same numbers."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from replication.base.errors import InputError
from replication.nets.alexnet import OneDevice, Parts, TowerNet


class Devices(OneDevice):
    """The crossings of towers on two devices of one process: each reader gets a copy of what the
    other tower has.

    On CUDA the copies are queued and do not stop the process, so both devices compute at the same
    time: each has its own stream."""

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self.devices = devices

    def cross(self, parts: Parts) -> Parts:
        return {reader: self._both(self._on(self.devices[reader], parts)) for reader in parts}

    def output(self, parts: Parts, head: Callable[[Tensor], Tensor]) -> Tensor:
        return head(self._both(self._on(self.devices[0], parts)))

    def _on(self, device: torch.device, parts: Parts) -> Parts:
        return {index: part.to(device, non_blocking=True) for index, part in parts.items()}


def on_devices(net: TowerNet, devices: Sequence[torch.device | str]) -> TowerNet:
    """Put ``net``'s towers on ``devices``, one each, in place; the logits are then on the first.
    Make the optimiser afterwards.

    Raises InputError if there are not as many devices as towers.
    """
    devices = [torch.device(device) for device in devices]
    if len(devices) != len(net.towers):
        raise InputError(
            f"the net has {len(net.towers)} towers and was given {len(devices)} devices; give one"
            " for each tower"
        )
    for tower, device in zip(net.towers.values(), devices, strict=True):
        tower.to(device)
    net.exchange = OneDevice() if len(set(devices)) == 1 else Devices(devices)
    return net


def load_towers(net: TowerNet, state: Mapping[str, Tensor]) -> None:
    """Load a whole net's ``state_dict`` into ``net``, which may hold one tower only. Raises
    InputError if it is another net's.
    """
    wanted = {name: value.shape for name, value in net.state_dict().items()}
    held = {name: value for name, value in state.items() if name.split(".")[1] in net.towers}
    shapes = {name: value.shape for name, value in held.items()}
    wrong = sorted(
        name for name in wanted.keys() | shapes.keys() if wanted.get(name) != shapes.get(name)
    )
    if wrong:
        others = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise InputError(
            f"the checkpoint is of another net: {wrong[0]}{others} differs; use the recipe it was"
            " made with"
        )
    net.load_state_dict(held)
