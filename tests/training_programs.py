"""Small runs for the tests of training, and the programs of their extra processes.

Images are in memory, and nets have a few thousand weights. Run as a program, this file starts
groups of processes, one group after the other. They are forked from it, so torch is imported once.
"""

import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

# An optimiser imports it at its first step; here it is imported once for all forked processes.
import torch._dynamo
from PIL import Image

from replication.base import files
from replication.data import loader
from replication.data.files.index import Index, index_folder
from replication.data.loader import Loader, Loaders
from replication.data.pipelines.stored import Transform
from replication.data.prepared.statistics import Statistics, mean_image
from replication.data.prepared.store import Store
from replication.nets.build import build
from replication.recipe import AlexNetSpec, CifarNetSpec, Data, Plateau, Recipe, Update
from replication.training import checkpoint, error_rates, trainer
from replication.training.distributed import exchange, ranks
from replication.training.distributed.group import ProcessGroup
from replication.training.run import Options
from replication.training.session import share_loaders
from replication.training.trainer import Outcome, train

CLASSES, EACH, ASIDE = 3, 10, 6
CIFAR = Recipe(
    data=Data(name="synthetic", size=32, scale=1 / 64),
    net=CifarNetSpec(init="fan_in"),
    update=Update(rate=0.01, weight_decay=0.0),
    batch=8,
    epochs=2,
)
# crops, dropout and a rule that decides: everything that could differ between placements
TOWERS = Recipe(
    data=Data(name="synthetic", size=32, crop=24, augment=True, validation=ASIDE),
    net=AlexNetSpec(fidelity="source2012", side=24, width=1 / 16, init="same_variance"),
    update=Update(rate=0.002, bias_rate_factor=2.0),
    schedule=Plateau(kind="plateau", patience=1),
    batch=8,
    epochs=3,
)


def make_images(root: Path) -> Index:
    """Return the index of a small tree of noise."""
    draws = np.random.default_rng(0)
    for key in "abc":
        (root / "train" / key).mkdir(parents=True)
        for number in range(EACH):
            Image.fromarray(draws.integers(0, 256, (32, 32, 3), np.uint8)).save(
                root / "train" / key / f"{number}.png"
            )
    return index_folder(root, "train")


def open_images(recipe: Recipe, root: Path, share: slice | None = None) -> Loaders:
    """Return loaders of the tree's images; the last of each class are held out for validation."""
    index = index_folder(root, "train")
    pixels = np.random.default_rng(1).integers(0, 256, (len(index), 32, 32, 3), np.uint8)
    store, rows = Store(index, pixels, 32), np.arange(len(index))
    aside = rows % EACH >= EACH - recipe.data.validation // CLASSES
    found = statistics_of(pixels)
    transform = Transform(recipe, found)
    validation = Loader(recipe, store, rows[aside], transform) if aside.any() else None
    return Loaders(Loader(recipe, store, rows[~aside], transform, share=share), validation, found)


def statistics_of(pixels: np.ndarray) -> Statistics:
    """Return the mean image of images of 32 x 32 pixels, with no colours of their own."""
    colours = (np.zeros(3), np.eye(3), np.ones(3), np.eye(3))
    return Statistics(mean_image(pixels), *colours, len(pixels), 32, "")


def train_alone(recipe: Recipe, root: Path, folder: Path, **options: object) -> Outcome:
    """Train in this process."""
    options = {"report": lambda line: None} | options
    return train(recipe, build(recipe, CLASSES), open_images(recipe, root), folder, **options)


def be_killed(recipe: str, root: str, folder: str, events: int) -> None:
    """Train with a checkpoint after every step; SIGKILL itself at the ``events``-th event.

    An event is a step or a change of the disk. 0: train to the end."""
    torch.set_num_threads(1)
    left = [events]

    def counted(act, halfway=None):
        def wrapper(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                if halfway is not None:
                    halfway(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*arguments, **options)

        return wrapper

    def half(path, write):
        path.with_name(f".{path.name}.torn").write_bytes(random.randbytes(1000))

    trainer.train_step = counted(trainer.train_step)
    checkpoint.write_atomic = counted(checkpoint.write_atomic, half)
    for name in ("fsync", "replace", "chmod", "link"):
        setattr(files.os, name, counted(getattr(os, name)))
    Path.unlink = counted(Path.unlink)
    train_alone(
        Recipe.model_validate_json(recipe),
        Path(root),
        Path(folder),
        options=Options(checkpoint_seconds=0.0),
    )


def be_rank(
    rank: int, world: int, meet: str, recipe: str, root: str, folder: str, interrupted: str
) -> None:
    """Train as one rank of a run.

    ``interrupted`` "training" or "evaluation": there the last rank gets a SIGTERM in the second
    epoch, and the exit status is 130, as that of a command."""
    torch.set_num_threads(1)
    place = ranks.join("cpu", f"file://{meet}", 60.0, rank=rank, world_size=world)
    recipe = Recipe.model_validate_json(recipe)
    loaders = open_images(recipe, Path(root), place.share(recipe.batch))
    if place.tower:  # its images come from tower 0

        def refuse(jobs):
            raise AssertionError("tower 1 prepares a batch by itself")

        loaders.training.pipeline.stream = loaders.validation.pipeline.stream = refuse
    loaders = share_loaders(loaders, place)
    net = exchange.on_ranks(build(recipe, CLASSES), place)
    loader.CROPS = error_rates.CROPS = 2  # so that a small pass has several batches
    once, passes = loaders.validation.once, itertools.count()

    def evaluating(*arguments):
        if interrupted == "evaluation" and rank == world - 1 and next(passes) == 1:
            signal.raise_signal(signal.SIGTERM)
        return once(*arguments)

    loaders.validation.once = evaluating
    if interrupted == "training" and rank == world - 1:
        train_step, second_epoch = trainer.train_step, loaders.training.steps

        def interrupting(learner, batch, step):
            if step >= second_epoch:
                signal.raise_signal(signal.SIGTERM)
            return train_step(learner, batch, step)

        trainer.train_step = interrupting
    try:
        train(recipe, net, loaders, Path(folder), lambda line: None, group=ProcessGroup(place))
    except KeyboardInterrupt:
        os._exit(130)
    ranks.leave()


def in_processes(groups: list[list[tuple]], limit: float = 240.0) -> list[list[int | None]]:
    """Return the exit codes of groups of processes, each (name of a function here, arguments).

    All processes have ended afterwards, also after an error."""
    program = subprocess.Popen(
        [sys.executable, __file__, json.dumps(groups)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        return json.loads(program.communicate(timeout=limit)[0])
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()


def _run(groups: list[list[list]], limit: float = 100.0) -> list[list[int | None]]:
    context, codes = multiprocessing.get_context("fork"), []
    for group in groups:
        processes = [
            context.Process(target=globals()[name], args=arguments) for name, *arguments in group
        ]
        for process in processes:
            process.start()
        end = time.monotonic() + limit
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
        codes.append([process.exitcode for process in processes])
        for process in processes:
            process.kill()
    return codes


if __name__ == "__main__":
    print(json.dumps(_run(json.loads(sys.argv[1]))))
