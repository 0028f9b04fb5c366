"""The paper's update rule (section 5), which differs from what frameworks call momentum SGD.

    v <- 0.9 v - 0.0005 eps w - eps g        w <- w + v

The learning rate eps is inside the velocity v. ``torch.optim.SGD`` keeps it outside, so the two
agree while eps is constant and differ for about ten steps after every drop of the rate: there, this
rule still moves by the old, larger velocity."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from replication.nets.compiling import can_compile


class PaperSGD(torch.optim.Optimizer):
    """Minibatch gradient descent with momentum and weight decay, as section 5 writes it.

    Each parameter group has its own ``lr`` (the learning rate), ``momentum`` and ``weight_decay``.
    A group with rate 0 is frozen: no update, no decay and no drift by momentum, as in the 2012
    code. The update is batched over the tensors of a group. On CUDA it is one kernel for all of
    them (``fused_update``), if Triton is installed."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0005,
    ) -> None:
        self.half: dict[Tensor, Tensor] = {}  # weight -> its copy in bf16, see ``keep_half``
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            if group["lr"] == 0:
                continue
            weights = [w for w in group["params"] if self.gradient(w) is not None]
            for here in _by_device(weights):  # two, if each tower has a device of its own
                self._update(here, group["lr"], group["momentum"], group["weight_decay"])

    def _update(self, weights: list[Tensor], lr: float, momentum: float, decay: float) -> None:
        """Update the weights of one group on one device."""
        gradients = [self.gradient(w) for w in weights]
        copies = [self.half[w] for w in weights if w in self.half]
        velocities = [self.velocity(w) for w in weights]
        if weights[0].is_cuda and can_compile():
            from replication.training import fused_update  # needs Triton

            if fused_update.can_update(weights, velocities, gradients):
                settings = (momentum, -lr * decay, -lr)
                fused_update.update(weights, velocities, gradients, copies or None, *settings)
                return
        gradients = [g.to(w.dtype) for w, g in zip(weights, gradients, strict=True)]
        torch._foreach_mul_(velocities, momentum)
        if decay:
            torch._foreach_add_(velocities, weights, alpha=-lr * decay)
        torch._foreach_add_(velocities, gradients, alpha=-lr)
        torch._foreach_add_(weights, velocities)
        if copies:
            torch._foreach_copy_(copies, weights)

    def keep_half(self, net: nn.Module) -> None:
        """Keep a bf16 copy of every weight of ``net``, which forward and backward passes use.

        Autocast would make the same copy in every step, and a float32 copy of every gradient."""
        self.half = {
            w: torch.empty_like(w, dtype=torch.bfloat16, requires_grad=True)
            for w in net.parameters()
        }
        self.copy_half()

    @torch.no_grad()
    def copy_half(self) -> None:
        """Bring the bf16 copies up to date."""
        if self.half:
            torch._foreach_copy_(list(self.half.values()), list(self.half))

    def gradient(self, w: Tensor) -> Tensor | None:
        """Return the gradient of ``w``, in bf16 if there is a copy of it."""
        return self.half[w].grad if w in self.half else w.grad

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for copy in self.half.values():
            copy.grad = None

    def velocity(self, w: Tensor) -> Tensor:
        """Return the velocity of ``w``, zero before its first update."""
        state = self.state[w]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(w)
        return state["velocity"]


def _by_device(weights: list[Tensor]) -> list[list[Tensor]]:
    """Return the weights of each device, in their order."""
    found: dict[torch.device, list[Tensor]] = {}
    for w in weights:
        found.setdefault(w.device, []).append(w)
    return list(found.values())
