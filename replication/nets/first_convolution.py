"""The first convolution (11 x 11, stride 4, three channels) in a form that a GPU computes faster.

Tensor cores work on many channels at once, and an image has three. With a stride of s, the s x s
pixels of a block may become channels of one: 3 channels with an 11 x 11 kernel become 48 with a
3 x 3 kernel, whose products are the same ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FirstConv2d(nn.Conv2d):
    """``nn.Conv2d``; in half precision on a GPU, blocks of pixels are taken as channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, maps, H', W')."""
        return self.convolve(x, self.weight, self.bias)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the convolution with another weight of this geometry."""
        if x.is_cuda and torch.is_autocast_enabled("cuda") and self.padding == (0, 0):
            return block_conv2d(x, weight, bias, self.stride[0])
        return self._conv_forward(x, weight, bias)


def block_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Return ``conv2d(x, weight, bias, stride)``, square and without padding, by blocks.

    The kernel is filled up with zeros to whole blocks, and the image is cut or filled to match."""
    kernel = weight.shape[-1]
    whole = -(-kernel // stride) * stride
    sides = [(side - kernel) // stride * stride + whole for side in x.shape[-2:]]
    x = F.pad(x, (0, sides[1] - x.shape[-1], 0, sides[0] - x.shape[-2]))
    weight = F.pad(weight, (0, whole - kernel, 0, whole - kernel))
    blocks = F.pixel_unshuffle(x, stride).contiguous(memory_format=torch.channels_last)
    return F.conv2d(blocks, F.pixel_unshuffle(weight, stride), bias)
