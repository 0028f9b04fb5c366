"""Nearest images by Euclidean distance, and what two distances have in common (section 6.1, Figure 4 right).

The search is exact. Squared distances come in blocks from one matrix product, |q|^2 - 2 q b + |b|^2, in float32: fast, and off by a
little. So it only proposes: every row that the rounding error could have kept out of the k nearest is measured again in float64.
"""

from typing import NamedTuple

import numpy as np
import torch

K = 6  # Figure 4 shows six; the 2012 script showed sixteen, only one of each file (facts-2012, section 6)
BLOCK = 1 << 24  # distances in memory at a time: 64 MB in float32
GATHER = 1 << 22  # numbers of each side that are measured again at a time: 32 MB in float64
ROUNDING = 2.0**-24  # of float32, relative


class Nearest(NamedTuple):
    """The k nearest of each query, nearest first; equal distances in the order of the rows."""

    rows: np.ndarray  # int64 (Q, k), of the base
    distances: np.ndarray  # float64 (Q, k), Euclidean


def nearest(queries: np.ndarray, base: np.ndarray, k: int = K) -> Nearest:
    """The ``k`` rows of ``base`` (N, D) nearest to each of ``queries`` (Q, D); real numbers of any kind.

    Exact, up to float64. ValueError for a ``k`` that is not 1 to N, unequal D, or values that are not finite.
    """
    if queries.ndim != 2 or base.ndim != 2 or queries.shape[1] != base.shape[1] or not 1 <= k <= len(base):
        raise ValueError(f"{k} neighbours of queries {queries.shape} among {base.shape}")
    asked, known = _centred(queries, base)
    squares = known.square().sum(1)  # (N,)
    if not (torch.isfinite(squares).all() and torch.isfinite(asked).all()):
        raise ValueError("a distance to a value that is not finite")
    # A float32 sum of D products is off by at most D roundings of |q| |b|, in any order of adding; 4 more for the centring.
    longest = float(squares.max())
    own = asked.square().sum(1)
    error = (queries.shape[1] + 4) * ROUNDING * (2 * (own * longest).sqrt() + longest + own)
    rows, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    step = max(1, BLOCK // len(base))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        less = torch.addmm(squares, asked[part], known.T, alpha=-2)  # squared distances less |q|^2, which orders nothing
        mark = less.topk(k, largest=False, sorted=False).values.amax(1) + 2 * error[part]
        candidates = (less <= mark[:, None]).nonzero().numpy()
        rows[part], distances[part] = _measure(queries[part], base, candidates, k)
    return Nearest(rows, distances)


def _measure(queries: np.ndarray, base: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best ``k`` of ``candidates`` (M, 2), pairs of query and row sorted by query, at least ``k`` for each: (Q, k) and (Q, k)."""
    squared = np.empty(len(candidates))
    step = max(1, GATHER // base.shape[1])
    for start in range(0, len(candidates), step):
        asked, row = candidates[start : start + step].T
        apart = queries[asked].astype(np.float64) - base[row]
        squared[start : start + step] = np.einsum("md,md->m", apart, apart)
    order = np.lexsort((candidates[:, 1], squared, candidates[:, 0]))
    firsts = np.searchsorted(candidates[:, 0], np.arange(len(queries)))
    best = order[firsts[:, None] + np.arange(k)]
    return candidates[best, 1], np.sqrt(squared[best])


def same_class(labels: np.ndarray, base_labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each query the share of its neighbours ``rows`` (Q, k) that are of its class: float64 (Q,)."""
    return (base_labels[rows] == labels[:, None]).mean(1)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's coefficient of two rows of distances, (Q, N) each, row by row: float64 (Q,). NaN where a row is all one value."""
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"rank correlation of {first.shape} and {second.shape}")
    a, b = (ranks(x) - (x.shape[1] - 1) / 2 for x in (first, second))  # ties keep the mean rank
    norm = np.sqrt(np.square(a).sum(1) * np.square(b).sum(1))
    return np.divide((a * b).sum(1), norm, out=np.full(len(a), np.nan), where=norm > 0)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 along each row of ``values`` (Q, N), equal values sharing their mean rank: float64 (Q, N)."""
    order = values.argsort(1)
    ordered = np.take_along_axis(values, order, 1)
    place = np.arange(values.shape[1])
    starts = np.ones(values.shape, bool)  # where a run of equal values begins
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ends = np.ones(values.shape, bool)
    ends[:, :-1] = starts[:, 1:]
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, place, values.shape[1])[:, ::-1], axis=1)[:, ::-1]
    found = np.empty(values.shape)
    np.put_along_axis(found, order, (first + last) / 2, 1)
    return found


def distances(queries: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Every squared distance, float32 (Q, N), within rounding errors: enough for rank correlations."""
    asked, known = _centred(queries, base)
    found = torch.addmm(known.square().sum(1), asked, known.T, alpha=-2)
    return found.add_(asked.square().sum(1, keepdim=True)).clamp_(min=0).numpy()


def _centred(queries: np.ndarray, base: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Both less the mean of ``base``, float32: distances stay, and rounding errors shrink with the norms."""
    centre = base.mean(0, dtype=np.float64).astype(np.float32)
    apart = (np.subtract(x, centre, dtype=np.result_type(x, np.float32)) for x in (queries, base))
    asked, known = (torch.from_numpy(x.astype(np.float32, copy=False)) for x in apart)
    return asked, known
