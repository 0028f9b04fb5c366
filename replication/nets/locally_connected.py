"""The convolution with unshared weights: the type ``local`` of cuda-convnet's CIFAR-10 nets."""

from typing import Any

import torch
from torch import Tensor, nn


class LocallyConnected2d(nn.Module):
    """A convolution (stride 1) whose weights differ from position to position.

    It has one bias per output unit. ``height`` and ``width`` are the input's. ``weight`` is
    (positions, in_channels * kernel_size**2, out_channels), one matrix per output position in
    row-major order, and ``bias`` (out_channels, out height, out width). Starts as N(0, 0.01**2) and
    0.
    """

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
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.padding = kernel_size, padding
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
        windows = _Windows.apply(x, self.kernel_size, self.padding)
        positions, _, maps = self.weight.shape
        # the windows' order of a row: kernel row and column, then channel
        weight = self.weight.unflatten(1, (self.in_channels, -1)).transpose(1, 2)
        y = torch.bmm(windows, weight.reshape(positions, -1, maps))  # (positions, N, out_channels)
        y = y.unflatten(0, (self.out_height, self.out_width))
        return y.permute(2, 3, 0, 1) + self.bias

    def extra_repr(self) -> str:
        shape = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size},"
            f" padding={self.padding}"
        )
        return f"{shape}, out={self.out_height} x {self.out_width}"


class _Windows(torch.autograd.Function):
    """Windows of each output position, for all images: (N, C, H, W) -> (positions, N, size**2 * C).

    In memory the images stand between the positions and the channels, so windows and their gradient
    are copies of whole rows of channels. ``torch.nn.functional.unfold`` moves single numbers; with
    it, these layers took half the time of a step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, padding: int) -> Tensor:
        n, channels, height, width = ctx.shape = x.shape
        ctx.size, ctx.padding = size, padding
        padded = x.new_zeros(height + 2 * padding, width + 2 * padding, n, channels)
        _inner(padded, padding).copy_(x.permute(2, 3, 0, 1))
        windows = padded.unfold(0, size, 1).unfold(1, size, 1)  # (rows, columns, N, C, size, size)
        positions = windows.shape[0] * windows.shape[1]
        return windows.permute(0, 1, 2, 4, 5, 3).reshape(positions, n, size * size * channels)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        n, channels, height, width = ctx.shape
        size, padding = ctx.size, ctx.padding
        rows, columns = height + 2 * padding - size + 1, width + 2 * padding - size + 1
        g = g.reshape(rows, columns, n, size, size, channels)
        padded = g.new_zeros(height + 2 * padding, width + 2 * padding, n, channels)
        for row in range(size):
            for column in range(size):
                padded[row : row + rows, column : column + columns] += g[:, :, :, row, column]
        return _inner(padded, padding).permute(2, 3, 0, 1), None, None


def _inner(padded: Tensor, padding: int) -> Tensor:
    """Return ``padded`` (height, width, ...) without its border."""
    height, width = padded.shape[:2]
    return padded[padding : height - padding, padding : width - padding]
