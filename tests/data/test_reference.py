"""The reference pipeline: the raw store's bits from the files themselves, in any number of
processes; broken files named or counted.
"""

import importlib.util
import multiprocessing
import shutil
from functools import partial
from pathlib import Path

import photos
import pytest
import torch
from photos import COUNT
from processes import ended

from replication.base.errors import InputError, TrainingError
from replication.data.loader import evaluation_loader, open_loaders

recipe = partial(photos.recipe, batch=COUNT, files="encoded")
NEEDS_DALI = pytest.mark.skipif(
    importlib.util.find_spec("nvidia") is None, reason="DALI is not installed"
)


@pytest.fixture
def broken(tree: Path, tmp_path: Path) -> Path:
    """The same tree, of which two files break after the index and the statistics were made."""
    root = tmp_path / "photos"
    shutil.copytree(tree, root)
    return root


def spoil(root: Path) -> None:
    path = root / "train" / "a" / "06.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    (root / "train" / "b" / "10.jpg").unlink()


@pytest.mark.parametrize("fidelity", ["paper", "source2012"])
def test_files_of_every_kind_give_the_bits_of_the_raw_store(tree: Path, fidelity: str) -> None:
    made = open_loaders(recipe(tree, fidelity), backend="reference")
    stored = open_loaders(recipe(tree, fidelity, files="raw"))
    assert torch.equal(next(made.training.epoch(1)).images, next(stored.training.epoch(1)).images)
    assert torch.equal(next(made.training.once(10)).images, next(stored.training.once(10)).images)


def test_worker_processes_change_nothing_and_outlive_an_early_end_and_a_broken_file(
    tree: Path, broken: Path
) -> None:
    the = recipe(broken).model_copy(update={"batch": 5})
    alone, several = (
        open_loaders(the, backend="reference", workers=workers).training for workers in (0, 2)
    )
    for epoch in (0, 1):
        for one, other in zip(alone.epoch(epoch), several.epoch(epoch), strict=True):
            assert torch.equal(one.images, other.images) and torch.equal(one.ids, other.ids)
    next(several.epoch(2))
    assert torch.equal(next(several.epoch(2)).images, next(alone.epoch(2)).images)
    processes = set(multiprocessing.active_children())
    spoil(broken)
    with pytest.raises(InputError, match=r"train/[ab]/(06|10)\.jpg"):
        list(several.epoch(3))
    assert len(processes) == 2 and set(multiprocessing.active_children()) == processes
    shutil.copytree(tree, broken, dirs_exist_ok=True)
    killed = next(iter(processes))
    killed.kill()
    killed.join()
    with pytest.raises(TrainingError, match="run it again"):
        list(several.epoch(4))
    several.close()
    assert ended(processes)


BACKENDS = ["reference", pytest.param("dali", marks=NEEDS_DALI)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_breaks_during_training_is_named(broken: Path, backend: str) -> None:
    loader = open_loaders(recipe(broken), backend=backend).training
    spoil(broken)
    with pytest.raises(InputError, match=r"train/[ab]/(06|10)\.jpg") as caught:
        next(loader.epoch(0))
    assert "\n" not in str(caught.value)
    loader.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_breaks_is_left_out_and_counted_where_the_recipe_allows_it(
    broken: Path, backend: str
) -> None:
    whole = next(open_loaders(recipe(broken), backend=backend).training.epoch(0))
    loader = open_loaders(recipe(broken, unreadable="skip"), backend=backend).training
    lost = {
        number
        for number, path in enumerate(loader.index.paths)
        if path.endswith(("a/06.jpg", "b/10.jpg"))
    }
    spoil(broken)
    batch = next(loader.epoch(0))
    assert set(range(COUNT)) - set(batch.ids.tolist()) == lost and loader.skipped == 2
    kept = [place for place, number in enumerate(whole.ids.tolist()) if number not in lost]
    # the others keep their draws
    assert torch.equal(batch.images, whole.images[kept]) and torch.equal(
        batch.labels, whole.labels[kept]
    )
    assert len(next(loader.once()).ids) == COUNT - 2
    loader.close()


def test_a_batch_without_any_readable_image_ends_the_run(broken: Path) -> None:
    the = recipe(broken, unreadable="skip").model_copy(update={"batch": 1})
    loaders = [open_loaders(the, backend=backend).training for backend in ("reference", "auto")]
    spoil(broken)
    for loader in loaders:
        with pytest.raises(InputError, match="not one of 1"):
            list(loader.epoch(0))


def test_the_held_out_split_is_read_from_its_own_files(tree: Path) -> None:
    ids = torch.cat(
        [batch.ids for batch in evaluation_loader(recipe(tree), "test", backend="reference").once()]
    )
    assert ids.tolist() == list(range(6))
