"""The update rule of section 5 as one Triton kernel for each tensor, on CUDA.

Weight, velocity and gradient are read once, weight and velocity are written once: 20 bytes a
parameter, also with a gradient and a copy of the weight in bf16. The same rule as four operations
of torch moves 44."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # elements of one program


def can_update(weights: list[Tensor], velocities: list[Tensor], gradients: list[Tensor]) -> bool:
    """Return whether all are in memory in the same order, without gaps; gradients may be bf16."""
    return all(
        w.dtype == v.dtype == torch.float32
        and g.dtype in (torch.float32, torch.bfloat16)
        and w.stride() == v.stride() == g.stride()
        and torch.empty_like(w, device="meta").stride() == w.stride()
        for w, v, g in zip(weights, velocities, gradients, strict=True)
    )


def update(
    weight: Tensor,
    velocity: Tensor,
    gradient: Tensor,
    half: Tensor | None,
    momentum: float,
    decay: float,
    rate: float,
) -> None:
    """v <- momentum * v + decay * w + rate * g, w <- w + v, in place; ``half`` <- w in bf16."""
    copy, copied = (weight, False) if half is None else (half, True)
    count = weight.numel()
    _update[(triton.cdiv(count, BLOCK),)](
        weight, velocity, gradient, copy, count, momentum, decay, rate, copied, BLOCK
    )


@triton.jit
def _update(w, v, g, half, count, momentum, decay, rate, copied: tl.constexpr, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    weight = tl.load(w + at, mask=inside)
    slope = tl.load(g + at, mask=inside).to(tl.float32)
    moved = momentum * tl.load(v + at, mask=inside) + decay * weight + rate * slope
    tl.store(v + at, moved, mask=inside)
    tl.store(w + at, weight + moved, mask=inside)
    if copied:
        tl.store(half + at, (weight + moved).to(half.dtype.element_ty), mask=inside)
