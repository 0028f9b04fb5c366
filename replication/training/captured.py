"""The training step as one CUDA graph, launched at once instead of kernel by kernel.

A step at 224 x 224 launches some hundred kernels, and a GPU is done with them sooner than the host
has launched them. A graph holds them all. The host must then read nothing in between: the losses
and mistakes of a burst of steps are kept on the GPU and read together. A loss that is not finite is
found at its step all the same: the burst is undone, and its steps are taken one by one.

``steps`` is what the loop sees. If a graph is impossible (on a CPU, with several ranks, with a
minibatch in parts), it takes the steps one by one."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from replication.base.errors import InputError
from replication.data.loader import Batch
from replication.nets.dropout import dropout_layers, key_words, seed_layers
from replication.training.step import Learner, StepResult, gradients

BURST = 16  # steps between two readings; their batches are kept for that long
BURST_SECONDS = 0.5  # and at most so long
WARM_UPS = 3  # steps before a graph is recorded, in which libraries choose their algorithms

TrainStep = Callable[[Learner, Batch, int], StepResult]
log = logging.getLogger(__name__)


def steps(
    learner: Learner, batches: Iterable[Batch], first: int, train_step: TrainStep
) -> Iterator[list[StepResult]]:
    """Train on ``batches``, minibatches ``first``, ``first`` + 1, ... of the run.

    Yields the results of one step, or of a burst of steps. The net is then up to date."""
    if can_capture(learner):
        yield from in_bursts(learner, batches, first, train_step, _recorded(learner))
        return
    for step, batch in enumerate(batches, first):
        yield [train_step(learner, batch, step)]


def can_capture(learner: Learner) -> bool:
    """Return whether the step is the same sequence of kernels each time, on one GPU."""
    devices = {parameter.device for parameter in learner.net.parameters()}
    return (
        learner.group.size == 1
        and learner.recipe.parts == 1
        and learner.recipe.data.unreadable == "stop"
        and len(devices) == 1
        and devices.pop().type == "cuda"
    )


def in_bursts(
    learner: Learner,
    batches: Iterable[Batch],
    first: int,
    train_step: TrainStep,
    static: "StaticStep",
) -> Iterator[list[StepResult]]:
    """As ``steps``, by a step that the host does not read."""
    burst: list[Batch] = []
    begun = time.monotonic()

    def read() -> list[StepResult]:
        results = static.results(len(burst))
        if not all(math.isfinite(result.loss) for result in results):
            static.undo()
            results = []
            for step, batch in enumerate(burst, first):
                results.append(train_step(learner, batch, step))
                if not math.isfinite(results[-1].loss):
                    break
        burst.clear()
        return results

    try:
        for batch in batches:
            if not burst:
                begun = time.monotonic()
                static.begin(batch)
            static.take(batch, first + len(burst))
            burst.append(batch)
            if len(burst) == BURST or time.monotonic() - begun > BURST_SECONDS:
                done = len(burst)
                yield read()
                first += done
    except InputError:  # of the loader: the steps so far are counted before the run stops
        if burst:
            yield read()
        raise
    if burst:
        yield read()


class StaticStep:
    """The step on buffers with fixed addresses, so that a graph can record it."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.dropouts = dropout_layers(learner.net)  # found once, not at every step
        self.batch: Batch | None = None
        self.read = torch.zeros(BURST, 2, dtype=torch.float64)  # loss and mistakes of each step
        self.place = torch.zeros(1, dtype=torch.int64)  # in ``read``, of the next step
        self.saved: list[Tensor] = []

    def begin(self, batch: Batch) -> None:
        """Note the state to which ``undo`` goes back; ``batch`` is of the size of all others."""
        if self.batch is None:
            self._allocate(batch)
        self.place.zero_()
        torch._foreach_copy_(self.saved, self._state())
        self.learner.optimiser.copy_half()

    def take(self, batch: Batch, step: int) -> None:
        """Update the net on ``batch``, minibatch number ``step`` of the run."""
        learner = self.learner
        self.batch.images.copy_(batch.images)
        self.batch.labels.copy_(batch.labels)
        seed_layers(self.dropouts, learner.recipe.seed, step, 0, learner.recipe.batch)
        self.launch()

    def launch(self) -> None:
        """Run the step on what is in the buffers."""
        self.body()

    def body(self) -> None:
        """Run the step itself: a graph records this."""
        optimiser = self.learner.optimiser
        optimiser.zero_grad()
        loss, wrong, _ = gradients(self.learner, self.batch.images, self.batch.labels)
        optimiser.step()
        self.read.index_copy_(0, self.place, torch.stack([loss.double(), wrong.double()])[None])
        self.place += 1

    def results(self, count: int) -> list[StepResult]:
        """Return the results of the last ``count`` steps; here the host waits for the GPU."""
        return [StepResult(loss, int(wrong)) for loss, wrong in self.read[:count].tolist()]

    def undo(self) -> None:
        """Go back to the weights and velocities of ``begin``."""
        torch._foreach_copy_(self._state(), self.saved)
        self.learner.optimiser.copy_half()

    def _allocate(self, batch: Batch) -> None:
        device = batch.images.device
        self.batch = Batch(*(torch.empty_like(part) for part in batch))
        self.read, self.place = self.read.to(device), self.place.to(device)
        self.saved = [torch.empty_like(tensor) for tensor in self._state()]
        if self.learner.recipe.precision == "bf16":
            self.learner.optimiser.keep_half(self.learner.net)

    def _state(self) -> list[Tensor]:
        parameters = list(self.learner.net.parameters())
        velocity = self.learner.optimiser.velocity
        return [p.data for p in parameters] + [velocity(p) for p in parameters]


