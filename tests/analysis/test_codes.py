"""Binary codes: the Hamming ranking against brute force, fair ties, and an autoencoder that keeps
what tells classes apart.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.analysis import codes as C

Bits = st.sampled_from([8, 16, 24, 32, 64, 128])


def random_codes(n: int, bits: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, bits // 8), np.uint8)


@given(Bits, st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_hamming_counts_the_bits_that_differ(bits: int, q: int, n: int, seed: int) -> None:
    queries, base = random_codes(q, bits, seed), random_codes(n, bits, seed + 1)
    a, b = np.unpackbits(queries, 1), np.unpackbits(base, 1)
    assert np.array_equal(C.hamming(queries, base), (a[:, None] != b[None]).sum(2))


@given(st.integers(1, 20), st.integers(0, 99))
def test_the_nearest_codes_are_in_order_and_ties_by_row(k: int, seed: int) -> None:
    queries, base = random_codes(3, 8, seed), random_codes(20, 8, seed + 1)
    assert np.array_equal(
        C.hamming_nearest(queries, base, k),
        C.hamming(queries, base).argsort(1, kind="stable")[:, :k],
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(0, 20))
def test_precision_is_the_mean_over_random_orders_of_ties(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # two bits: ties everywhere
    queries, base = random_codes(4, 8, seed) & 3, random_codes(12, 8, seed + 1) & 3
    labels, base_labels = rng.integers(0, 3, 4), rng.integers(0, 3, 12)
    apart = C.hamming(queries, base)
    trials = []
    for _ in range(400):
        shuffled = rng.permutation(12)
        best = shuffled[apart[:, shuffled].argsort(1, kind="stable")[:, :k]]
        trials.append((base_labels[best] == labels[:, None]).mean(1))
    found = C.hamming_precision(queries, labels, base, base_labels, k)
    # standard error of 400 trials at most 0.025, 80 answers
    assert np.allclose(found, np.mean(trials, 0), atol=0.13)


def test_precision_of_all_is_the_share_of_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(C, "BLOCK", 1)  # one query at a time
    queries, base = random_codes(5, 16, 0), random_codes(10, 16, 1)
    found = C.hamming_precision(
        queries, np.array([0, 1, 0, 1, 1]), base, np.array([0] * 3 + [1] * 7), 10
    )
    assert found == pytest.approx([0.3, 0.7, 0.3, 0.7, 0.7])
    with pytest.raises(ValueError, match="precision"):
        C.hamming_precision(queries, np.zeros(5, int), base, np.zeros(10, int), 11)


def test_the_basis_is_that_of_the_principal_components() -> None:
    rng = np.random.default_rng(0)
    x = (
        rng.normal(size=(400, 6))
        * [9, 6, 4, 0.1, 0.1, 0.1]
        @ np.linalg.qr(rng.normal(size=(6, 6))).Q
        + 5
    ).astype(np.float32)
    found = C.basis(x, 3)
    truth = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:3]
    assert np.allclose(np.abs(truth @ found.axes.numpy()), np.eye(3), atol=1e-3)
    assert float(found.project(x).square().mean()) == pytest.approx(1, rel=1e-5)
    with pytest.raises(ValueError, match="nothing to code"):
        C.basis(np.ones((5, 3), np.float32))


def test_codes_of_separate_clusters_find_their_own_and_the_seed_decides_them() -> None:
    rng = np.random.default_rng(1)
    centres, labels = rng.normal(0, 3, (4, 20)), np.repeat(np.arange(4), 60)
    x = (centres[labels] + rng.normal(0, 1, (240, 20))).astype(np.float32)
    projected = C.basis(x).project(x)
    before = torch.random.get_rng_state()
    made = [C.learn(projected, 16, epochs=20, seed=3).codes(projected) for _ in range(2)]
    assert np.array_equal(*made)
    assert torch.equal(before, torch.random.get_rng_state())
    assert C.hamming_precision(made[0], labels, made[0], labels, 20).mean() > 0.9  # chance is 0.25
    with pytest.raises(ValueError, match="bytes"):
        C.learn(projected, 12, epochs=1)
