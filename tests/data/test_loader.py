"""The loader: every image exactly once, draws and arithmetic as stated, nothing that depends on
threads, starts or interruptions.
"""

import dataclasses
import importlib.util
import threading
from functools import partial
from pathlib import Path

import numpy as np
import photos
import pytest
import torch
from photos import COUNT, photo
from PIL import Image
from trees import random_images

from replication.base.errors import InputError
from replication.data.augment.draws import draws_for
from replication.data.augment.order import order
from replication.data.files.index import index_folder
from replication.data.loader import Loader, evaluation_loader, open_loaders
from replication.data.pipelines.stored import Transform
from replication.data.prepared.statistics import mean_image, shifts
from replication.data.prepared.store import Store, prepare
from replication.data.splits import selected, split_rows
from replication.recipe import CifarNetSpec, Data, Recipe, Update

SIZE, SIDE = 32, 24  # of ``photos.recipe``
recipe = partial(photos.recipe, batch=8, seed=3)
DALI = pytest.param(
    "dali",
    marks=pytest.mark.skipif(
        importlib.util.find_spec("nvidia") is None, reason="DALI is not installed"
    ),
)
BACKENDS = ["raw", "reference", DALI]


def files(backend: str) -> str:
    return "raw" if backend == "raw" else "encoded"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_evaluation_yields_each_image_exactly_once(tree: Path, backend: str, shards: int) -> None:
    the = recipe(tree, files=files(backend))
    loaders = [evaluation_loader(the, "train", backend=backend) for _ in range(shards)]
    for k, loader in enumerate(loaders):
        loader.shard = (k, shards)
    for batch in (1, 7, 32, 64):
        next(loaders[0].once(batch=batch))  # and left early
        for views in (1, 10) if batch == 7 else (1,):
            ids = torch.cat([made.ids for loader in loaders for made in loader.once(views, batch)])
            assert sorted(ids.tolist()) == list(range(COUNT))
    for loader in loaders:
        loader.close()
    assert not [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith(("loader", "reader"))
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", [1, 7, 32, 64])
def test_an_epoch_visits_images_in_its_order_and_resumes_at_any_minibatch(
    tree: Path, backend: str, batch: int
) -> None:
    loader = open_loaders(recipe(tree, batch=batch, files=files(backend)), backend=backend).training
    for epoch in (0, 1):
        whole = list(loader.epoch(epoch))
        seen = [image for made in whole for image in made.ids.tolist()]
        assert seen == order(3, epoch, COUNT)[: COUNT // batch * batch].tolist()
        half = len(whole) // 2
        for made, again in zip(whole[half:], loader.epoch(epoch, start=half), strict=True):
            assert torch.equal(made.images, again.images) and torch.equal(made.labels, again.labels)
    loader.close()


@pytest.mark.parametrize("fidelity", ["paper", "source2012"])
@pytest.mark.parametrize("colour", [True, False])
def test_training_images_are_what_the_paper_or_its_source_says(
    tree: Path, fidelity: str, colour: bool
) -> None:
    the = recipe(tree, fidelity, scale=0.5)
    loaders = open_loaders(the)
    store, found = prepare(selected(the.data, "train"), SIZE), loaders.statistics
    batch = next(loaders.training.epoch(2, colour=colour))
    ids, where = batch.ids.numpy(), np.arange(8)
    draws = draws_for(the, 2, ids, where)
    assert 0 < draws.flip.sum() < 8 or fidelity == "source2012"
    for i in range(8):
        y, x = draws.top[i], draws.left[i]
        crop = store.images[ids[i], y : y + SIDE, x : x + SIDE].astype(np.float64)
        crop = crop[:, ::-1] if draws.flip[i] else crop
        if fidelity == "paper":
            mean = found.mean[y : y + SIDE, x : x + SIDE]
            mean = mean[:, ::-1] if draws.flip[i] else mean
        else:
            mean = found.mean[4:28, 4:28]  # the central 24 of 32, unflipped
        expected = crop - mean
        if colour:
            expected = expected + shifts(found, draws.normals[i : i + 1], 0.1, fidelity)
            expected = expected / 1.1 if fidelity == "source2012" else expected
        # float32 numbers below 256, three roundings of half a unit in the last place: 3 * 2^-17 *
        # 1.1
        np.testing.assert_allclose(
            batch.images[i].permute(1, 2, 0), expected * 0.5, atol=3e-5, rtol=0
        )
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("backend", ["raw", DALI])
def test_an_image_equal_to_the_mean_is_zero_under_every_crop_and_flip(
    tree: Path, backend: str
) -> None:
    square = photo(SIZE, SIZE, 99)
    store = Store(index_folder(tree, "train"), np.repeat(square[None], COUNT, 0), SIZE)
    the = recipe(tree, colour=0.0, batch=37)
    found = dataclasses.replace(open_loaders(the).statistics, mean=mean_image(store.images))
    loader = Loader(the, store, np.arange(COUNT), Transform(the, found), backend=backend)
    seen = set()
    for epoch in range(4):
        draws = draws_for(the, epoch, np.arange(COUNT), np.arange(COUNT))
        seen |= set(zip(draws.top.tolist(), draws.left.tolist(), draws.flip.tolist(), strict=True))
        assert not next(loader.epoch(epoch)).images.any()
    assert len(seen) > 60  # of 128: 8 x 8 offsets and flips
    assert not any(made.images.any() for views in (1, 10) for made in loader.once(views))


def test_batches_that_are_kept_are_not_written_over(tree: Path) -> None:
    loader = open_loaders(recipe(tree, batch=4)).training
    kept = list(loader.epoch(0))
    assert all(
        torch.equal(one.images, made.images.clone())
        for one, made in zip(kept, loader.epoch(0), strict=True)
    )
    assert len({made.images.data_ptr() for made in kept}) == len(kept)


def test_memory_of_batches_that_are_gone_is_used_again(tree: Path) -> None:
    loader = open_loaders(recipe(tree, batch=1)).training
    places = [made.images.data_ptr() for made in loader.epoch(0)]
    assert len(set(places)) < len(places) / 2


def test_a_pipeline_reads_the_stored_file_itself_as_a_plain_array(tree: Path) -> None:
    loader = open_loaders(recipe(tree)).training
    images = loader.pipeline.images
    # indexing a memmap takes twice as long
    assert type(images) is np.ndarray and isinstance(images.base, np.memmap)


def test_shares_of_a_minibatch_make_up_the_minibatch(tree: Path) -> None:
    the = recipe(tree, fidelity="source2012")
    whole = next(open_loaders(the).training.epoch(0))
    parts = [next(open_loaders(the, share=slice(k, None, 2)).training.epoch(0)) for k in (0, 1)]
    assert all(
        torch.equal(whole.images[k::2], parts[k].images)
        and torch.equal(whole.ids[k::2], parts[k].ids)
        for k in (0, 1)
    )


def test_a_closed_loader_says_so_instead_of_waiting(tree: Path) -> None:
    loader = open_loaders(recipe(tree)).training
    batches = loader.epoch(0)
    next(batches)
    loader.close()
    with pytest.raises(ValueError, match="closed"):
        list(batches)
    with pytest.raises(ValueError, match="closed"):
        next(loader.epoch(0))


def test_validation_images_are_put_aside_evenly_and_never_trained_on(tree: Path) -> None:
    index = selected(recipe(tree).data, "train")
    training, aside = split_rows(index, 6)
    assert np.bincount(index.labels[aside]).tolist() == [2, 2, 2] and sorted(
        [*training, *aside]
    ) == list(range(COUNT))
    loaders = open_loaders(recipe(tree, validation=6))
    validation = evaluation_loader(recipe(tree, validation=6), "validation")
    ids = torch.cat([made.ids for made in validation.once()])
    assert (
        ids.tolist()
        == index.ids[aside].tolist()
        == torch.cat([made.ids for made in loaders.validation.once()]).tolist()
    )
    assert loaders.statistics.count == len(training)  # the mean image has not seen them either
    plain = recipe(tree, validation=6, augment=False, colour=0.0, mean="none")
    batch = next(open_loaders(plain).training.epoch(0))
    squares = prepare(selected(plain.data, "train"), SIZE).images[batch.ids, 4:28, 4:28]
    assert np.array_equal(batch.images.permute(0, 2, 3, 1), squares) and not set(
        batch.ids.tolist()
    ) & set(ids.tolist())
    held_out = evaluation_loader(recipe(tree, validation=6), "test")
    assert held_out.index.split == "val" and np.array_equal(
        held_out.transform.mean, loaders.statistics.mean
    )


@pytest.mark.parametrize("validation", [4, 6, 9])
def test_validation_images_that_leave_a_class_without_any_are_refused(tmp_path, validation) -> None:
    keys = ("a", "b", "c")
    root = random_images(tmp_path, keys, 9, 3)
    (root / "train" / "b" / "001.png").unlink()  # of three
    index = index_folder(root, "train")
    assert len(split_rows(index, 3)[1]) == 3
    with pytest.raises(InputError, match=f"data.validation is {validation}, of 8 .* below 6"):
        split_rows(index, validation)


def test_a_validation_set_beside_a_test_set_is_a_split_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        for key in ("n00000001", "n00000002"):
            (tmp_path / "ilsvrc2010" / split / key).mkdir(parents=True)
            for number in range(count):
                image = np.random.default_rng([count, number]).integers(
                    0, 256, (32, 32, 3), np.uint8
                )
                Image.fromarray(image).save(
                    tmp_path / "ilsvrc2010" / split / key / f"{split}-{number}.JPEG"
                )
    asked = Recipe(
        data=Data(name="ilsvrc2010", size=32),
        net=CifarNetSpec(),
        update=Update(rate=0.1),
        batch=2,
        epochs=1,
    )
    sizes = {split: len(evaluation_loader(asked, split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 8, "val": 4, "test": 6}
    some = evaluation_loader(asked, "test").index.ids[[4, 1]]
    assert sorted(evaluation_loader(asked, "test", ids=some).index.ids) == sorted(some)


def test_a_number_of_classes_takes_them_evenly_from_the_sorted_list(tree: Path) -> None:
    # 0 * 3 // 2, 1 * 3 // 2
    assert selected(Data(name=f"folder:{tree}", classes=2), "val").classes == ("a", "b")
    with pytest.raises(InputError, match="choose 2 to 3"):
        selected(Data(name=f"folder:{tree}", classes=4), "val")


def test_a_backend_that_cannot_read_the_recipes_files_is_refused(tree: Path) -> None:
    with pytest.raises(InputError, match="encoded"):
        open_loaders(recipe(tree, files="encoded"), backend="raw")
    with pytest.raises(InputError, match="raw"):
        open_loaders(recipe(tree), backend="reference")


def test_without_dali_files_are_read_by_the_reference_pipeline(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_loaders(recipe(tree)).training.backend == "raw"
    monkeypatch.setattr("replication.data.pipelines.choice.has_dali", lambda: False)
    assert open_loaders(recipe(tree, files="encoded")).training.backend.startswith(
        "reference, pillow"
    )
