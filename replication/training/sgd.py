"""The paper's update rule (section 5), which differs from what frameworks call momentum SGD.

    v <- 0.9 v - 0.0005 eps w - eps g        w <- w + v

The learning rate eps is inside the velocity v. ``torch.optim.SGD`` keeps it outside, so the two
agree while eps is constant and differ for about ten steps after every drop of the rate: there, this
rule still moves by the old, larger velocity."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from replication.nets.normalisation_compiled import can_compile


class PaperSGD(torch.optim.Optimizer):
    """Minibatch gradient descent with momentum and weight decay, as section 5 writes it.

    Each parameter group has its own ``lr`` (the learning rate), ``momentum`` and ``weight_decay``.
    A group with rate 0 is frozen: no update, no decay and no drift by momentum, as in the 2012
    code. The update is batched over the tensors of a group. On CUDA it is one kernel for each
    tensor (``fused_update``), if Triton is there."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0005,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            lr = group["lr"]
            weights = [w for w in group["params"] if w.grad is not None]
            if lr == 0 or not weights:
                continue
            gradients = [w.grad for w in weights]
            velocities = [self.velocity(w) for w in weights]
            if weights[0].is_cuda and can_compile():
                from replication.training import fused_update  # where Triton is

                if fused_update.can_update(weights, velocities, gradients):
                    decay, rate = -lr * group["weight_decay"], -lr
                    for w, v, g in zip(weights, velocities, gradients, strict=True):
                        fused_update.update(w, v, g, group["momentum"], decay, rate)
                    continue
            torch._foreach_mul_(velocities, group["momentum"])
            if group["weight_decay"]:
                torch._foreach_add_(velocities, weights, alpha=-lr * group["weight_decay"])
            torch._foreach_add_(velocities, gradients, alpha=-lr)
            torch._foreach_add_(weights, velocities)

    def velocity(self, w: Tensor) -> Tensor:
        """Return the velocity of ``w``, zero before its first update."""
        state = self.state[w]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(w)
        return state["velocity"]