class RecordedStep(StaticStep):
    """The static step as a CUDA graph."""

    def __init__(self, learner: Learner) -> None:
        super().__init__(learner)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.rates: tuple[float, ...] = ()

    def begin(self, batch: Batch) -> None:
        super().begin(batch)
        rates = tuple(group["lr"] for group in self.learner.optimiser.param_groups)
        if rates != self.rates:  # they are numbers in the graph
            self.batch.images.copy_(batch.images)
            self.batch.labels.copy_(batch.labels)
            self.graph, self.rates = self._record(), rates

    def body(self) -> None:
        for layer, words in zip(self.dropouts.values(), self.keys, strict=True):
            layer.words = words
        super().body()
        for layer in self.dropouts.values():  # a step by itself has its seeds as numbers
            layer.words = None

    def launch(self) -> None:
        if self.dropouts:
            keys = torch.tensor([key_words(layer.seed) for layer in self.dropouts.values()])
            self.keys.copy_(keys.pin_memory(), non_blocking=True)
        if self.graph is None:
            self.body()
        else:
            self.graph.replay()

    def _allocate(self, batch: Batch) -> None:
        super()._allocate(batch)
        self.keys = torch.zeros(
            len(self.dropouts), 2, dtype=torch.int64, device=batch.images.device
        )

    def _record(self) -> torch.cuda.CUDAGraph | None:
        """Return the graph; None, with a line in the log, if the step cannot be recorded."""
        # One stream for both: what libraries and autograd keep for a stream is then there before.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self.body()
        torch.cuda.current_stream().wait_stream(side)
        self.learner.optimiser.zero_grad()  # the graph's gradients are in its own memory
        graph = torch.cuda.CUDAGraph()
        try:
            # the loader's thread may take memory meanwhile
            with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                self.body()
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            log.warning("the step runs without a CUDA graph, which failed: %s", reason)
            graph = None
        self.undo()
        self.place.zero_()
        return graph


def _recorded(learner: Learner) -> RecordedStep:
    """Return the learner's recorded step, which outlasts an epoch."""
    if learner.recorded is None:
        learner.recorded = RecordedStep(learner)
    return learner.recorded
