"""The convolution with unshared weights: the type ``local`` of cuda-convnet's CIFAR-10 nets."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
