"""Nearest images by Euclidean distance, and the agreement of two distances.

Serves section 6.1 and Figure 4, right. The search is exact. Squared distances come in blocks from
one matrix product, |q|^2 - 2 q b + |b|^2, in float32, which is fast and slightly inexact. So the
product only proposes candidates: the distance of every row that rounding could have kept out of the
k nearest is computed again in float64.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata

# Figure 4 shows six; the 2012 script (findsimilar.py) showed sixteen, at most one per file
K = 6
BLOCK = 1 << 24  # distances in memory at a time: 64 MB in float32
GATHER = 1 << 18  # numbers that are measured again at a time: 2 MB in float64, likewise
PART = 1 << 21  # numbers of the base as float32 at a time: 8 MB, which fit into the cache
ABOUT = 1000  # rows whose mean is the middle: any point near it serves
ROUNDING = 2.0**-24  # of float32, relative


class Nearest(NamedTuple):
    """The k nearest rows of each query, nearest first; ties in the order of the rows."""

    rows: np.ndarray  # int64 (Q, k), of the base
    distances: np.ndarray  # float64 (Q, k), Euclidean


def nearest(queries: np.ndarray, base: np.ndarray, k: int = K) -> Nearest:
    """Return the ``k`` rows of ``base`` (N, D) nearest to each of ``queries`` (Q, D).

    Values are real numbers of any dtype; the result is exact up to float64. Raises ValueError for a
    ``k`` outside 1 to N, unequal D, or values that are not finite.
    """
    if (
        queries.ndim != 2
        or base.ndim != 2
        or queries.shape[1] != base.shape[1]
        or not 1 <= k <= len(base)
    ):
        raise ValueError(f"{k} neighbours of queries {queries.shape} among {base.shape}")
    rows, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    step = max(1, BLOCK // len(base))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        less, own, longest = _products(queries[part], base)
        if not np.isfinite([*own, longest]).all():
            raise ValueError("a distance to a value that is not finite")
        # A float32 sum of D products is off by at most D roundings of |q| |b|, in any order of
        # adding; 4 more for the centring.
        error = (queries.shape[1] + 4) * ROUNDING * (2 * np.sqrt(own * longest) + longest + own)
        # faster than a partition
        best = torch.from_numpy(less).topk(k, largest=False, sorted=False).values.amax(1).numpy()
        candidates = np.argwhere(less <= (best + 2 * error)[:, None])
        rows[part], distances[part] = _measure(queries[part], base, candidates, k)
    return Nearest(rows, distances)


def _products(queries: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return squared distances less |q|^2, (Q, N) float32; |q|^2, (Q,); and the largest |b|^2.

    A point near the middle of ``base`` is subtracted from both sides: distances stay the same, and
    rounding errors shrink with the norms. The base passes through one buffer, part by part, so that
    it is never copied whole. The product is NumPy's, which is more than twice as fast as torch's on
    some processors and as fast on the others."""
    centre = base[:: -(-len(base) // ABOUT)].mean(0, dtype=np.float64).astype(np.float32)
    centred = _less(queries, centre, np.empty(queries.shape, np.float32))
    own = np.einsum("nd,nd->n", centred, centred)
    centred *= -2
    step = max(1, PART // base.shape[1])
    buffer = np.empty((min(step, len(base)), base.shape[1]), np.float32)
    less, longest = np.empty((len(queries), len(base)), np.float32), 0.0
    for start in range(0, len(base), step):
        known = _less(part := base[start : start + step], centre, buffer[: len(base) - start])
        squares = np.einsum("nd,nd->n", known, known)
        np.add(centred @ known.T, squares, out=less[:, start : start + len(part)])
        longest = np.maximum(longest, squares.max())  # keeps NaN
    return less, own, float(longest)


def _less(x: np.ndarray, centre: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Write ``x - centre`` into ``out``, subtracted in the precision of ``x``."""
    return np.subtract(x, centre, dtype=np.result_type(x, np.float32), out=out, casting="same_kind")


def _measure(
    queries: np.ndarray, base: np.ndarray, candidates: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best ``k`` candidates of each query: rows (Q, k) and distances (Q, k).

    ``candidates`` (M, 2) are pairs of query and row, sorted by query, at least ``k`` per query.
    """
    squared = np.empty(len(candidates))
    step = max(1, GATHER // base.shape[1])
    for start in range(0, len(candidates), step):
        query, row = candidates[start : start + step].T
        apart = queries[query].astype(np.float64) - base[row]
        squared[start : start + step] = np.einsum("md,md->m", apart, apart)
    order = np.lexsort((candidates[:, 1], squared, candidates[:, 0]))
    firsts = np.searchsorted(candidates[:, 0], np.arange(len(queries)))
    best = order[firsts[:, None] + np.arange(k)]
    return candidates[best, 1], np.sqrt(squared[best])


def same_class(labels: np.ndarray, base_labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the share of each query's neighbours ``rows`` (Q, k) in its class: float64 (Q,)."""
    return (base_labels[rows] == labels[:, None]).mean(1)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's coefficient of each row of two arrays (Q, N): float64 (Q,).

    A row of one repeated value gives NaN.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"rank correlation of {first.shape} and {second.shape}")
    a, b = (ranks(x) - (x.shape[1] - 1) / 2 for x in (first, second))  # ties keep the mean rank
    norm = np.sqrt(np.square(a).sum(1) * np.square(b).sum(1))
    return np.divide((a * b).sum(1), norm, out=np.full(len(a), np.nan), where=norm > 0)


def ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 0 along each row of ``values`` (Q, N): float64 (Q, N).

    Equal values share their mean rank.
    """
    return rankdata(values, axis=1) - 1


def squared_distances(queries: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return every squared distance, float32 (Q, N), with rounding errors.

    It is accurate enough for rank correlations.
    """
    less, own, _ = _products(queries, base)
    less += own[:, None]
    return np.maximum(less, 0, out=less)
