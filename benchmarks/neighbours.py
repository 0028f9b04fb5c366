"""Nearest images: our exact search beside the matrix product inside it, and beside faiss's flat
index where that is installed.

    python -m benchmarks.neighbours [--queries 1000] [--base 20000] [--dimensions 4096] [--json]

Goals: at least 0.6 of the rate of the matrix product alone, and at least
faiss's. The vectors are ReLU activations' kin: normal numbers with the negative half cut off, in
clusters, as classes are. Building faiss's index is not timed. Unset OPENBLAS_CORETYPE where it is
set: it slows NumPy's and faiss's matrix products."""

import argparse
import importlib.util
from typing import Any

import numpy as np
import torch

from benchmarks import timing
from replication.analysis import neighbours

CLUSTERS = 100


def vectors(queries: int, base: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Two float32 sets of clustered, rectified normal vectors."""
    rng = np.random.Generator(np.random.Philox(0))
    centres = rng.standard_normal((CLUSTERS, dimensions), np.float32)

    def draw(count: int) -> np.ndarray:
        found = rng.standard_normal((count, dimensions), np.float32)
        found += centres[rng.integers(0, CLUSTERS, count)]
        return np.maximum(found, 0, out=found)

    return draw(queries), draw(base)


def measure(queries: int, base: int, dimensions: int, k: int, count: int) -> dict[str, Any]:
    """Times of one search of all queries, and ratios; above 1, ours is faster than the other."""
    asked, known = vectors(queries, base, dimensions)
    product = np.empty((queries, base), np.float32)
    cases: dict[str, timing.Case] = {
        "ours": lambda: neighbours.nearest(asked, known, k),
        "matrix product": lambda: np.matmul(asked, known.T, out=product),
    }
    if importlib.util.find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
        flat = faiss.IndexFlatL2(dimensions)
        flat.add(known)
        cases["faiss flat"] = lambda: flat.search(asked, k)
    device = torch.device("cpu")
    seconds = timing.rounds(cases, count, device)
    return {
        "benchmark": "neighbours",
        "machine": timing.machine(device),
        "settings": {
            "queries": queries,
            "base": base,
            "dimensions": dimensions,
            "k": k,
            "rounds": timing.completed(seconds),
        },
        "seconds": {name: timing.spread(own) for name, own in seconds.items()},
        "ratios": {
            f"{name} / ours": timing.ratio(seconds, name, "ours")
            for name in cases
            if name != "ours"
        },
    }


def main() -> None:
    """The command of this benchmark."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--queries", type=timing.positive_int, default=1000)
    options.add_argument("--base", type=timing.positive_int, default=20_000)
    options.add_argument("--dimensions", type=timing.positive_int, default=4096)
    options.add_argument("--k", type=timing.positive_int, default=neighbours.K)
    options.add_argument("--rounds", type=timing.positive_int, default=timing.ROUNDS)
    options.add_argument(
        "--threads", type=timing.positive_int, default=None, help="CPU threads; default all cores"
    )
    options.add_argument("--json", action="store_true", help="print one JSON document")
    given = options.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    found = measure(given.queries, given.base, given.dimensions, given.k, given.rounds)
    timing.show(found, given.json, given.rounds)


if __name__ == "__main__":
    main()
