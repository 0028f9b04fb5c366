"""The data path: decoding alone, and whole photographs or stored squares to augmented 224 x 224
training batches, beside their peers.

    python -m benchmarks.loader [--photos FOLDER] [--batch 64] [--rounds 5] [--json]

Goals, on 2 cores: DALI decodes at the rate of libjpeg-turbo itself or more (simplejpeg where it is
installed, else Pillow's decoder, which is named as such); from files it makes 1.3 times as many
batches as the best DataLoader that a user could write. Every case goes through the same
photographs, as many times."""

import argparse
import contextlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks import timing
from replication.base import paths
from replication.base.errors import InputError
from replication.base.text import counted
from replication.data.files.index import Index, build
from replication.data.files.layouts import Scan
from replication.data.loader import Loader
from replication.data.pipelines.stored import Transform
from replication.data.prepared.statistics import Statistics
from replication.data.prepared.store import Store, read_reduced
from replication.data.sources import catalog
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.training.process.allocator import keep_freed_memory

# folders of the data folder, the first that is there
PHOTOGRAPHS = ("ilsvrc-photos-64", "imagenette2", "imagenette-224-subset")
IMAGES = 256  # each round, at least: the photographs over and over
BATCHES = 8  # a round on a GPU, at least, so that what runs ahead does
SIZE, SIDE = 256, 224
# of the photographs that cuda-convnet2's input_meta was made from: variances along the three colour
# directions, and these
EIGENVALUES = np.array([121.78, 37.09, 19.72]) ** 2
EIGENVECTORS = np.array(
    [[0.397, -0.817, 0.418], [0.701, -0.024, -0.713], [-0.592, -0.576, -0.564]]
).T


def images_of_a_round(device: torch.device, batch: int) -> int:
    """How many images there are at least: those of one minibatch, of several on a GPU."""
    return max(IMAGES, batch if device.type == "cpu" else BATCHES * batch)


