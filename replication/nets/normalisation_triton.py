"""Response normalisation over adjacent maps as two Triton kernels, for CUDA and channels_last.

In channels_last the maps of one position follow each other in memory. So a kernel walks over the
tensor as one line of elements, and the window of an element is its neighbours with a map inside
the layer. They come from the cache: each direction reads its inputs from memory once and writes its
output once, in half precision 10 bytes an element. The denominator is computed again in the
backward pass, in float32. One compiled version serves every size of minibatch."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # elements of one program
PAPER_BETA = 0.75  # its power is two square roots
TYPES = (torch.float32, torch.bfloat16, torch.float16)


def can_respond(x: Tensor) -> bool:
    """Return whether the kernels take ``x`` (N, C, H, W)."""
    return x.dtype in TYPES and x.is_contiguous(memory_format=torch.channels_last)


def respond(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Return the normalised ``x`` (N, C, H, W), channels_last in memory."""
    return _Kernels.apply(x, size, alpha, beta, k)


class _Kernels(torch.autograd.Function):
    """The formula and its gradient, each one kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        ctx.settings = size, alpha, beta, k
        ctx.save_for_backward(x)
        y = torch.empty_like(x)
        with torch.cuda.device_of(x):  # Triton launches on the current device
            _forward[_grid(x)](
                x, y, x.numel(), x.shape[1], alpha, beta, k, size // 2, beta == PAPER_BETA, BLOCK
            )
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        size, alpha, beta, k = ctx.settings
        g, dx = g.contiguous(memory_format=torch.channels_last), torch.empty_like(x)
        settings = (alpha, beta, k, size // 2, beta == PAPER_BETA, BLOCK)
        with torch.cuda.device_of(x):
            _backward[_grid(x)](x, g, dx, x.numel(), x.shape[1], *settings)
        return dx, None, None, None, None


def _grid(x: Tensor) -> tuple[int]:
    return (triton.cdiv(x.numel(), BLOCK),)


@triton.jit
def _power(d, beta, paper: tl.constexpr):
    """``d ** -beta``."""
    if paper:
        root = tl.rsqrt(d)
        return root * tl.sqrt(root)
    else:
        return tl.exp(-beta * tl.log(d))


@triton.jit
def _denominator(x, at, map_, inside, maps, alpha, k, half: tl.constexpr):
    """k + alpha times the sum of squares over the window around ``map_``."""
    total = tl.zeros(at.shape, tl.float32)
    for step in tl.static_range(2 * half + 1):
        there = map_ + (step - half)
        near = inside & (there >= 0) & (there < maps)
        value = tl.load(x + at + (step - half), mask=near, other=0.0).to(tl.float32)
        total += value * value
    return k + alpha * total


@triton.jit
def _forward(
    x, y, count, maps, alpha, beta, k, half: tl.constexpr, paper: tl.constexpr, block: tl.constexpr
):
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < count
    map_ = at % maps
    d = _denominator(x, at, map_, inside, maps, alpha, k, half)
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + at, (value * _power(d, beta, paper)).to(y.dtype.element_ty), mask=inside)


@triton.jit
def _backward(
    x,
    g,
    dx,
    count,
    maps,
    alpha,
    beta,
    k,
    half: tl.constexpr,
    paper: tl.constexpr,
    block: tl.constexpr,
):
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < count
    map_ = at % maps
    # x over twice the window, each element once: the windows of the neighbours overlap
    values, squares = (), ()
    for step in tl.static_range(4 * half + 1):
        there = map_ + (step - 2 * half)
        near = inside & (there >= 0) & (there < maps)
        value = tl.load(x + at + (step - 2 * half), mask=near, other=0.0).to(tl.float32)
        values, squares = values + (value,), squares + (value * value,)
    shared = tl.zeros(at.shape, tl.float32)  # S(g * x * d**-(beta + 1))
    own = tl.zeros(at.shape, tl.float32)  # g * d**-beta
    for step in tl.static_range(2 * half + 1):
        total = tl.zeros(at.shape, tl.float32)
        for other in tl.static_range(2 * half + 1):
            total += squares[step + other]
        d = k + alpha * total
        there = map_ + (step - half)
        near = inside & (there >= 0) & (there < maps)
        slope = tl.load(g + at + (step - half), mask=near, other=0.0).to(tl.float32)
        scaled = slope * _power(d, beta, paper)
        shared += scaled * values[step + half] / d
        if step == half:
            own = scaled
    result = own - 2 * alpha * beta * values[2 * half] * shared
    tl.store(dx + at, result.to(dx.dtype.element_ty), mask=inside)
