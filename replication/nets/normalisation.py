"""Response normalisation: section 3.3's over adjacent maps, and the source's inside each map.

Both are y = x * d**-beta with d = k + alpha * S(x * x), and S sums over a window. ``response_norm``
is this formula in plain operations. The layers compute the same numbers faster:
``normalisation_blockwise`` on a CPU, ``normalisation_compiled`` and ``normalisation_triton`` on a
GPU.

``alpha`` multiplies the plain sum, as section 3.3 is written. The released code and
``torch.nn.LocalResponseNorm`` first divide it by the window's size."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from replication.nets import normalisation_blockwise as blockwise
from replication.nets import normalisation_compiled as compiled
from replication.nets.compiling import can_compile

Window = Callable[[Tensor], Tensor]


def sum_over_maps(t: Tensor, size: int) -> Tensor:
    """Return sums over ``size`` adjacent maps of ``t`` (N, C, ...), cut at the first and last map.

    ``size`` is odd."""
    # Sums of a padded copy, of which the compiled form stores nothing. Additions in place would be
    # a pass over memory each.
    maps, half = t.shape[1], size // 2
    padded = F.pad(t, (0, 0) * (t.ndim - 2) + (half, half))
    total = padded[:, :maps]
    for first in range(1, size):
        total = total + padded[:, first : first + maps]
    return total


def sum_inside_maps(t: Tensor, size: int) -> Tensor:
    """Return sums over ``size`` x ``size`` positions of each map of ``t`` (N, C, H, W).

    ``size`` is odd. Windows are cut at the map's borders."""
    # rows, then columns: 2 * size additions for each element instead of size * size
    half = size // 2
    rows = F.avg_pool2d(t, (1, size), 1, (0, half), divisor_override=1)
    return F.avg_pool2d(rows, (size, 1), 1, (half, 0), divisor_override=1)


def response_norm(x: Tensor, window: Window, alpha: float, beta: float, k: float) -> Tensor:
    """Return the formula of section 3.3, in plain operations; ``window`` is its sum."""
    return x * (k + alpha * window(x * x)) ** -beta


class _ResponseNorm(nn.Module):
    """The constants, and the choice of the fast form."""

    sum: Callable[[Tensor, int], Tensor]
    blocks: type[blockwise.Blocks]

    def __init__(
        self, size: int, alpha: float, beta: float, k: float, fused: bool | None = None
    ) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ValueError(
                f"{type(self).__name__}: a window of {size} has no middle; use an odd size"
            )
        self.size, self.alpha, self.beta, self.k, self.fused = size, alpha, beta, k, fused
        self.window = partial(type(self).sum, size=size)  # type: ignore[call-arg]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of any floating type and memory layout -> the same."""
        if (x.is_cuda and can_compile()) if self.fused is None else self.fused:
            return compiled.respond(x, self.window, self.alpha, self.beta, self.k)
        blocks = partial(type(self).blocks, window=self.window, size=self.size)
        return blockwise.respond(x, blocks, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"size={self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}"


class LocalResponseNorm(_ResponseNorm):
    """Section 3.3's normalisation over ``size`` adjacent maps, cut at the edge of its input.

    ``alpha`` is not divided by ``size``: ``torch.nn.LocalResponseNorm(n, a, b, k)`` is
    ``LocalResponseNorm(n, a / n, b, k)`` here. ``fused``: whether to use ``torch.compile``; None
    means on CUDA, if it can work there (``can_compile``), and for channels_last tensors two Triton
    kernels (``normalisation_triton``). Only the first derivative is defined."""

    sum, blocks = staticmethod(sum_over_maps), blockwise.AcrossMaps

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of any floating type and memory layout -> the same."""
        if x.is_cuda and self.fused is None and can_compile():
            from replication.nets import normalisation_triton as kernels  # needs Triton

            if kernels.can_respond(x):
                return kernels.respond(x, self.size, self.alpha, self.beta, self.k)
        return super().forward(x)


class SameMapNorm(_ResponseNorm):
    """The released code's ``rnorm`` over ``size`` x ``size`` positions of the same map.

    The released code divides its ``scale`` by size * size; here ``alpha`` is not divided."""

    sum, blocks = staticmethod(sum_inside_maps), blockwise.InsideMaps


class Gain(nn.Module):
    """A multiplication by a constant, in the place of a normalisation.

    It is a control: a normalisation also makes its inputs smaller, and a gain does only that."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return x * self.value

    def extra_repr(self) -> str:
        return f"{self.value:g}"
