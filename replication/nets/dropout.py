"""Dropout as section 4.2 describes it, with masks that depend on the seed and the step only."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from replication.data.augment.draws import MULTIPLIERS, ROUNDS, WEYL
from replication.nets.compiling import can_compile

KEEP = 0.5  # section 4.2
BITS = 128  # of one counter: four words
WORD, LOW = 32, 0xFFFFFFFF
STREAM = 3  # kept apart from the streams of ``data.augment.draws``


class Dropout(nn.Module):
    """Section 4.2: in training, zero each unit with probability 1/2; in testing, halve every unit.

    With ``seed`` None, masks come from torch's generator. With a number they are a function of it
    alone, so that a mask does not depend on where its tower runs or on earlier draws (see
    ``seed_masks``). On a CPU torch's generator turns the number into a mask. On a GPU that
    generator differs from one model to the next, and ``counter_mask`` takes its place."""

    seed: int | None = None
    # The seed as a tensor of two words, where a captured step reads it; None: ``seed`` itself.
    words: Tensor | None = None
    # The next forward pass sees the images from ``first`` on of a minibatch of ``total`` images;
    # total = 0: it sees the whole minibatch.
    first, total = 0, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x * KEEP
        if self.words is not None or (self.seed is not None and x.is_cuda):
            return x * self._counted(x)
        generator = None if self.seed is None else torch.Generator(x.device).manual_seed(self.seed)
        uniform = torch.rand(
            (self.total or len(x), *x.shape[1:]), generator=generator, device=x.device
        )
        return x * (uniform[self.first : self.first + len(x)] < KEEP)

    def _counted(self, x: Tensor) -> Tensor:
        """Return the mask of the seed alone, which does not depend on the device."""
        words = key_words(self.seed) if self.words is None else self.words
        if x.is_cuda and can_compile():
            from replication.nets import dropout_triton  # needs Triton

            return dropout_triton.counter_mask(words, self.first, x.shape, x.device)
        key = words.unbind() if isinstance(words, Tensor) else words
        return counter_mask(key, self.first, x.shape, x.device)


def key_words(seed: int) -> tuple[int, int]:
    """Return the two 32-bit words of the key that belongs to ``seed``."""
    return seed & LOW, seed >> WORD


def counter_mask(
    key: Sequence[int | Tensor], first: int, shape: torch.Size, device: torch.device
) -> Tensor:
    """Return which units are kept, bool of ``shape`` (N, ...), for the images from ``first`` on.

    Bit u of image i is bit u % 128 of Philox4x32-10 at the counter (first + i, u // 128), the
    generator of ``data.augment.draws`` in torch's 64-bit integers. So a mask is the same on every
    device, and for a part of a minibatch as for the whole."""
    units = math.prod(shape[1:])
    image = torch.arange(first, first + shape[0], device=device)[:, None]
    group = torch.arange(-(-units // BITS), device=device)[None, :]
    words = torch.stack(_philox(image, group, *key), -1)  # (N, groups, 4)
    bits = (words[..., None] >> torch.arange(WORD, device=device)) & 1
    return bits.flatten(1)[:, :units].reshape(shape).bool()


def _philox(
    c0: Tensor, c1: Tensor, k0: int | Tensor, k1: int | Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Philox4x32-10 at counters (c0, c1, 0, stream); each word is in the low half of an int64.

    A product wraps around at 64 bits, and both its halves are still right."""
    c0, c1 = torch.broadcast_tensors(c0, c1)
    c2, c3 = torch.zeros_like(c0), torch.full_like(c0, STREAM)
    first, second = map(int, MULTIPLIERS)
    for _ in range(ROUNDS):
        product0, product1 = c0 * first, c2 * second
        c0, c1, c2, c3 = (
            ((product1 >> WORD) & LOW) ^ c1 ^ k0,
            product1 & LOW,
            ((product0 >> WORD) & LOW) ^ c3 ^ k1,
            product0 & LOW,
        )
        k0, k1 = (k0 + WEYL[0]) & LOW, (k1 + WEYL[1]) & LOW
    return c0, c1, c2, c3


def seed_masks(net: nn.Module, seed: int, step: int, first: int = 0, total: int = 0) -> None:
    """Fix the dropout masks of the next forward pass by (seed, step).

    A mask also depends on the layer's name and on the image's place in the minibatch. A pass over
    part of the minibatch, such as a data-parallel copy's share, gives the place of its first image
    (``first``) and the size of the minibatch (``total``). The masks are then those of one pass over
    the whole minibatch."""
    seed_layers(dropout_layers(net), seed, step, first, total)


def dropout_layers(net: nn.Module) -> dict[str, Dropout]:
    """Return the dropout layers of ``net`` by name."""
    return {name: layer for name, layer in net.named_modules() if isinstance(layer, Dropout)}


def seed_layers(
    layers: Mapping[str, Dropout], seed: int, step: int, first: int = 0, total: int = 0
) -> None:
    """Do the same as ``seed_masks`` for ``layers``, which are a net's ``dropout_layers``."""
    for name, layer in layers.items():
        layer.seed = _mix([seed, step, *name.encode()])
        layer.first, layer.total = first, total


def _mix(words: list[int]) -> int:
    """Return 63 bits that depend on all words and their order (FNV-1a over 64-bit words)."""
    value = 0xCBF29CE484222325
    for word in words:
        value = ((value ^ (word & (2**64 - 1))) * 0x100000001B3) % 2**64
        value ^= value >> 32
    return value >> 1
