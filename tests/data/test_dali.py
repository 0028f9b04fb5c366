"""DALI makes what the reference makes: all bits from the raw store, within the resamplers'
difference from files.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import COUNT, photo, recipe, write_tree
from PIL import Image

from replication.base.errors import InputError
from replication.data.augment.draws import Draws
from replication.data.loader import Batch, Loader, open_loaders
from replication.data.pipelines import dali, dali_graph
from replication.data.pipelines.stored import Transform
from replication.data.prepared.statistics import Statistics

pytest.importorskip("nvidia.dali")
from nvidia.dali import Pipeline, fn

ASKED: dict[str, Callable[[Loader], Iterator[Batch]]] = {
    "training": lambda loader: loader.epoch(1),
    "training without colour": lambda loader: loader.epoch(1, colour=False),
    "one view": lambda loader: loader.once(batch=16),
    "ten views": lambda loader: loader.once(10, batch=16),
}


def pairs(one: Loader, other: Loader, asked: str) -> Iterator[tuple[Batch, Batch]]:
    for a, b in zip(ASKED[asked](one), ASKED[asked](other), strict=True):
        assert (
            torch.equal(a.ids, b.ids)
            and torch.equal(a.labels, b.labels)
            and a.images.stride() == b.images.stride()
        )
        yield a, b
    one.close()
    other.close()


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    ("fidelity", "data"),
    [
        ("paper", {}),
        ("source2012", {"scale": 0.3}),
        ("paper", {"mean": "none", "colour": 0.0}),
        ("paper", {"augment": False}),
    ],
)
def test_from_the_raw_store_all_bits_agree(
    tree: Path, fidelity: str, data: dict, asked: str
) -> None:
    the = recipe(tree, fidelity, **data)
    loaders = [open_loaders(the, backend=backend).training for backend in ("raw", "dali")]
    assert all(torch.equal(a.images, b.images) for a, b in pairs(*loaders, asked))


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("fidelity", ["paper", "source2012"])
def test_from_files_of_every_kind_values_agree_as_far_as_the_resamplers_do(
    tree: Path, fidelity: str, asked: str
) -> None:
    the = recipe(tree, fidelity, files="encoded")
    loaders = [open_loaders(the, backend=backend).training for backend in ("reference", "dali")]
    differences = torch.cat(
        [(a.images - b.images).abs().flatten() for a, b in pairs(*loaders, asked)]
    )
    # Decoded pixels are equal. Pillow rounds to whole grey levels between its passes, DALI only at
    # the end: one level apart at most. On the outermost row and column of a photograph the filters
    # differ: here a border is a much larger part of an image than at 256.
    assert (differences > 1.001).float().mean() < 0.02
    assert differences.mean() < 0.3 and differences.max() < 30


def test_stored_size_files_are_not_resampled(tree: Path, tmp_path: Path) -> None:

    for key in "ab":
        (tmp_path / "train" / key).mkdir(parents=True)
        for k in range(5):
            Image.fromarray(photo(32, 32 + 8 * k, k)).save(
                tmp_path / "train" / key / f"{k}.jpg", quality=90
            )
    the = recipe(tmp_path, files="encoded")
    loaders = [open_loaders(the, backend=backend).training for backend in ("reference", "dali")]
    assert all(torch.equal(a.images, b.images) for a, b in pairs(*loaders, "training"))


def test_a_file_that_only_dali_cannot_decode_is_judged_by_the_reference_decoder(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_tree(tmp_path / "photos")
    the = recipe(root, files="encoded")
    reference, loader = (
        open_loaders(the, backend=backend).training for backend in ("reference", "dali")
    )
    # DALI is given files that it does not know
    monkeypatch.setattr(dali, "plain_size", lambda content: (40, 40))
    differences = [
        (a.images - b.images).abs().mean()
        for a, b in zip(reference.epoch(0), loader.epoch(0), strict=True)
    ]
    assert max(differences) < 40
    monkeypatch.undo()
    monkeypatch.setattr(dali, "END", b"")  # a truncated file gets through to DALI
    path = root / "train" / "a" / "06.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"a/06\.jpg.*truncated"):
        list(loader.epoch(0))
    path.write_bytes((tree / "train" / "a" / "06.jpg").read_bytes())
    assert sum(len(batch.ids) for batch in loader.once()) == COUNT  # and it continues afterwards
    loader.close()


def test_batches_that_are_kept_are_not_written_over(tree: Path) -> None:
    loader = open_loaders(recipe(tree, files="encoded"), backend="dali").training
    kept = list(loader.epoch(0))
    assert all(torch.equal(a.images, b.images) for a, b in zip(kept, loader.epoch(0), strict=True))


@given(
    st.integers(8, 2000),
    st.integers(8, 2000),
    st.integers(0, 32),
    st.integers(0, 32),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_the_decoded_part_contains_all_pixels_that_the_filter_reads(
    height: int, width: int, top: int, left: int, flip: bool
) -> None:
    draws = Draws(np.array([top]), np.array([left]), np.array([flip]), np.zeros((1, 3)))
    made = dali_graph.windows(np.array([height]), np.array([width]), 256, 224, draws)
    found = {name: value[0].astype(np.float64) for name, value in made.items()}
    whole = np.array([height, width])
    shorter = min(height, width)
    step = whole / [round(height * 256 / shorter), round(width * 256 / shorter)]
    first, last = np.minimum(found["from"], found["to"]), np.maximum(found["from"], found["to"])
    assert (
        (found["start"] >= 0).all()
        and (found["end"] <= whole).all()
        and (found["start"] < found["end"]).all()
    )
    np.testing.assert_allclose(last - first, 224 * step, rtol=1e-5)  # float32
    reach = np.maximum(step, 1)
    assert ((found["start"] == 0) | (first >= reach)).all()
    assert ((found["end"] == whole) | (found["end"] - found["start"] - last >= reach)).all()
    assert (found["from"] > found["to"])[1] == flip and found["from"][0] < found["to"][0]


CUDA = torch.device("cuda", 0)
FOUND = Statistics(
    np.zeros((32, 32, 3), np.float32), np.zeros(3), np.eye(3), np.ones(3), np.eye(3), 10, 32, ""
)


def serialised(define_graph: Callable[[], object]) -> bytes:
    """A graph as DALI writes it, checked by DALI's own rules of devices, without a driver."""
    pipe = Pipeline(9, 2, None, prefetch_queue_depth=1)
    with pipe:
        pipe.set_outputs(define_graph())
    return pipe.serialize()


