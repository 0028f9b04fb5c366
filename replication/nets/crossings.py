"""The crossings of Figure 2: how the two towers read each other's activations.

``OneDevice`` serves towers that share a device and ``Devices`` towers on two devices of one
process. For towers on two ranks, see ``training.distributed.exchange``."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# The activations of the towers in this process, by the tower's number.
Parts = dict[int, Tensor]


class OneDevice:
    """The crossings of towers that share a device.

    Both towers read the maps of tower 0, then those of tower 1."""

    def cross(self, parts: Parts) -> Parts:
        """Return what each tower reads, given what each tower computed."""
        return dict.fromkeys(parts, self._both(parts))

    def output(self, parts: Parts, head: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the logits; ``head`` is fc8, which is on tower 0 and reads both towers."""
        return head(self._both(parts))

    def _both(self, parts: Parts) -> Tensor:
        return torch.cat([parts[0], parts[1]], 1) if len(parts) == 2 else parts[0]


class Devices(OneDevice):
    """The crossings of towers on two devices of one process.

    Each reader gets a copy of the other tower's activations. On CUDA the copies are queued and do
    not stop the process, so both devices compute at the same time, each on its own stream."""

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self.devices = devices

    def cross(self, parts: Parts) -> Parts:
        return {reader: self._both(self._on(self.devices[reader], parts)) for reader in parts}

    def output(self, parts: Parts, head: Callable[[Tensor], Tensor]) -> Tensor:
        return head(self._both(self._on(self.devices[0], parts)))

    def _on(self, device: torch.device, parts: Parts) -> Parts:
        return {index: copy_to(device, part) for index, part in parts.items()}


def copy_to(device: torch.device, tensor: Tensor) -> Tensor:
    """Return ``tensor`` on ``device``; a copy to CUDA is queued, one to the CPU is waited for.

    A queued copy to the CPU would be read before it is complete."""
    return tensor.to(device, non_blocking=device.type == "cuda")
