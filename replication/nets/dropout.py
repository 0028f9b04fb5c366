"""Dropout as section 4.2 describes it, with masks that depend on the seed and the step only."""

import torch
from torch import Tensor, nn

KEEP = 0.5  # section 4.2


class Dropout(nn.Module):
    """Section 4.2: in training, zero each unit with probability 1/2; in testing, halve every unit.

    With ``seed`` None, masks come from torch's generator. With a number they are a function of it
    alone, so that a mask does not depend on where its tower runs or on earlier draws (see
    ``seed_masks``)."""

    seed: int | None = None
    # The next forward pass sees the images from ``first`` on of a minibatch of ``total`` images;
    # total = 0: it sees the whole minibatch.
    first, total = 0, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x * KEEP
        generator = None if self.seed is None else torch.Generator(x.device).manual_seed(self.seed)
        uniform = torch.rand(
            (self.total or len(x), *x.shape[1:]), generator=generator, device=x.device
        )
        return x * (uniform[self.first : self.first + len(x)] < KEEP)


def seed_masks(net: nn.Module, seed: int, step: int, first: int = 0, total: int = 0) -> None:
    """Fix the dropout masks of the next forward pass by (seed, step).

    A mask also depends on the layer's name and on the image's place in the minibatch. A pass over
    part of the minibatch, such as a data-parallel copy's share, gives the place of its first image
    (``first``) and the size of the minibatch (``total``). The masks are then those of one pass over
    the whole minibatch."""
    for name, module in net.named_modules():
        if isinstance(module, Dropout):
            module.seed = _mix([seed, step, *name.encode()])
            module.first, module.total = first, total


def _mix(words: list[int]) -> int:
    """Return 63 bits that depend on all words and their order (FNV-1a over 64-bit words)."""
    value = 0xCBF29CE484222325
    for word in words:
        value = ((value ^ (word & (2**64 - 1))) * 0x100000001B3) % 2**64
        value ^= value >> 32
    return value >> 1
