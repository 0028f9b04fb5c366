"""The draws of augmentation: the published generator, even and independent numbers, and nothing but
(seed, epoch, id) that decides them.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.data.augment.draws import draw, draws_for, philox_words
from replication.recipe import AlexNetSpec, CifarNetSpec, Data, Recipe, Update

IDS = np.arange(60_000)


def recipe(net=None, **data) -> Recipe:
    fields = {"name": "synthetic", "size": 256, "crop": 224, "augment": True, "colour": 0.1} | data
    return Recipe(
        data=Data(**fields), net=net or AlexNetSpec(), update=Update(rate=0.01), epochs=1, seed=5
    )


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2).sum() / expected)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_the_generator_gives_its_published_answers(counter, key, answer):
    """philox4x32, 10 rounds, of Random123's kat_vectors."""
    words = philox_words(*(np.array([word], np.uint64) for word in counter), *key)
    assert tuple(int(word[0]) for word in words) == answer


@pytest.mark.parametrize("positions", [1, 9, 32, 33])
def test_every_offset_is_as_likely_as_the_next(positions):
    draws = draw(7, 3, IDS, IDS, positions)
    assert set(np.unique(draws.top)) == set(np.unique(draws.left)) == set(range(positions))
    pairs = np.bincount(draws.top * positions + draws.left, minlength=positions**2)
    # of an even and independent pair, chi-square has mean k and deviation sqrt(2k); one fixed seed,
    # so it cannot flicker
    freedom = positions**2 - 1
    assert abs(chi_square(pairs) - freedom) <= 4 * np.sqrt(2 * freedom)


def test_flip_and_place_of_an_image_are_independent():
    draws = draw(7, 3, IDS, IDS, 32)
    table = np.zeros((2, 32))
    np.add.at(table, (draws.flip.astype(int), draws.top), 1)
    assert abs(chi_square(table) - 63) < 4 * np.sqrt(2 * 63)
    assert abs(draws.flip.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(IDS))


def test_multipliers_are_standard_normals_and_independent():
    n = 200_000
    normals = draw(7, 3, np.arange(n), np.arange(n), 32).normals
    # four standard errors of a mean of squares or products is at most sqrt(2) times this
    error = 4 / np.sqrt(n)
    assert np.abs(normals.mean(axis=0)).max() < error
    assert np.abs(normals.T @ normals / n - np.eye(3)).max() < np.sqrt(2) * error
    assert abs((normals**4).mean() - 3) < 4 * np.sqrt(96 / (3 * n))  # the variance of z^4 is 96
    for limit, share in ((1, 0.317311), (2, 0.045500), (3, 0.002700)):
        assert abs((np.abs(normals) > limit).mean() - share) < 4 * np.sqrt(share / (3 * n))


def test_neighbours_epochs_and_seeds_do_not_resemble_each_other():
    here = draw(7, 3, IDS, IDS, 32)
    for other in (
        draw(7, 3, IDS + 1, IDS, 32),
        draw(7, 4, IDS, IDS, 32),
        draw(8, 3, IDS, IDS, 32),
        draw(7 + 2**32, 3, IDS, IDS, 32),
    ):
        for mine, theirs in (
            (here.top, other.top),
            (here.flip, other.flip),
            (here.normals[:, 0], other.normals[:, 0]),
        ):
            assert abs(np.corrcoef(mine, theirs)[0, 1]) < 4 / np.sqrt(len(IDS))


@given(
    st.integers(0, 2**63),
    st.integers(0, 500),
    st.permutations(range(97)),
    st.lists(st.integers(0, 97), max_size=4),
)
def test_draws_depend_on_seed_epoch_and_id_alone(seed, epoch, order, cuts):
    """Any order, any batches, any shards: bit by bit the same."""
    ids = np.array(order) * 13_000
    whole = draw(seed, epoch, ids, np.arange(97), 33)
    bounds = [0, *sorted(cuts), 97]
    parts = [
        draw(seed, epoch, ids[a:b], np.arange(a, b), 33)
        for a, b in zip(bounds, bounds[1:], strict=False)
    ]
    ascending = draw(seed, epoch, np.sort(ids), np.arange(97), 33)
    for field, one in enumerate(whole):
        assert np.array_equal(one, np.concatenate([part[field] for part in parts]))
        assert np.array_equal(one, ascending[field][np.argsort(np.argsort(ids))])
    single = draw(seed, epoch, ids[40:41], np.array([40]), 33)
    assert np.array_equal(single.normals[0], whole.normals[40])


def test_the_source_shares_crop_and_flip_over_chunks_of_the_order_and_not_the_colour():
    ids = np.random.default_rng(0).permutation(4096)
    draws = draw(1, 0, ids, np.arange(4096), 33, chunk=32)
    for field in (draws.top, draws.left, draws.flip):
        assert (field.reshape(-1, 32) == field[::32, None]).all()
    assert len(np.unique(draws.top[::32])) > 25  # 128 chunks, 33 offsets
    assert np.array_equal(draws.normals, draw(1, 0, ids, np.arange(4096), 33).normals)
    second = draw(1, 0, ids[64:128], np.arange(64, 128), 33, chunk=32)
    assert np.array_equal(second.top, draws.top[64:128])


def test_a_recipe_says_how_many_places_there_are():
    places = np.arange(20_000)
    paper = draws_for(recipe(), 0, places, places)
    source = draws_for(
        recipe(AlexNetSpec(fidelity="source2012")), 0, np.arange(200_000), np.arange(200_000)
    )
    cifar = draws_for(recipe(CifarNetSpec(), size=32, crop=24), 0, places, places)
    assert (paper.top.max(), source.top.max(), cifar.top.max()) == (31, 32, 8)
    assert len(np.unique(cifar.top[:32])) > 1  # for each image, not for each chunk


def test_without_augmentation_the_crop_is_central_and_nothing_is_flipped():
    ids = np.arange(50)
    draws = draws_for(recipe(augment=False, colour=0.0), 3, ids, ids)
    assert (
        (draws.top == 16).all()
        and (draws.left == 16).all()
        and not draws.flip.any()
        and not draws.normals.any()
    )
    coloured = draws_for(recipe(augment=False), 3, ids, ids)
    assert (coloured.top == 16).all() and np.array_equal(
        coloured.normals, draws_for(recipe(), 3, ids, ids).normals
    )
