"""The update rule of section 5 as one Triton kernel for all tensors of a group, on CUDA.

Weight, velocity and gradient are read once, weight and velocity are written once: 20 bytes a
parameter, also with a gradient and a copy of the weight in bf16. The same rule as four operations
of torch moves 44.

The kernel is given the tensors' addresses and works on them where they are. Buffers that hold all
tensors of a group one after the other would need a single address each, but the backward pass would
then have to add every gradient into a buffer of zeros, which moves 8 bytes a parameter more."""

from collections.abc import Sequence
from itertools import accumulate

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # elements of one program
MOST = 32  # tensors of one kernel, whose code has a part for each of them


def can_update(
    weights: Sequence[Tensor], velocities: Sequence[Tensor], gradients: Sequence[Tensor]
) -> bool:
    """Return whether all are in memory in the same order, without gaps; gradients may be bf16."""
    return all(
        w.dtype == v.dtype == torch.float32
        and g.dtype in (torch.float32, torch.bfloat16)
        and w.stride() == v.stride() == g.stride()
        and torch.empty_like(w, device="meta").stride() == w.stride()
        for w, v, g in zip(weights, velocities, gradients, strict=True)
    )


def update(
    weights: Sequence[Tensor],
    velocities: Sequence[Tensor],
    gradients: Sequence[Tensor],
    copies: Sequence[Tensor] | None,
    momentum: float,
    decay: float,
    rate: float,
) -> None:
    """v <- momentum * v + decay * w + rate * g, w <- w + v, in place; ``copies`` <- w in bf16."""
    for first in range(0, len(weights), MOST):
        some = slice(first, first + MOST)
        counts = tuple(w.numel() for w in weights[some])
        starts = programs(counts)
        with torch.cuda.device_of(weights[first]):  # Triton launches on the current device
            _update[(starts[-1],)](
                tuple(weights[some]),
                tuple(velocities[some]),
                tuple(gradients[some]),
                tuple((weights if copies is None else copies)[some]),
                counts,
                starts,
                momentum,
                decay,
                rate,
                copies is not None,
                BLOCK,
            )


def programs(counts: Sequence[int]) -> tuple[int, ...]:
    """Return the first program of each tensor of so many elements, and last the number of all."""
    return tuple(accumulate((triton.cdiv(count, BLOCK) for count in counts), initial=0))


@triton.jit
def _update(
    w,
    v,
    g,
    half,
    counts: tl.constexpr,
    starts: tl.constexpr,
    momentum,
    decay,
    rate,
    copied: tl.constexpr,
    block: tl.constexpr,
):
    here = tl.program_id(0)
    for i in tl.static_range(len(counts)):
        if (here >= starts[i]) & (here < starts[i + 1]):
            at = (here - starts[i]).to(tl.int64) * block + tl.arange(0, block)
            inside = at < counts[i]
            weight = tl.load(w[i] + at, mask=inside)
            slope = tl.load(g[i] + at, mask=inside).to(tl.float32)
            moved = momentum * tl.load(v[i] + at, mask=inside) + decay * weight + rate * slope
            tl.store(v[i] + at, moved, mask=inside)
            tl.store(w[i] + at, weight + moved, mask=inside)
            if copied:
                half_type = half[i].dtype.element_ty
                tl.store(half[i] + at, (weight + moved).to(half_type), mask=inside)
