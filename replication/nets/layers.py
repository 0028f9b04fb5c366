"""The layers of 2012 that torch lacks or computes slowly: two response normalisations and the
unshared convolution.

Section 3.3 defines the normalisation over adjacent maps ("local response normalization"). The
released code adds one inside each map (its type ``rnorm``), and its CIFAR-10 nets use convolutions
with unshared weights (its type ``local``).

Both normalisations are y = x * d**-beta with d = k + alpha * S(x * x), where S sums over a window.
``alpha`` multiplies the plain sum, as section 3.3 is written; the released code and
``torch.nn.LocalResponseNorm`` first divide it by the window's size. As S is its own transpose, the
gradient is

    dx = g * d**-beta - 2 * alpha * beta * x * S(g * x * d**-(beta + 1)),

so each direction is one walk over the tensor. On a CPU the walk goes by blocks that stay in the
processor's cache; torch's own version goes through memory about twenty times. On a GPU
``torch.compile`` makes the walk a fused kernel."""

import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Elements of a block on a CPU: 1 MiB of float32. With half of it the calls themselves count, with
# twice it the cache overflows.
BLOCK = 2**18

Window = Callable[[Tensor], Tensor]


def sum_over_maps(t: Tensor, size: int) -> Tensor:
    """Sums over ``size`` (odd) adjacent maps of ``t`` (N, C, ...), cut at the first and the last
    map.
    """
    total = t.clone()
    for distance in range(1, size // 2 + 1):
        total[:, distance:] += t[:, :-distance]
        total[:, :-distance] += t[:, distance:]
    return total


def sum_inside_maps(t: Tensor, size: int) -> Tensor:
    """Sums over ``size`` x ``size`` (odd) positions of each map of ``t`` (N, C, H, W), cut at the
    map's borders.
    """
    # rows, then columns: 2 * size additions for each element instead of size * size
    half = size // 2
    rows = F.avg_pool2d(t, (1, size), 1, (0, half), divisor_override=1)
    return F.avg_pool2d(rows, (size, 1), 1, (half, 0), divisor_override=1)


def _statistics_type(x: Tensor) -> torch.dtype:
    """float32 for half-precision input: sums of squares of 0-255 activations overflow float16 and
    lose digits in bfloat16.
    """
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


def _denominator(values: Tensor, window: Window, alpha: float, k: float) -> Tensor:
    return window(values * values).mul_(alpha).add_(k)


def _power(d: Tensor, beta: float) -> Tensor:
    """``d ** -beta``. For the paper's 0.75, two square roots, several times as fast as the
    power.
    """
    if beta == 0.75:
        root = d.rsqrt()
        return root.sqrt() * root
    return d.pow(-beta)


def _fused_forward(x: Tensor, window: Window, alpha: float, beta: float, k: float) -> Tensor:
    values = x.to(_statistics_type(x))
    return (values * _power(_denominator(values, window, alpha, k), beta)).to(x.dtype)


def _fused_backward(
    x: Tensor, g: Tensor, window: Window, alpha: float, beta: float, k: float
) -> Tensor:
    values = x.to(_statistics_type(x))
    # computed again: on a GPU arithmetic costs less than reading it from memory
    d = _denominator(values, window, alpha, k)
    scaled = g * _power(d, beta)
    return (scaled - (2 * alpha * beta) * values * window(scaled * values / d)).to(x.dtype)


@cache
def can_compile() -> bool:
    """Whether ``torch.compile`` finds what its CUDA kernels need: Triton, and for their launchers a
    C compiler and Python's headers.
    """
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return bool(
        find_spec("triton")
        and compiler
        and Path(sysconfig.get_path("include"), "Python.h").is_file()
    )


# compiled versions that torch keeps of a function: one for each shape, precision and window that a
# process meets
SHAPES = 256


@cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    # beyond its own 8, it would not compile
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)
    return torch.compile(function, dynamic=False)


