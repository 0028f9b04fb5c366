"""Short binary codes for retrieval: an autoencoder on features or on pixels.

Section 6.1 proposes them, but does not try them. The vectors are centred and projected on their
leading principal components: the best linear layer an autoencoder can have (Bourlard and Kamp,
1988), shared by all code lengths. Above it are one hidden layer of ReLUs, the code layer of
logistic units, and the mirror image of both. In training, a unit of the code layer outputs 0 or 1,
but its gradient is that of the logistic unit (the straight-through estimator; Bengio, Leonard and
Courville, 2013). So the autoencoder is trained with the codes that retrieval will use.

Images are then ranked by the number of bits in which their codes differ.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

COMPONENTS = 256  # kept before the autoencoder: as many as the longest code has bits
HIDDEN = 256
BATCH = 256
RATE = 0.001  # of Adam
BLOCK = 1 << 24  # distances in memory at a time


class Basis(NamedTuple):
    """Leading principal components of a training set."""

    mean: Tensor  # float32 (D,)
    axes: Tensor  # float32 (D, C)
    scale: float  # of the projected training set's values: root of their mean square

    def project(self, x: np.ndarray) -> Tensor:
        """Project vectors (N, D) -> (N, C), with a mean square of 1 over the training set."""
        return (torch.from_numpy(x) - self.mean) @ self.axes / self.scale


def basis(x: np.ndarray, components: int = COMPONENTS, seed: int = 0) -> Basis:
    """Return the leading components of ``x`` float32 (N, D).

    The method is randomised subspace iteration (Halko, Martinsson and Tropp, 2011). Raises
    ValueError if all vectors are equal or some are not finite."""
    data = torch.from_numpy(x)
    mean = data.mean(0)
    data = data - mean
    size = min(components, *data.shape)
    generator = torch.Generator().manual_seed(seed)
    axes = torch.randn(data.shape[1], size, generator=generator)
    for _ in range(3):  # each multiplies the lead of the leading components by their squared ratio
        axes = torch.linalg.qr(data.T @ (data @ axes)).Q
    _, _, turn = torch.linalg.svd(data @ axes, full_matrices=False)
    axes = axes @ turn.T
    scale = float((data @ axes).square().mean().sqrt())
    if not scale > 0:
        raise ValueError("all vectors are equal, or some are not finite: there is nothing to code")
    return Basis(mean, axes, scale)


class Autoencoder(nn.Module):
    """Projected vectors (N, C) -> codes (N, bits) of 0 and 1 -> the vectors again."""

    def __init__(self, components: int, bits: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(components, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, bits)
        )
        self.decoder = nn.Sequential(
            nn.Linear(bits, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, components)
        )

    def forward(self, x: Tensor) -> Tensor:
        smooth = self.encoder(x).sigmoid()
        # the value is 0 or 1, the gradient that of ``smooth``
        code = smooth + ((smooth > 0.5).float() - smooth).detach()
        return self.decoder(code)

    @torch.inference_mode()
    def codes(self, x: Tensor) -> np.ndarray:
        """Return packed codes, uint8 (N, bits / 8)."""
        return np.packbits((self.encoder(x) > 0).numpy(), axis=1)


def learn(x: Tensor, bits: int, epochs: int, seed: int = 0) -> Autoencoder:
    """Train an autoencoder with a code of ``bits`` on projected vectors (N, C).

    ``bits`` is a multiple of 8. The seed determines the result.
    """
    if bits % 8 or bits < 8:
        raise ValueError(f"codes of {bits} bits; they must fill bytes")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Autoencoder(x.shape[1], bits)
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=order).split(BATCH):
            batch = x[rows]
            optimiser.zero_grad()
            F.mse_loss(net(batch), batch).backward()
            optimiser.step()
    return net.eval()


def words(codes: np.ndarray) -> np.ndarray:
    """Return packed codes uint8 (N, B) in the widest words that divide B, (N, W).

    Wider words need fewer operations per comparison.
    """
    width = next(size for size in (8, 4, 2, 1) if codes.shape[1] % size == 0)
    return np.ascontiguousarray(codes).view(f"u{width}")


def hamming(queries: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return the number of bits in which packed codes differ: uint16 (Q, N)."""
    left, right = words(queries), words(base)
    differing = np.zeros((len(left), len(right)), np.uint16)
    for word in range(left.shape[1]):
        differing += np.bitwise_count(left[:, word, None] ^ right[:, word])
    return differing


def hamming_nearest(queries: np.ndarray, base: np.ndarray, k: int) -> np.ndarray:
    """Return the rows of the ``k`` codes of ``base`` nearest to each query: int64 (Q, k).

    Nearest first; equal distances in the order of the rows.
    """
    step = max(1, BLOCK // len(base))
    nearest = np.empty((len(queries), k), np.int64)
    place = np.arange(len(base), dtype=np.int64)
    for start in range(0, len(queries), step):
        # one number for distance, then row
        keys = hamming(queries[start : start + step], base) * np.int64(len(base)) + place
        best = torch.from_numpy(keys).topk(k, largest=False, sorted=True).values.numpy()
        nearest[start : start + step] = best % len(base)
    return nearest


def hamming_precision(
    queries: np.ndarray, labels: np.ndarray, base: np.ndarray, base_labels: np.ndarray, k: int
) -> np.ndarray:
    """Return, per query, the expected share of the ``k`` nearest codes in its class: (Q,).

    The expectation is over a random order of equal distances. Short codes have many ties, and any
    fixed order of them would favour some images."""
    if not 1 <= k <= len(base):
        raise ValueError(f"precision at {k} of {len(base)} codes")
    levels = 8 * base.shape[1] + 1
    step = max(1, BLOCK // len(base))
    precision = np.empty(len(queries))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        bins = hamming(queries[part], base) + levels * np.arange(len(labels[part]))[:, None]
        every = np.bincount(bins.ravel(), minlength=len(bins) * levels).reshape(-1, levels)
        same = np.bincount(
            bins[base_labels == labels[part, None]], minlength=len(bins) * levels
        ).reshape(-1, levels)
        before = every.cumsum(1) - every  # nearer than this distance
        taken = np.clip(k - before, 0, every)  # how many of this distance are among the k
        precision[part] = (
            same * np.divide(taken, every, out=np.zeros(every.shape), where=every > 0)
        ).sum(1) / k
    return precision
