"""Figure 1's trainings: the race of ReLU against tanh, and candidates for the setting.

The protocol, fixed on 25 November 2026 before the first run on the original images of CIFAR-10:

- The race. Net 19pct in the regime of the 2012 source, no weight decay, no crops, all 50,000
  images. ReLU and tanh each get the rate of their own that takes selection seed 100 to 25% training
  error in the fewest epochs, on a grid in steps of sqrt 2 that is walked from its middle; the error
  is the exact one, over all images after each epoch. Reporting seeds 0 to 4 then continue to 22% or
  48 epochs.
- The identification, a second question that never chooses a rate of the race. Each candidate of
  ``candidates``, at the rate that the same rule gives it, on seeds 0 to 2; and the race's own net
  at the rates beside the chosen one. (Changed on the same day, before the first run of a candidate:
  they too continue to 22% or 48 epochs, so that each of them also has a ratio of its own. Changed
  on 26 November 2026, after results had been seen: the comparisons of a curve's candidates are at
  95% together, no longer each by itself, because with 27 of them one is wrong more often than not.
  On the same day, before the first reporting run of any of them: scaled-tanh, 80sec,
  conv-local-13pct and the saturating functions are trained with bf16 products, which a processor
  with bf16 instructions computes three times as fast, and candidate bf16 is the race's net trained
  so, which shows what the products change by themselves. Two trials of rates that 80sec had made in
  float32 are not used. Changed on 27 November 2026, after results had been seen: a fourth meaning
  of training error, that over the first fifth of the next epoch, is compared too. The printed
  curves start at epoch 0, below chance, where no other meaning has a number. cuda-convnet prints a
  number for each of CIFAR-10's five files and plots the first one at 0. The runs so far had not
  recorded it, so the race's net is trained on further seeds, with the images in shuffled and in
  stored order. Seen before the first of these runs: in a trial
  outside the package, two seeds of each curve have 78 and 80% for ReLU and 73 and 74% for tanh in
  the first fifth of epoch 1, where the paper's lines start at 78 and 73%.)
"""

import math
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from replication.base.models import Frozen
from replication.base.types import Profile
from replication.experiments.candidates import CANDIDATES, RACE, STEPS, Candidate, Kind
from replication.experiments.common.comparison import MoreSeeds, Seeds, crossing, some_of
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs.store import Run, Task, load
from replication.runs.workers import Workers

EXPERIMENT = "relu_vs_tanh"
MODERN_SCALE = 1 / 64  # CIFAR-10's pixels have a standard deviation of about 64 grey levels
CHANCE = 0.9  # the error before any training, with ten classes


class Definition(NamedTuple):
    """One meaning of "training error": a column of a run's history."""

    title: str
    # the number's position in its epoch: a mean belongs to the middle of the minibatches it covers
    place: float


DEFINITIONS = {
    "exact_error": Definition("over all images after the epoch", 1.0),
    "last_fifth_error": Definition("mean over the epoch's last fifth of minibatches", 0.9),
    "running_error": Definition("mean over the epoch's minibatches", 0.5),
}


# The column of a run's history with the mean over an epoch's first fifth of minibatches. Runs of
# before 27 November 2026 lack it. In the figure it stands at the end of the epoch before.
FIRST_FIFTH = "first_fifth_error"
# the meanings of training error that the figure may have
READINGS = DEFINITIONS | {
    FIRST_FIFTH: Definition("mean over the next epoch's first fifth of minibatches", 0.1)
}