class _Fused(torch.autograd.Function):
    """The formula and its gradient, each a compiled kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, alpha: float, beta: float, k: float) -> Tensor:
        ctx.settings = window, alpha, beta, k
        ctx.save_for_backward(x)
        return _compiled(_fused_forward)(x, *ctx.settings)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return (
            _compiled(_fused_backward)(*ctx.saved_tensors, g, *ctx.settings),
            None,
            None,
            None,
            None,
        )


class _Blocks:
    """How a tensor (N, C, H, W) is cut into blocks of ``rows`` for one kind of window, and the
    block whose sums are taken.
    """

    rows: int
    middle: Tensor  # (rows, ...): what is to be summed is written here

    def __init__(self, like: Tensor, size: int, precision: torch.dtype) -> None:
        raise NotImplementedError

    @staticmethod
    def view(t: Tensor) -> Tensor:
        """``t`` as (all rows, ...), without a copy."""
        return t

    def sums(self, written: Tensor) -> Tensor:
        """Window sums of ``written``, the first rows of ``middle``."""
        raise NotImplementedError

    def walk(self, *tensors: Tensor | None) -> Iterator[list[Tensor | None]]:
        """Block after block, the same rows of every tensor; None stays None."""
        views = [t if t is None else self.view(t) for t in tensors]
        for start in range(0, len(views[0]), self.rows):
            yield [t if t is None else t[start : start + self.rows] for t in views]


def _rows(like: Tensor, rows: int) -> int:
    """How many of a tensor's ``rows`` make a block: on a CPU as many as stay in the cache,
    elsewhere all.
    """
    return (
        max(1, min(rows, rows * BLOCK // max(1, like.numel())))
        if like.device.type == "cpu"
        else max(1, rows)
    )


class _AcrossMaps(_Blocks):
    """For a window over adjacent maps. A row is the maps of one position, or where images are not
    channels_last of one image.

    ``middle`` lies in a ``line``, with half a window of zeros on either side of each row. So all
    sums are sums along one unbroken line, which the processor adds up several times as fast as many
    short pieces."""

    def __init__(self, like: Tensor, size: int, precision: torch.dtype) -> None:
        # neighbouring maps lie ``inner`` apart in memory
        rows, maps, self.inner = self.view(like).shape
        self.size, self.maps, self.pitch, self.rows = size, maps, maps + size - 1, _rows(like, rows)
        self.line = like.new_zeros(
            (self.rows * self.pitch + size - 1) * self.inner, dtype=precision
        )
        self.middle = self._by_row(self.line, self.rows)[:, size // 2 : size // 2 + maps]

    @staticmethod
    def view(t: Tensor) -> Tensor:
        n, maps, height, width = t.shape
        return (
            t.view(n, maps, height * width)
            if t.is_contiguous()
            else t.permute(0, 2, 3, 1).view(n * height * width, maps, 1)
        )

    def sums(self, written: Tensor) -> Tensor:
        rows = len(written)
        line = self.line[: (rows * self.pitch + self.size - 1) * self.inner]
        return self._by_row(_running_sum(line, self.size, self.inner), rows)[:, : self.maps]

    def _by_row(self, line: Tensor, rows: int) -> Tensor:
        return line[: rows * self.pitch * self.inner].view(rows, self.pitch, self.inner)


class _InsideMaps(_Blocks):
    """For a window inside each map. A row is an image."""

    def __init__(self, like: Tensor, size: int, precision: torch.dtype) -> None:
        self.size, self.rows = size, _rows(like, len(like))
        self.middle = torch.empty_like(like[: self.rows], dtype=precision)

    def sums(self, written: Tensor) -> Tensor:
        return sum_inside_maps(written, self.size)


def _running_sum(line: Tensor, size: int, step: int) -> Tensor:
    """Sums of ``size`` elements of ``line``, ``step`` apart, beginning at each element that has so
    many.

    Adds pairs, then pairs of pairs and so on: 3 additions for 5 elements, 4 for 9.
    """
    length = len(line) - (size - 1) * step
    # ``power`` holds sums of ``width`` elements, ``total`` those of ``taken``
    total, taken, power, width = None, 0, line, 1
    while True:
        if size & width:
            part = power[taken * step :][:length]
            total = part if total is None else total + part
            taken += width
        if taken == size:
            return total
        power = power[: -width * step] + power[width * step :]
        width *= 2


class _Blockwise(torch.autograd.Function):
    """The formula and its gradient with torch's plain operations, block by block.

    Kept for the gradient is d, or where beta is the paper's 0.75 the root q = d**-0.25: there
    d**-0.75 and 1 / d are products of q, and nothing is raised to a power twice. The power -0.75
    itself costs five times as much as two reciprocal roots."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kind: type[_Blocks], size: int, alpha: float, beta: float, k: float
    ) -> Tensor:
        ctx.settings = kind, size, alpha, beta
        precision = _statistics_type(x)
        if not x.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous()
        y = torch.empty_like(x)
        kept = torch.empty_like(x, dtype=precision) if ctx.needs_input_grad[0] else None
        blocks = kind(x, size, precision)
        # as a tensor: k + alpha * sums is then one operation
        constant = torch.tensor(k, dtype=precision, device=x.device)
        for values, out, keep in blocks.walk(x, y, kept):
            values = values.to(precision)
            squares = torch.mul(values, values, out=blocks.middle[: len(values)])
            d = torch.add(constant, blocks.sums(squares), alpha=alpha)
            if beta == 0.75:
                root = d.rsqrt()
                power = root.mul_(torch.rsqrt(d.mul_(root), out=keep))
            else:
                power = d.pow(-beta) if keep is None else keep.copy_(d).pow(-beta)
            torch.mul(values, power, out=out)
        if kept is not None:
            ctx.save_for_backward(x, kept)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, kept = ctx.saved_tensors
        kind, size, alpha, beta = ctx.settings
        g = g.contiguous(
            memory_format=torch.contiguous_format if x.is_contiguous() else torch.channels_last
        )
        dx, blocks = torch.empty_like(x), kind(x, size, kept.dtype)
        for values, slope, keep, out in blocks.walk(x, g, kept, dx):
            values = values.to(kept.dtype)
            if beta == 0.75:
                inverse = keep * keep
                scaled = (inverse * keep).mul_(slope)
                inverse.mul_(inverse)
            else:
                inverse, scaled = keep.reciprocal(), keep.pow(-beta).mul_(slope)
            shared = torch.mul(inverse.mul_(values), scaled, out=blocks.middle[: len(values)])
            torch.addcmul(scaled, values, blocks.sums(shared), value=-2 * alpha * beta, out=out)
        return dx, None, None, None, None, None


