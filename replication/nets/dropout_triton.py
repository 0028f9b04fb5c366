"""Dropout's mask on CUDA as one Triton kernel: the bits of ``dropout.counter_mask``.

In torch's own integer operations the generator's ten rounds are 150 kernels for each layer."""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from replication.nets import dropout

BLOCK = 1024  # units of one program
BITS = tl.constexpr(dropout.BITS)
WORD = tl.constexpr(dropout.WORD)
STREAM = tl.constexpr(dropout.STREAM)


def counter_mask(
    key: Sequence[int] | Tensor, first: int, shape: torch.Size, device: torch.device
) -> Tensor:
    """Return ``dropout.counter_mask``; ``key`` may be a tensor of two words on ``device``."""
    kept = torch.empty(shape, dtype=torch.bool, device=device)
    loaded = isinstance(key, Tensor)
    low, high = (0, 0) if loaded else key
    with torch.cuda.device_of(kept):  # Triton launches on the current device
        _mask[(triton.cdiv(kept.numel(), BLOCK),)](
            kept.view(torch.uint8),
            key if loaded else kept,
            low,
            high,
            kept.numel(),
            kept[0].numel(),
            first,
            loaded,
            BLOCK,
        )
    return kept


@triton.jit(do_not_specialize=["low", "high", "first"])
def _mask(kept, key, low, high, count, units, first, loaded: tl.constexpr, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    if loaded:
        low = tl.load(key)
        high = tl.load(key + 1)
    unit = at % units
    image = (first + at // units).to(tl.uint32)
    group = (unit // BITS).to(tl.uint32)
    zero = tl.zeros(at.shape, tl.uint32)
    a, b, c, d = tl.philox_impl(
        image, group, zero, zero + STREAM, low.to(tl.uint32), high.to(tl.uint32)
    )
    word = unit % BITS // WORD
    bits = tl.where(word == 0, a, tl.where(word == 1, b, tl.where(word == 2, c, d)))
    bit = (bits >> (unit % WORD).to(tl.uint32)) & 1
    tl.store(kept + at, bit.to(tl.uint8), mask=inside)
