"""The update rule of section 5 as one Triton kernel for each tensor, on CUDA.

Weight, velocity and gradient are read once, weight and velocity are written once: 20 bytes a
parameter. The same rule as four operations of torch moves 44."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # elements of one program


def can_update(weights: list[Tensor], velocities: list[Tensor], gradients: list[Tensor]) -> bool:
    """Return whether all three are float32 and in memory in the same order, without gaps."""
    return all(
        w.dtype == v.dtype == g.dtype == torch.float32
        and w.stride() == v.stride() == g.stride()
        and torch.empty_like(w, device="meta").stride() == w.stride()
        for w, v, g in zip(weights, velocities, gradients, strict=True)
    )


def update(
    weight: Tensor, velocity: Tensor, gradient: Tensor, momentum: float, decay: float, rate: float
) -> None:
    """v <- momentum * v + decay * w + rate * g, w <- w + v, in place."""
    grid = (triton.cdiv(weight.numel(), BLOCK),)
    _update[grid](weight, velocity, gradient, weight.numel(), momentum, decay, rate, BLOCK)


@triton.jit
def _update(w, v, g, count, momentum, decay, rate, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    weight = tl.load(w + at, mask=inside)
    slope = tl.load(g + at, mask=inside)
    moved = momentum * tl.load(v + at, mask=inside) + decay * weight + rate * slope
    tl.store(v + at, moved, mask=inside)
    tl.store(w + at, weight + moved, mask=inside)