class Settings(Frozen):
    """The notebook's parameters; each profile has its own values."""

    profile: Profile
    data: str
    count: int = Field(ge=0)  # training images; 0: all
    size: int = Field(ge=8)
    batch: int = Field(ge=1)
    epochs: int = Field(ge=1)  # a run is stopped here, regardless of its error
    mark: float = Field(gt=0, lt=CHANCE)  # the target: a training error
    stop_error: float = Field(gt=0, lt=1)  # a reporting run is stopped here, at or below the target
    candidates: Annotated[tuple[str, ...], some_of("candidate", CANDIDATES)]  # besides the race
    rates_beside: bool  # whether the race's net is also run at the rates beside the chosen one
    selection_seed: int = Field(ge=0)
    seeds: Seeds
    candidate_seeds: Seeds
    first_fifth_seeds: MoreSeeds = ()  # of the race's net, for the error of each first fifth
    only_stored: bool = False  # show what has been run so far, and train nothing
    jobs: int = Field(1, ge=1)  # training processes at a time

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.selection_seed in (*self.seeds, *self.candidate_seeds, *self.first_fifth_seeds):
            raise ValueError("the selection seed must not be a reporting seed")
        if self.stop_error > self.mark:
            raise ValueError("stop_error is larger than mark; lower it to mark or less")
        return self


class Trial(NamedTuple):
    """One training run of the figure: everything but the data."""

    candidate: Candidate
    kind: Kind
    rate: float
    seed: int
    epochs: int  # at most
    stop: float  # the exact error at or below which the run ends
    prefix: str = ""  # of the run's name


def recipe(settings: Settings, trial: Trial) -> Recipe:
    """Return the recipe of a trial; the exact error is measured after every epoch."""
    candidate, kind = trial.candidate, trial.kind
    return Recipe(
        data=Data(
            name=settings.data,
            count=settings.count or None,
            size=settings.size,
            scale=MODERN_SCALE if candidate.modern else 1.0,
        ),
        net=CifarNetSpec(
            name=candidate.net,
            activation=candidate.tanh if kind == "tanh" else kind,
            init="fan_in" if candidate.modern else "source2012",
        ),
        update=Update(
            rate=trial.rate, bias_rate_factor=candidate.bias_rate_factor, weight_decay=0.0
        ),
        batch=settings.batch,
        epochs=trial.epochs,
        order=candidate.order,
        precision=candidate.precision,
        stop_error=trial.stop,
        stop_on="exact",
        exact_error=True,
        seed=trial.seed,
    )


def task(settings: Settings, trial: Trial) -> Task:
    """Return the run of a trial and its place."""
    parts = (trial.prefix, trial.candidate.name, trial.kind, f"rate{trial.rate:g}")
    name = "-".join((*filter(None, parts), f"seed{trial.seed}"))
    return Task(settings.profile, EXPERIMENT, name, recipe(settings, trial))


def reporting(settings: Settings, candidate: Candidate, kind: Kind, rate: float) -> list[Task]:
    """Return the runs of a curve at its rate, one per seed: more seeds for the race."""
    race = candidate is RACE
    seeds, prefix = (settings.seeds, "") if race else (settings.candidate_seeds, "candidate")
    return [
        task(
            settings,
            Trial(candidate, kind, rate, seed, settings.epochs, settings.stop_error, prefix),
        )
        for seed in seeds
    ]


def selecting(
    settings: Settings, candidate: Candidate, kind: Kind, rate: float, epochs: int
) -> Task:
    """Return the run that tries a rate, on the selection seed, for at most ``epochs``."""
    trial = Trial(candidate, kind, rate, settings.selection_seed, epochs, settings.mark, "select")
    return task(settings, trial)


def epochs_to(run: Run, target: float, definition: str = "exact_error") -> float:
    """Return the epochs until a run's training error first meets ``target``; NaN if never.

    The curve starts from chance at epoch 0.
    """
    if run.history.empty:
        return math.nan
    return crossing(run.history[definition].tolist(), target, CHANCE, READINGS[definition].place)