def photographs(folder: Path, count: int = IMAGES) -> Index:
    """Every JPEG under ``folder`` as one class, repeated to ``count`` or more."""
    found = Scan(("photograph",))
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg"):
            found.add(str(path.relative_to(folder)), 0, path.stat().st_size)
    if not found.paths:
        raise InputError(f"no JPEG files under {folder}: name another folder with --photos")
    index = build("photographs", "folder", "", "train", folder, found)
    return index.take(np.tile(np.arange(len(index)), -(-count // len(index))))


class Peer(Dataset):
    """What a user of torch's DataLoader writes: one image at a time with Pillow and NumPy, the
    paper's augmentation.
    """

    def __init__(self, index: Index, squares: np.ndarray | None, mean: np.ndarray) -> None:
        self.paths = [str(index.path(i)) for i in range(len(index))]
        self.squares, self.mean = squares, mean

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        if self.squares is None:
            with Image.open(self.paths[i]) as image:
                image = image.convert("RGB")
            width, height = image.size
            short = min(width, height)
            image = image.resize(
                (round(width * SIZE / short), round(height * SIZE / short)),
                Image.Resampling.BILINEAR,
            )
            left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
            square = np.asarray(image.crop((left, top, left + SIZE, top + SIZE)))
        else:
            square = self.squares[i]
        top, left, flip = torch.randint(SIZE - SIDE, (3,)).tolist()
        crop = (
            square[top : top + SIDE, left : left + SIDE]
            - self.mean[top : top + SIDE, left : left + SIDE]
        )
        crop += (EIGENVECTORS * EIGENVALUES @ (0.1 * np.random.randn(3)) / 255).astype(np.float32)
        if flip % 2:
            crop = crop[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))), 0


def peer(dataset: Peer, batch: int, workers: int, device: torch.device) -> timing.Case:
    """One pass of torch's DataLoader, its processes started once; on a GPU its batches are pinned
    and moved there.
    """
    loader = DataLoader(
        dataset,
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
        multiprocessing_context="spawn",
        pin_memory=device.type == "cuda",
    )
    return lambda: [part.to(device, non_blocking=True).shape for batch in loader for part in batch]


def ours(loader: Loader) -> timing.Case:
    """One epoch after another of our loader."""

    def epochs() -> Iterator[int]:
        epoch = 0
        while True:
            for _ in loader.epoch(epoch):
                pass
            yield (epoch := epoch + 1)

    passes = epochs()
    return lambda: next(passes)


def decoders(
    index: Index, batch: int, threads: int, device: torch.device
) -> dict[str, timing.Case]:
    """Decoding alone, from bytes in memory, with as many threads each."""
    contents = [index.path(i).read_bytes() for i in range(len(index))]
    pool = ThreadPoolExecutor(threads)
    found = {}
    try:
        import simplejpeg

        found["decode, libjpeg-turbo (simplejpeg)"] = lambda: list(
            pool.map(_decoded_by(simplejpeg.decode_jpeg), contents)
        )
    except ImportError:
        found["decode, libjpeg-turbo (Pillow)"] = lambda: list(
            pool.map(_decoded_by(_pillow), contents)
        )
    with contextlib.suppress(ImportError):  # there is no DALI for macOS
        found["decode, dali"] = _dali_decoder(contents, batch, threads, device)
    return found


def _decoded_by(decode: Any) -> Any:
    return lambda content: decode(content).shape  # the pixels are let go of, as DALI's are


def _pillow(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _dali_decoder(
    contents: list[bytes], batch: int, threads: int, device: torch.device
) -> timing.Case:
    from nvidia.dali import Pipeline, fn

    arrays = [np.frombuffer(content, np.uint8) for content in contents]
    batches = [arrays[at : at + batch] for at in range(0, len(arrays), batch)]
    place, number = ("mixed", device.index or 0) if device.type == "cuda" else ("cpu", None)
    pipe = Pipeline(batch, threads, number, prefetch_queue_depth=1)
    with pipe:
        pipe.set_outputs(
            fn.decoders.image(
                fn.external_source(name="image", no_copy=True),
                device=place,
                jpeg_fancy_upsampling=True,
            )
        )
    pipe.build()

    def once() -> None:
        # two batches ahead, as in the loader
        for number, part in enumerate([*batches, None, None]):
            if part is not None:
                pipe.feed_input("image", part)
                pipe.schedule_run()
            if number >= 2:
                pipe.share_outputs()
                pipe.release_outputs()

    return once


def measure(
    device: torch.device, batch: int, width: float, count: int, folder: Path | None = None
) -> dict[str, Any]:
    """Times of one pass over the photographs, images/s, and ratios. Batches end on ``device``;
    there is no net, so ``width`` is unused.

    ``folder``: of JPEG photographs; by default those of ``PHOTOGRAPHS`` in the data folder, else
    the embedded synthetic set."""
    if folder is None:
        there = [paths.data() / name for name in PHOTOGRAPHS if (paths.data() / name).is_dir()]
        folder = there[0] if there else catalog.open_index("synthetic", "train").root
    threads = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    keep_freed_memory()
    index = photographs(folder, images_of_a_round(device, batch))
    index = index.take(np.arange(len(index) // batch * batch))
    unique = {path: i for i, path in enumerate(index.paths)}
    squares = {path: read_reduced(index, i, SIZE) for path, i in unique.items()}
    store = Store(index, np.stack([squares[path] for path in index.paths]), SIZE)
    mean = store.images.mean(axis=0, dtype=np.float64).astype(np.float32)
    found = Statistics(
        mean, np.zeros(3), np.eye(3), EIGENVALUES, EIGENVECTORS, len(index), SIZE, index.fingerprint
    )

    def loader(files: str, backend: str, workers: int = 0) -> Loader:
        data = Data(
            name=f"folder:{folder}", files=files, size=SIZE, crop=SIDE, augment=True, colour=0.1
        )
        recipe = Recipe(
            data=data, net=AlexNetSpec(), update=Update(rate=0.01), batch=batch, epochs=1
        )
        source = store if files == "raw" else index
        return Loader(
            recipe,
            source,
            np.arange(len(index)),
            Transform(recipe, found),
            device,
            backend=backend,
            workers=workers,
        )

    loaders = {
        "store, raw": loader("raw", "raw"),
        f"files, reference, {counted(threads, 'process')}": loader("encoded", "reference", threads),
    }
    cases = decoders(index, batch, threads, device)
    if "decode, dali" in cases:
        loaders |= {"files, dali": loader("encoded", "dali"), "store, dali": loader("raw", "dali")}
        if device.type == "cuda":
            loaders["files, dali, decoded on the GPU"] = loader("encoded", "dali-mixed")
    cases |= {name: ours(made) for name, made in loaders.items()}
    for workers in sorted({1, 2} | ({threads} if device.type == "cuda" else set())):
        cases[f"files, torch DataLoader, {counted(workers, 'process')}"] = peer(
            Peer(index, None, mean), batch, workers, device
        )
    cases["store, torch DataLoader, 1 process"] = peer(
        Peer(index, store.images, mean), batch, 1, device
    )
    seconds = timing.rounds(cases, count, device)
    for made in loaders.values():
        made.close()
    return {
        "benchmark": "loader",
        "machine": timing.machine(device) | {"cores": threads},
        "settings": {
            "folder": folder.name,
            "photographs": len(unique),
            "images": len(index),
            "batch": batch,
            "rounds": timing.completed(seconds),
        },
        "seconds": {name: timing.spread(values) for name, values in seconds.items()},
        "images per second": {
            name: timing.spread([len(index) / value for value in values])
            for name, values in seconds.items()
        },
        "ratios": _ratios(seconds),
    }


def _ratios(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Our rate over the peer's: above 1 is faster."""
    peers = {
        "decode, dali": next(name for name in seconds if name.startswith("decode, libjpeg")),
        "files, dali": "files, torch DataLoader, 2 processes",
        "store, raw": "store, torch DataLoader, 1 process",
        "store, dali": "store, torch DataLoader, 1 process",
    }
    peers |= {
        name: "files, torch DataLoader, 2 processes"
        for name in seconds
        if name.startswith("files, reference")
    }
    return {
        f"{name} over {other}": timing.ratio(seconds, other, name)
        for name, other in peers.items()
        if name in seconds
    }


def main() -> None:
    """Read the options, measure, show."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--photos", type=Path, help="a folder with JPEG photographs")
    options.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options.add_argument("--batch", type=timing.positive_int, default=64)
    options.add_argument("--rounds", type=timing.positive_int, default=timing.ROUNDS)
    options.add_argument("--json", action="store_true", help="print one JSON document")
    chosen = options.parse_args()
    found = measure(torch.device(chosen.device), chosen.batch, 1.0, chosen.rounds, chosen.photos)
    timing.show(found, chosen.json, chosen.rounds)
    if not chosen.json:
        for name, value in found["images per second"].items():
            print(
                f"{name}: {value['median']:.0f} images/s ({value['low']:.0f} to"
                f" {value['high']:.0f})"
            )


if __name__ == "__main__":
    main()
