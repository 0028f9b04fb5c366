"""The layers of 2012 that torch lacks or computes slowly: two response normalisations and the unshared convolution.

Section 3.3 defines the normalisation over adjacent maps ("local response normalization"). The released code adds one inside each
map (its type ``rnorm``), and its CIFAR-10 nets use convolutions with unshared weights (its type ``local``).

Both normalisations are y = x * d**-beta with d = k + alpha * S(x * x), where S sums over a window. ``alpha`` multiplies the
plain sum, as section 3.3 is written; the released code and ``torch.nn.LocalResponseNorm`` first divide it by the window's size.
As S is its own transpose, the gradient is

    dx = g * d**-beta - 2 * alpha * beta * x * S(g * x * d**-(beta + 1)),

so each direction is one walk over the tensor. On a CPU the walk goes by blocks of images that stay in the processor's cache;
torch's own version goes through memory about twenty times. On a GPU ``torch.compile`` makes the walk a fused kernel.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 2**18  # elements of a block on a CPU: 1 MiB of float32, the size of a core's second-level cache

Window = Callable[[Tensor], Tensor]


def sum_over_maps(t: Tensor, size: int) -> Tensor:
    """Sums over ``size`` (odd) adjacent maps of ``t`` (N, C, ...), cut at the first and the last map."""
    total = t.clone()
    for distance in range(1, size // 2 + 1):
        total[:, distance:] += t[:, :-distance]
        total[:, :-distance] += t[:, distance:]
    return total


def sum_inside_maps(t: Tensor, size: int) -> Tensor:
    """Sums over ``size`` x ``size`` (odd) positions of each map of ``t`` (N, C, H, W), cut at the map's borders."""
    half = size // 2  # rows, then columns: 2 * size additions for each element instead of size * size
    rows = F.avg_pool2d(t, (1, size), 1, (0, half), divisor_override=1)
    return F.avg_pool2d(rows, (size, 1), 1, (half, 0), divisor_override=1)


def _power(d: Tensor, beta: float) -> Tensor:
    """A new tensor ``d ** -beta``. For the paper's 0.75, two square roots, several times as fast as the power."""
    if beta == 0.75:
        root = d.rsqrt()
        return root.sqrt() * root
    return d.pow(-beta)


def _statistics_type(x: Tensor) -> torch.dtype:
    """float32 for half-precision input: sums of squares of 0-255 activations overflow float16 and lose digits in bfloat16."""
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


def _denominator(values: Tensor, window: Window, alpha: float, k: float) -> Tensor:
    return window(values * values).mul_(alpha).add_(k)


def _fused_forward(x: Tensor, window: Window, alpha: float, beta: float, k: float) -> Tensor:
    values = x.to(_statistics_type(x))
    return (values * _power(_denominator(values, window, alpha, k), beta)).to(x.dtype)


def _fused_backward(x: Tensor, g: Tensor, window: Window, alpha: float, beta: float, k: float) -> Tensor:
    values = x.to(_statistics_type(x))
    d = _denominator(values, window, alpha, k)  # computed again: on a GPU arithmetic costs less than reading it from memory
    scaled = g * _power(d, beta)
    return (scaled - (2 * alpha * beta) * values * window(scaled * values / d)).to(x.dtype)


@cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(function, dynamic=False)


