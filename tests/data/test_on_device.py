"""Squares on a device are cut to the bits that the raw pipeline makes of the same draws."""

from pathlib import Path

import numpy as np
import pytest
import torch
from photos import recipe

from replication.data.augment.draws import draws_for
from replication.data.loader import open_loaders
from replication.data.pipelines import on_device
from replication.data.pipelines.pipeline import BatchRequest


@pytest.mark.parametrize("asked", ["training", "without colour", "one view", "ten views"])
@pytest.mark.parametrize(
    ("fidelity", "data"),
    [
        ("paper", {}),
        ("source2012", {"scale": 0.3}),
        ("source2012", {}),
        ("paper", {"mean": "none", "colour": 0.0}),
        ("paper", {"augment": False}),
    ],
)
def test_all_bits_are_those_of_the_raw_pipeline(
    tree: Path, fidelity: str, data: dict, asked: str
) -> None:
    batches = {
        "training": lambda loader: loader.epoch(1),
        "without colour": lambda loader: loader.epoch(1, colour=False),
        "one view": lambda loader: loader.once(batch=7),
        "ten views": lambda loader: loader.once(10, batch=7),
    }[asked]
    the = recipe(tree, fidelity, **data)
    raw, ours = (open_loaders(the, backend=name).training for name in ("raw", "device"))
    count = 0
    for a, b in zip(batches(raw), batches(ours), strict=True):
        assert torch.equal(a.images, b.images) and torch.equal(a.ids, b.ids)
        assert a.images.stride() == b.images.stride()
        count += 1
    assert count > 1
    raw.close()
    ours.close()


def test_training_and_validation_share_one_copy(tree: Path) -> None:
    loaders = open_loaders(recipe(tree, validation=6), backend="device")
    assert loaders.training.pipeline.images is loaders.validation.pipeline.images
    loaders.close()


def test_a_large_set_does_not_go_to_the_device(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = open_loaders(recipe(tree), backend="device").training
    store = type("Store", (), {"images": loader.pipeline.images.numpy()})
    assert on_device.fits(store)
    monkeypatch.setattr(on_device, "MOST_BYTES", 1000)
    assert not on_device.fits(store)


def test_a_batch_takes_two_copies_its_numbers_and_its_colour_shifts(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = open_loaders(the := recipe(tree), backend="device").training
    rows = np.arange(6)
    draws = draws_for(the, 1, loader.index.ids[rows], rows)
    copies: list[torch.Tensor] = []
    monkeypatch.setattr(on_device, "queued", lambda values, device: copies.append(values) or values)
    loader.pipeline.batch(BatchRequest(rows, draws, colour=True))
    assert [len(copy) for copy in copies] == [4, 6]
    loader.close()


def test_a_copy_to_a_gpu_is_pinned_and_does_not_wait() -> None:
    class Spy:
        pinned = False

        def pin_memory(self):
            self.pinned = True
            return self

        def to(self, device, non_blocking):
            return self.pinned and non_blocking

    assert on_device.queued(Spy(), torch.device("cuda")) is True
    assert not on_device.queued(here := Spy(), torch.device("cpu")).pinned and here
