"""Figure 1 at the paper's own scale, on all 50,000 original images of CIFAR-10: the race, and the
candidates for what it shows.

The protocol, fixed on 25 November 2026 before the first of these runs:

- The race. Net 19pct in the regime of the 2012 source, no weight decay, no crops. ReLU and tanh
  each get the rate of their own that takes selection seed 100 to 25% training error in the fewest
  epochs, on a grid in steps of sqrt 2 that is walked from its middle; the error is the exact one,
  measured over all images after each epoch. Reporting seeds 0 to 4 then go on to 22% or to 48
  epochs.
- The identification, a second question that never chooses a rate of the race. Each candidate below,
  at the rate that the same rule gives it, on seeds 0 to 2 over the epochs that the paper's curves
  cover; and the race's own net at the rates beside the chosen one."""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

from replication.experiments.relu_vs_tanh import EXPERIMENT, MODERN_SCALE, epochs_to, next_rate
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs.store import Run, Task, load
from replication.runs.workers import Workers

PROFILE = "paper"
MARK, STOP, CAP = 0.25, 0.22, 48
SELECTION_SEED, SEEDS, CANDIDATE_SEEDS = 100, (0, 1, 2, 3, 4), (0, 1, 2)
COVERED = {"relu": 6, "tanh": 36}  # epochs that the figure's two curves show
STEPS = 4  # of sqrt 2, to either side of a grid's middle
Kind = Literal["relu", "tanh"]  # which of the figure's two curves


class Candidate(NamedTuple):
    """One reading of the figure: everything but the rate and the seed."""

    name: str = "19pct"
    net: str = "19pct"
    tanh: str = "tanh"
    modern: bool = False
    bias_rate_factor: float = 2.0
    order: str = "shuffled"
    kinds: tuple[Kind, ...] = ("relu", "tanh")
    middles: tuple[float, float] = (0.002, 0.008)  # of the grids of rates, for ReLU and tanh

    def grid(self, kind: Kind) -> tuple[float, ...]:
        """Its rates for a curve, three digits each."""
        middle = self.middles[kind == "tanh"]
        return tuple(float(f"{middle * 2 ** (step / 2):.3g}") for step in range(-STEPS, STEPS + 1))


RACE = Candidate()
CANDIDATES = (  # 18pct without its norms is no other net than 19pct
    Candidate("bias-factor-1", bias_rate_factor=1.0),
    Candidate("stored-order", order="stored"),
    Candidate("scaled-tanh", tanh="scaled_tanh", kinds=("tanh",)),
    Candidate("modern", modern=True, bias_rate_factor=1.0, middles=(0.02, 0.04)),
    Candidate("80sec", net="80sec"),
    Candidate("conv-local-13pct", net="conv-local-13pct"),
)


def recipe(
    candidate: Candidate, kind: Kind, rate: float, seed: int, epochs: int, stop: float | None
) -> Recipe:
    """One run: the exact error is measured after every epoch, and ends it where it is at most
    ``stop``.
    """
    return Recipe(
        data=Data(name="cifar10", size=32, scale=MODERN_SCALE if candidate.modern else 1.0),
        net=CifarNetSpec(
            name=candidate.net,
            activation="relu" if kind == "relu" else candidate.tanh,
            init="fan_in" if candidate.modern else "source2012",
        ),
        update=Update(rate=rate, bias_rate_factor=candidate.bias_rate_factor, weight_decay=0.0),
        epochs=epochs,
        order=candidate.order,
        stop_error=stop,
        stop_on="exact",
        exact_error=True,
        seed=seed,
    )


def task(
    candidate: Candidate,
    kind: Kind,
    rate: float,
    seed: int,
    epochs: int,
    stop: float | None,
    what: str = "",
) -> Task:
    """The run and its place; ``what`` is for readers of the folder."""
    name = "-".join(filter(None, (what, candidate.name, kind, f"rate{rate:g}", f"seed{seed}")))
    return Task(PROFILE, EXPERIMENT, name, recipe(candidate, kind, rate, seed, epochs, stop))


def reporting(kind: Kind, rate: float, seed: int) -> Task:
    """A reporting run of the race."""
    return task(RACE, kind, rate, seed, CAP, STOP)


def identifying(candidate: Candidate, kind: Kind, rate: float, seed: int) -> Task:
    """A run that is compared with the figure's curve."""
    return task(candidate, kind, rate, seed, COVERED[kind], None, "candidate")


def reached(run: Run) -> float:
    """Epochs to the mark by the exact error; infinity if it was not met."""
    epochs = math.nan if run.history.empty else epochs_to(run.history["exact_error"], MARK)
    return math.inf if math.isnan(epochs) else epochs


class Search:
    """The choice of a rate: which run is wanted next, given those that have ended. It needs no
    other memory than their results.
    """

    def __init__(self, candidate: Candidate, kind: Kind) -> None:
        self.candidate, self.kind, self.grid = candidate, kind, candidate.grid(kind)
        self.scores: dict[float, float] = {}
        self.tried: list[Run] = []

    def next_task(self) -> Task | None:
        """The run to make next; None when the rate is chosen."""
        rate = next_rate(self.scores, self.grid)
        if rate is None:
            return None
        best = min(self.scores.values(), default=math.inf)
        # slower than the best so far: no need to know how much
        cap = CAP if math.isinf(best) else math.ceil(best)
        return task(self.candidate, self.kind, rate, SELECTION_SEED, cap, MARK, "select")

    def add(self, run: Run) -> None:
        """Take a run's result into account."""
        self.scores[run.task.recipe.update.rate] = reached(run)
        self.tried.append(run)

    @property
    def rate(self) -> float:
        """The fastest so far; NaN while none has met the mark."""
        best = min(self.scores, key=self.scores.get, default=math.nan)
        return math.nan if math.isinf(self.scores.get(best, math.inf)) else best


def search(candidate: Candidate, kind: Kind, workers: Workers) -> Search:
    """Choose the rate, training what has not been trained."""
    found = Search(candidate, kind)
    while (wanted := found.next_task()) is not None:
        found.add(workers.run(wanted))
    return found


def stored_search(candidate: Candidate, kind: Kind) -> tuple[Search, bool]:
    """The search as far as its runs are stored, and whether it has ended."""
    found = Search(candidate, kind)
    while (wanted := found.next_task()) is not None and (run := load(wanted)) is not None:
        found.add(run)
    return found, wanted is None


def neighbours(found: Search) -> Iterator[float]:
    """The rates beside the chosen one."""
    place = found.grid.index(found.rate)
    yield from (found.grid[i] for i in (place - 1, place + 1) if 0 <= i < len(found.grid))