def _blocks(x: Tensor) -> Iterator[slice]:
    """Runs of images, each small enough for the cache of one core; everything at once where ``x`` is not on a CPU."""
    images = max(1, BLOCK // max(1, x[0].numel())) if x.device.type == "cpu" and len(x) else max(1, len(x))
    return (slice(start, start + images) for start in range(0, len(x), images))


class _Normalise(torch.autograd.Function):
    """y = x * (k + alpha * window(x * x))**-beta with the gradient written out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, alpha: float, beta: float, k: float, fused: bool) -> Tensor:
        ctx.settings = window, alpha, beta, k
        if fused:
            ctx.save_for_backward(x)
            return _compiled(_fused_forward)(x, window, alpha, beta, k)
        y = torch.empty_like(x)
        kept = torch.empty_like(x, dtype=_statistics_type(x)) if ctx.needs_input_grad[0] else None
        for part in _blocks(x):
            values = x[part].to(_statistics_type(x))
            d = _denominator(values, window, alpha, k)
            torch.mul(values, _power(d, beta), out=y[part])
            if kept is not None:
                kept[part] = d
        if kept is not None:
            ctx.save_for_backward(x, kept)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, *kept = ctx.saved_tensors
        window, alpha, beta, k = ctx.settings
        if not kept:
            return _compiled(_fused_backward)(x, g, window, alpha, beta, k), None, None, None, None, None
        dx = torch.empty_like(x)
        for part in _blocks(x):
            values, d = x[part].to(_statistics_type(x)), kept[0][part]
            scaled = _power(d, beta).mul_(g[part])
            shared = (scaled * values).div_(d)
            torch.addcmul(scaled, values, window(shared), value=-2 * alpha * beta, out=dx[part])
        return dx, None, None, None, None, None


class _ResponseNorm(nn.Module):
    """What the two normalisations share: the constants, and whether the compiled form is used."""

    sum: Callable[[Tensor, int], Tensor]

    def __init__(self, size: int, alpha: float, beta: float, k: float, fused: bool | None = None) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ValueError(f"{type(self).__name__}: a window of {size} has no middle; use an odd size")
        self.size, self.alpha, self.beta, self.k, self.fused = size, alpha, beta, k, fused
        self.window = partial(type(self).sum, size=size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of any floating type and memory layout -> the same."""
        fused = x.is_cuda and find_spec("triton") is not None if self.fused is None else self.fused
        return _Normalise.apply(x, self.window, self.alpha, self.beta, self.k, fused)

    def extra_repr(self) -> str:
        return f"size={self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}"


class CrossMapNorm(_ResponseNorm):
    """Section 3.3: S sums over ``size`` adjacent maps at the same position, cut at the edge of what the layer is given.

    ``alpha`` is not divided by ``size``: ``torch.nn.LocalResponseNorm(n, a, b, k)`` is ``CrossMapNorm(n, a / n, b, k)``.
    ``fused``: use ``torch.compile``; None: on CUDA where Triton is installed. Only the first derivative is defined.
    """

    sum = staticmethod(sum_over_maps)


class SameMapNorm(_ResponseNorm):
    """The released code's ``rnorm``: S sums over ``size`` x ``size`` positions of the same map, cut at its borders.

    The released code gives alpha as ``scale`` and divides it by size * size; here ``alpha`` is not divided.
    """

    sum = staticmethod(sum_inside_maps)


class LocallyConnected2d(nn.Module):
    """A convolution (stride 1) whose weights differ from position to position, with one bias for each output unit.

    ``height`` and ``width`` are the input's. ``weight`` is (positions, in_channels * kernel_size**2, out_channels), one matrix for
    each output position in row-major order, and ``bias`` (out_channels, out height, out width). Starts as N(0, 0.01**2) and 0.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, height: int, width: int, padding: int = 0) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.kernel_size, self.padding = in_channels, out_channels, kernel_size, padding
        self.out_height, self.out_width = (side + 2 * padding - kernel_size + 1 for side in (height, width))
        if min(self.out_height, self.out_width) < 1:
            raise ValueError(f"LocallyConnected2d: a kernel of {kernel_size} does not fit a {height} x {width} map padded by {padding}")
        self.weight = nn.Parameter(torch.empty(self.out_height * self.out_width, in_channels * kernel_size**2, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels, self.out_height, self.out_width))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, height, width) -> (N, out_channels, out height, out width)."""
        windows = F.unfold(x, self.kernel_size, padding=self.padding)  # (N, in_channels * kernel_size**2, positions)
        y = torch.bmm(windows.permute(2, 0, 1), self.weight)  # (positions, N, out_channels)
        return y.permute(1, 2, 0).unflatten(2, (self.out_height, self.out_width)) + self.bias

    def extra_repr(self) -> str:
        shape = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, padding={self.padding}"
        return f"{shape}, out={self.out_height} x {self.out_width}"
