"""Response normalisation on a CPU: one walk over the tensor in each direction, block by block.

The blocks stay in the processor's cache; torch's own version passes through memory about 20 times.
As the window's sum S is its own transpose, the gradient of y = x * d**-beta is

    dx = g * d**-beta - 2 * alpha * beta * x * S(g * x * d**-(beta + 1)).
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

# Elements of a block on a CPU: 256 KiB of float32, of which a pass has several at a time. With half
# of it the calls themselves count, with four times it they do not fit a cache of 2 MiB.
BLOCK = 2**16

Window = Callable[[Tensor], Tensor]


def respond(
    x: Tensor, blocks: Callable[..., "Blocks"], alpha: float, beta: float, k: float
) -> Tensor:
    """Return the normalised ``x`` (N, C, H, W); ``blocks`` cuts it for one kind of window."""
    return _Blockwise.apply(x, blocks, alpha, beta, k)


def statistics_type(x: Tensor) -> torch.dtype:
    """Return the type of sums of squares: float32 for half-precision input.

    Sums of squares of 0-255 activations overflow float16 and lose digits in bfloat16."""
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


class Blocks:
    """The blocks of ``rows`` that a tensor (N, C, H, W) is cut into for one kind of window."""

    rows: int
    middle: Tensor  # (rows, ...): the values to be summed are written here

    def __init__(self, like: Tensor, precision: torch.dtype, size: int, window: Window) -> None:
        raise NotImplementedError

    @staticmethod
    def view(t: Tensor) -> Tensor:
        """Return ``t`` as (all rows, ...), without a copy."""
        return t

    def sums(self, written: Tensor) -> Tensor:
        """Return window sums of ``written``, the first rows of ``middle``."""
        raise NotImplementedError

    def walk(self, *tensors: Tensor | None) -> Iterator[list[Tensor | None]]:
        """Yield block after block, the same rows of every tensor; None stays None."""
        views = [t if t is None else self.view(t) for t in tensors]
        for start in range(0, len(views[0]), self.rows):
            yield [t if t is None else t[start : start + self.rows] for t in views]


def _rows(like: Tensor, rows: int) -> int:
    """Return the rows of a block: on a CPU as many as stay in the cache, elsewhere all."""
    return (
        max(1, min(rows, rows * BLOCK // max(1, like.numel())))
        if like.device.type == "cpu"
        else max(1, rows)
    )


class AcrossMaps(Blocks):
    """Blocks for a window over adjacent maps.

    A row is the maps of one position in channels_last memory, otherwise those of one image.
    ``middle`` is part of a ``line``, with half a window of zeros on either side of each row. So all
    sums are sums along one unbroken line, which the processor adds several times as fast as many
    short pieces."""

    def __init__(self, like: Tensor, precision: torch.dtype, size: int, window: Window) -> None:
        # neighbouring maps are ``inner`` elements apart in memory
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


class InsideMaps(Blocks):
    """Blocks for a window inside each map; a row is an image."""

    def __init__(self, like: Tensor, precision: torch.dtype, size: int, window: Window) -> None:
        self.window, self.rows = window, _rows(like, len(like))
        self.middle = torch.empty_like(like[: self.rows], dtype=precision)

    def sums(self, written: Tensor) -> Tensor:
        return self.window(written)


def _running_sum(line: Tensor, size: int, step: int) -> Tensor:
    """Return the sum of ``size`` elements, ``step`` apart, from each element of ``line`` on.

    Adds pairs, then pairs of pairs and so on: 3 additions for 5 elements, 4 for 9. Ends with the
    last element that has ``size`` elements."""
    length = len(line) - (size - 1) * step
    # ``power`` has sums of ``width`` elements, ``total`` sums of ``taken`` elements
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

    The gradient needs d. If beta is the paper's 0.75, the root q = d**-0.25 is kept instead:
    d**-0.75 and 1 / d are products of q, and nothing is raised to a power twice. The power -0.75
    itself costs five times as much as two reciprocal roots."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kind: Callable[..., Blocks], alpha: float, beta: float, k: float
    ) -> Tensor:
        ctx.settings = kind, alpha, beta
        precision = statistics_type(x)
        if not x.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous()
        y = torch.empty_like(x)
        kept = torch.empty_like(x, dtype=precision) if ctx.needs_input_grad[0] else None
        blocks = kind(x, precision)
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
        kind, alpha, beta = ctx.settings
        g = g.contiguous(
            memory_format=torch.contiguous_format if x.is_contiguous() else torch.channels_last
        )
        dx, blocks = torch.empty_like(x), kind(x, kept.dtype)
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
        return dx, None, None, None, None