def next_rate(scores: dict[float, float], grid: tuple[float, ...]) -> float | None:
    """Return the rate to try next; None if none is left.

    The grid's middle is first, then the untried neighbours of the best rate, the larger one first.
    ``scores`` are epochs to the target error (infinity: not reached). The walk ends at a rate that
    beats both its neighbours, or at an edge. As long as no rate has reached the target, every rate
    of the grid is tried.
    """
    if not scores:
        return grid[len(grid) // 2]
    best = min(scores, key=scores.get)
    if math.isinf(scores[best]):
        return next((rate for rate in sorted(grid, reverse=True) if rate not in scores), None)
    place = grid.index(best)
    neighbours = [grid[i] for i in (place + 1, place - 1) if 0 <= i < len(grid)]
    return next((rate for rate in neighbours if rate not in scores), None)


class Search:
    """The choice of a rate: which run comes next, given the results of those that have ended."""

    def __init__(self, settings: Settings, candidate: Candidate, kind: Kind) -> None:
        self.settings, self.candidate, self.kind = settings, candidate, kind
        self.grid = candidate.grid(kind)
        self.scores: dict[float, float] = {}
        self.tried: list[Run] = []

    def next_task(self) -> Task | None:
        """Return the run to train next; None once the rate is chosen."""
        rate = next_rate(self.scores, self.grid)
        if rate is None:
            return None
        cap, best = self.settings.epochs, min(self.scores.values(), default=math.inf)
        if not math.isinf(best):
            cap = math.ceil(best)  # a run slower than the best so far need not finish
        return selecting(self.settings, self.candidate, self.kind, rate, cap)

    def add(self, run: Run) -> None:
        """Add the result of a run."""
        epochs = epochs_to(run, self.settings.mark)
        self.scores[run.task.recipe.update.rate] = math.inf if math.isnan(epochs) else epochs
        self.tried.append(run)

    @property
    def rate(self) -> float | None:
        """The fastest rate so far; None if none has met the target error."""
        best = min(self.scores, key=self.scores.get, default=None)
        return None if best is None or math.isinf(self.scores[best]) else best

    @property
    def ended(self) -> bool:
        """Whether the rate beats both its neighbours, or no rate is left to try."""
        return next_rate(self.scores, self.grid) is None

    @property
    def at_edge(self) -> bool:
        """Whether a better rate may be outside the grid."""
        return self.rate in (self.grid[0], self.grid[-1])

    @property
    def beside(self) -> tuple[float, ...]:
        """The rates beside the chosen one."""
        place = self.grid.index(self.rate)
        return tuple(self.grid[i] for i in (place - 1, place + 1) if 0 <= i < len(self.grid))


def candidates(settings: Settings) -> tuple[Candidate, ...]:
    """Return the race and the candidates of ``settings``."""
    return (RACE, *(CANDIDATES[name] for name in settings.candidates))


def planned(settings: Settings) -> list[Task]:
    """Return every run that may be needed: all rates of all grids, then reporting seeds.

    The search decides which rates are tried, and at which rate the reporting seeds run. If the runs
    of the search are stored, the list has those; otherwise it has the reporting seeds at the grid's
    middle rate.
    """
    listed = []
    for candidate in candidates(settings):
        for kind in candidate.kinds:
            found = search(settings, candidate, kind)
            listed += [run.task for run in found.tried]
            if not found.ended:
                untried = [rate for rate in found.grid if rate not in found.scores]
                listed += [
                    selecting(settings, candidate, kind, rate, settings.epochs) for rate in untried
                ]
            rate = found.rate or found.grid[STEPS]
            listed += reporting(settings, candidate, kind, rate)
    return listed


def search(
    settings: Settings, candidate: Candidate, kind: Kind, workers: Workers | None = None
) -> Search:
    """Choose the rate, training what is missing.

    Without ``workers``, and with ``only_stored``, from stored runs alone."""
    choice = Search(settings, candidate, kind)
    while (wanted := choice.next_task()) is not None:
        stored = workers is None or settings.only_stored
        run = load(wanted) if stored else workers.run(wanted)
        if run is None:
            break
        choice.add(run)
    return choice