class _ResponseNorm(nn.Module):
    """What the two normalisations share: the constants, and whether the compiled form is used."""

    sum: Callable[[Tensor, int], Tensor]
    blocks: type[_Blocks]

    def __init__(
        self, size: int, alpha: float, beta: float, k: float, fused: bool | None = None
    ) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ValueError(
                f"{type(self).__name__}: a window of {size} has no middle; use an odd size"
            )
        self.size, self.alpha, self.beta, self.k, self.fused = size, alpha, beta, k, fused
        self.window = partial(type(self).sum, size=size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of any floating type and memory layout -> the same."""
        if (x.is_cuda and can_compile()) if self.fused is None else self.fused:
            return _Fused.apply(x, self.window, self.alpha, self.beta, self.k)
        return _Blockwise.apply(x, type(self).blocks, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"size={self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}"


class CrossMapNorm(_ResponseNorm):
    """Section 3.3: S sums over ``size`` adjacent maps at the same position, cut at the edge of what
    the layer is given.

    ``alpha`` is not divided by ``size``: ``torch.nn.LocalResponseNorm(n, a, b, k)`` is
    ``CrossMapNorm(n, a / n, b, k)``. ``fused``: use ``torch.compile``; None: on CUDA where that can
    work (``can_compile``), plain operations elsewhere. Only the first derivative is defined."""

    sum, blocks = staticmethod(sum_over_maps), _AcrossMaps


class SameMapNorm(_ResponseNorm):
    """The released code's ``rnorm``: S sums over ``size`` x ``size`` positions of the same map, cut
    at its borders.

    The released code gives alpha as ``scale`` and divides it by size * size; here ``alpha`` is not
    divided."""

    sum, blocks = staticmethod(sum_inside_maps), _InsideMaps


class LocallyConnected2d(nn.Module):
    """A convolution (stride 1) whose weights differ from position to position, with one bias for
    each output unit.

    ``height`` and ``width`` are the input's. ``weight`` is (positions, in_channels *
    kernel_size**2, out_channels), one matrix for each output position in row-major order, and
    ``bias`` (out_channels, out height, out width). Starts as N(0, 0.01**2) and 0."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        height: int,
        width: int,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.kernel_size, self.padding = (
            in_channels,
            out_channels,
            kernel_size,
            padding,
        )
        self.out_height, self.out_width = (
            side + 2 * padding - kernel_size + 1 for side in (height, width)
        )
        if min(self.out_height, self.out_width) < 1:
            raise ValueError(
                f"LocallyConnected2d: a kernel of {kernel_size} does not fit a {height} x {width}"
                f" map padded by {padding}"
            )
        self.weight = nn.Parameter(
            torch.empty(
                self.out_height * self.out_width, in_channels * kernel_size**2, out_channels
            )
        )
        self.bias = nn.Parameter(torch.zeros(out_channels, self.out_height, self.out_width))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, height, width) -> (N, out_channels, out height, out width)."""
        # (N, in_channels * kernel_size**2, positions)
        windows = F.unfold(x, self.kernel_size, padding=self.padding)
        y = torch.bmm(windows.permute(2, 0, 1), self.weight)  # (positions, N, out_channels)
        return y.permute(1, 2, 0).unflatten(2, (self.out_height, self.out_width)) + self.bias

    def extra_repr(self) -> str:
        shape = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size},"
            f" padding={self.padding}"
        )
        return f"{shape}, out={self.out_height} x {self.out_width}"
