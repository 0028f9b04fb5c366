"""What augmentation costs beside the training step (section 4.1, claim ``aug-free``).

The same steps are timed with the loader beside them and without it. The steps start from fresh
weights, and their rate is so small that every step costs the same; no net is trained to a result.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pandas as pd
import torch

from replication.base.text import counted
from replication.data.loader import Batch, Loader, open_loaders
from replication.data.pipelines.pipeline import BatchRequest, Pipeline, PreparedBatch
from replication.data.splits import training_index
from replication.experiments.common.baselines import baseline
from replication.experiments.data_pipeline import Settings
from replication.ledger.measurement import Measurement, measured
from replication.ledger.scale import describe
from replication.nets.build import build
from replication.recipe import Recipe
from replication.training.distributed.group import SingleProcess
from replication.training.process.allocator import keep_freed_memory
from replication.training.process.numerics import numerics
from replication.training.sgd import PaperSGD
from replication.training.step import Learner, update

MEMORY = 8  # batches held in memory for the steps that wait for nothing
WARM = 3  # steps before the clock starts
SHARED = (
    "the step and the loader share these cores, so the added time is what the loader computes; the"
    " paper's step ran on GPUs, and its loader had the CPU to itself"
)


class Timing(NamedTuple):
    """The times of one seed's steps."""

    seed: int
    memory: float  # seconds of the steps on batches in memory
    loader: float  # seconds of the same number of steps with the loader beside them
    waited: float  # seconds of those in which a step waited for its batch
    steps: pd.DataFrame  # step, asked, got, done: seconds since the first request
    prepared: pd.DataFrame  # begin, end of each batch's preparation, on the same clock


class _Clocked:
    """A pipeline that records when it works on a requested batch."""

    def __init__(self, inner: Pipeline) -> None:
        self.inner, self.backend = inner, inner.backend
        self.log: list[tuple[float, float]] = []

    def stream(self, jobs: Iterable[BatchRequest]) -> Iterator[PreparedBatch]:
        with contextlib.closing(self.inner.stream(jobs)) as stream:
            begin = time.perf_counter()
            for batch in stream:
                self.log.append((begin, time.perf_counter()))
                yield batch
                begin = time.perf_counter()

    def close(self) -> None:
        self.inner.close()


def time_steps(settings: Settings, seed: int) -> Timing:
    """Time training steps with and without the loader beside them.

    The steps are those of the profile's baseline. Half of the steps on batches in memory run before
    the steps with the loader, the other half after them.
    """
    keep_freed_memory()
    chosen = baseline(settings.profile, seed)
    loaders = open_loaders(chosen, settings.device)
    try:
        with numerics(chosen):  # as the trainer computes
            return _time_steps(settings, seed, chosen, loaders.training)
    finally:
        loaders.close()


def _time_steps(settings: Settings, seed: int, chosen: Recipe, loader: Loader) -> Timing:
    torch.manual_seed(seed)
    net = (
        build(chosen, len(loader.classes))
        .to(settings.device, memory_format=torch.channels_last)
        .train()
    )
    # the weights hardly change, so that every step costs the same
    learner = Learner(chosen, net, PaperSGD(net.parameters(), 1e-6), SingleProcess())
    kept = [batch for batch, _ in zip(loader.epoch(0), range(MEMORY), strict=False)]
    for batch in kept[:WARM]:
        _step(learner, batch)
    half = settings.steps // 2

    def in_memory() -> float:
        begin = time.perf_counter()
        for number in range(half):
            _step(learner, kept[number % len(kept)])
        return time.perf_counter() - begin

    memory = in_memory()
    loader.pipeline = clock = _Clocked(loader.pipeline)
    waited, rows = loader.waited, []
    begin = requested = time.perf_counter()
    for number, batch in enumerate(_batches(loader, 2 * half)):
        got = time.perf_counter()
        _step(learner, batch)
        done = time.perf_counter()
        rows.append(
            {"step": number, "asked": requested - begin, "got": got - begin, "done": done - begin}
        )
        requested = done
    with_loader, waited = rows[-1]["done"], loader.waited - waited
    memory += in_memory()
    prepared = pd.DataFrame(
        [(a - begin, b - begin) for a, b in clock.log], columns=["begin", "end"]
    )
    return Timing(seed, memory, with_loader, waited, pd.DataFrame(rows), prepared)


def _batches(loader: Loader, steps: int) -> Iterator[Batch]:
    """Yield ``steps`` batches, through as many epochs as that takes."""
    epoch = 0
    while steps > 0:
        for batch in loader.epoch(epoch):
            yield batch
            steps -= 1
            if steps == 0:
                return
        epoch += 1


def _step(learner: Learner, batch: Batch) -> None:
    update(learner, batch.images, batch.labels).item()  # waits for the device


def measure(settings: Settings) -> tuple[list[Timing], Measurement]:
    """Measure claim aug-free: for each seed, the share of the time in which a step waits."""
    timings = [time_steps(settings, seed) for seed in settings.seeds]
    chosen = baseline(settings.profile)
    steps = 2 * (settings.steps // 2)
    threads = torch.get_num_threads()
    where = (
        settings.device
        if settings.device != "cpu"
        else f"CPU, {counted(threads, 'thread')}, shared with the loader"
    )
    scale = (
        f"{chosen.data.name}, crops of {chosen.data.side} from stored {chosen.data.size}, batch"
        f" {chosen.batch}, {steps} steps, {where}"
    )
    waited = [t.waited / t.loader for t in timings]
    added = ", ".join(f"{t.loader / t.memory - 1:.0%}" for t in timings)
    reason = f"beside it an epoch takes {added} longer than without the loader"
    if settings.device == "cpu":
        reason += f"; {SHARED}"
    index = training_index(chosen.data)
    card = {
        "name": index.name,
        "note": index.note,
        "images": len(index),
        "classes": len(index.classes),
        "fingerprint": index.fingerprint,
    }
    return timings, measured(
        "aug-free",
        waited,
        profile=settings.profile,
        scale=scale,
        reason=reason,
        ran=describe(chosen, card),
    )


def timings_table(timings: list[Timing]) -> pd.DataFrame:
    """Return one row per seed: time of a step, share that the loader adds, share of waiting.

    Times are in milliseconds.
    """
    rows = []
    for one in timings:
        count = len(one.steps)
        rows.append(
            {
                "seed": one.seed,
                "step in memory, ms": 1e3 * one.memory / count,
                "step with loader, ms": 1e3 * one.loader / count,
            }
        )
        prepared = (one.prepared["end"] - one.prepared["begin"]).mean()
        rows[-1] |= {
            "preparing a batch, ms": 1e3 * prepared,
            "added": one.loader / one.memory - 1,
            "waited": one.waited / one.loader,
        }
    return pd.DataFrame(rows)
