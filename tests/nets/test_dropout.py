"""Dropout's masks: a function of seed, step, layer and image, on a CPU as published, on a GPU by a
counter."""

import numpy as np
import pytest
import torch

from replication.data.augment.draws import philox_words
from replication.nets.dropout import STREAM, Dropout, counter_mask, key_words, seed_masks

CPU = torch.device("cpu")
SEED = 0x1234_5678_9ABC_DEF0 >> 1


def test_a_counters_bits_are_those_of_the_generator_of_the_draws() -> None:
    mask = counter_mask(key_words(SEED), 5, torch.Size((3, 200)), CPU)
    for image in range(3):
        for group in range(2):
            counter = (5 + image, group, 0, STREAM)
            words = philox_words(*(np.array([c], np.uint64) for c in counter), *key_words(SEED))
            bits = [int(word[0]) >> bit & 1 for word in words for bit in range(32)]
            found = mask[image, 128 * group : 128 * (group + 1)].int().tolist()
            assert found == bits[: len(found)]


def test_a_part_of_a_minibatch_has_the_masks_of_the_whole() -> None:
    whole = counter_mask(key_words(SEED), 0, torch.Size((8, 4, 3, 5)), CPU)
    part = counter_mask(key_words(SEED), 6, torch.Size((2, 4, 3, 5)), CPU)
    assert torch.equal(part, whole[6:])


def test_half_of_the_units_are_kept_and_images_and_seeds_are_independent() -> None:
    masks = [counter_mask(key_words(seed), 0, torch.Size((256, 1000)), CPU) for seed in (1, 2)]
    for mask in masks:
        assert mask.double().mean() == pytest.approx(0.5, abs=5 * 0.5 / 256_000**0.5)
        agree = (mask[1:] == mask[:-1]).double().mean()
        assert agree == pytest.approx(0.5, abs=5 * 0.5 / 255_000**0.5)
    assert (masks[0] == masks[1]).double().mean() == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("seed", [0, None])  # None: a step is recorded before the first seed
def test_the_key_may_be_a_tensor_that_a_captured_step_reads(seed: int | None) -> None:
    layer = Dropout().train()
    layer.words = torch.tensor(key_words(SEED))
    layer.seed, layer.first, layer.total = seed, 2, 8
    x = torch.randn(4, 50)
    kept = counter_mask(key_words(SEED), 2, x.shape, CPU)
    assert torch.equal(layer(x), x * kept)


def test_on_a_cpu_the_published_masks_stay() -> None:
    layer = torch.nn.Sequential(Dropout()).train()
    seed_masks(layer, seed=3, step=4)
    uniform = torch.rand((6, 40), generator=torch.Generator().manual_seed(layer[0].seed))
    assert torch.equal(layer(torch.ones(6, 40)), (uniform < 0.5).float())
    assert layer[0].seed == 6342330239159997585
