"""Response normalisation on a GPU: ``torch.compile`` makes each direction a fused kernel.

As the window's sum S is its own transpose, the gradient of y = x * d**-beta is

    dx = g * d**-beta - 2 * alpha * beta * x * S(g * x * d**-(beta + 1)).
"""

import os
import shutil
import sysconfig
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from replication.nets.normalisation_blockwise import statistics_type

Window = Callable[[Tensor], Tensor]

# Versions of a function that torch keeps compiled: one for each size of the maps, precision and
# window that a process meets.
SHAPES = 256


def respond(x: Tensor, window: Window, alpha: float, beta: float, k: float) -> Tensor:
    """Return the normalised ``x`` (N, C, H, W), computed by compiled kernels."""
    return _Fused.apply(x, window, alpha, beta, k)


@cache
def can_compile() -> bool:
    """Return whether ``torch.compile`` finds Triton, a C compiler and Python's headers."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return bool(
        find_spec("triton")
        and compiler
        and Path(sysconfig.get_path("include"), "Python.h").is_file()
    )


class _Fused(torch.autograd.Function):
    """The formula and its gradient, each a compiled kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, alpha: float, beta: float, k: float) -> Tensor:
        ctx.settings = window, alpha, beta, k
        ctx.save_for_backward(x)
        return _run(_forward, (x,), ctx.settings)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return (
            _run(_backward, (*ctx.saved_tensors, g), ctx.settings),
            None,
            None,
            None,
            None,
        )


def _forward(x: Tensor, window: Window, alpha: float, beta: float, k: float) -> Tensor:
    values = x.to(statistics_type(x))
    return (values * _power(_denominator(values, window, alpha, k), beta)).to(x.dtype)


def _backward(x: Tensor, g: Tensor, window: Window, alpha: float, beta: float, k: float) -> Tensor:
    values = x.to(statistics_type(x))
    # computed again: on a GPU arithmetic costs less than reading it from memory
    d = _denominator(values, window, alpha, k)
    scaled = g * _power(d, beta)
    return (scaled - (2 * alpha * beta) * values * window(scaled * values / d)).to(x.dtype)


def _denominator(values: Tensor, window: Window, alpha: float, k: float) -> Tensor:
    return window(values * values).mul_(alpha).add_(k)


def _power(d: Tensor, beta: float) -> Tensor:
    """Return ``d ** -beta``; for the paper's 0.75 by two square roots, several times as fast."""
    if beta == 0.75:
        root = d.rsqrt()
        return root.sqrt() * root
    return d.pow(-beta)


def _run(function: Callable[..., Tensor], tensors: tuple[Tensor, ...], settings: tuple) -> Tensor:
    """Call the compiled ``function``; one version serves every number of images but 1."""
    # Beyond torch's own limit of 8 it would not compile. The setting belongs to the thread, and a
    # GPU's backward pass has a thread of its own.
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)
    for tensor in tensors:
        torch._dynamo.maybe_mark_dynamic(tensor, 0)
    return _compiled(function)(*tensors, *settings)


@cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(function)