@pytest.mark.parametrize(("views", "colour"), [(1, True), (1, False), (10, False)])
@pytest.mark.parametrize("encoded", [True, False], ids=["files", "store"])
@pytest.mark.parametrize("fidelity", ["paper", "source2012"])
def test_every_graph_is_valid_on_a_gpu(
    tree: Path, fidelity: str, encoded: bool, views: int, colour: bool
) -> None:
    transform = Transform(recipe(tree, fidelity), FOUND)

    def graph(mixed: bool) -> bytes:
        return serialised(
            lambda: dali_graph.define(transform, views, colour, encoded, CUDA, mixed=mixed)
        )

    on_cores, mixed = graph(False), graph(True)
    assert (on_cores != mixed) == encoded and b"gpu" in on_cores


@pytest.mark.parametrize(
    ("define_graph", "fault"),
    [
        (
            lambda image: fn.slice(
                image.gpu(), start=fn.external_source(name="start").gpu(), shape=[3, 3], axes=[0, 1]
            ),
            "must be on CPU",
        ),
        (lambda image: fn.decoders.image(image.gpu(), device="mixed"), "incompatible device"),
    ],
    ids=["a window on the GPU", "bytes on the GPU"],
)
def test_a_graph_with_an_input_on_the_wrong_device_is_refused(
    define_graph: Callable[[object], object], fault: str
) -> None:
    with pytest.raises((ValueError, RuntimeError), match=fault):
        serialised(lambda: define_graph(fn.external_source(name="image")))
