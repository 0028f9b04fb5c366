"""Figure 1 and section 3.1: a four-layer net with ReLUs reaches 25% training error on CIFAR-10 six
times sooner than with tanh.

Two regimes are measured apart, because the size of the effect depends on them: ``source2012`` (the
released initialisation, images 0-255 minus the mean, biases at twice the weights' rate) and
``modern`` (images divided by 64, close to unit variance, fan-in initialisation, one rate). In each,
every activation gets the rate of its own that is fastest to the mark, chosen on selection seeds
that are not reported; then the reporting seeds are run at that rate."""

import math
from typing import Any, Literal, NamedTuple

import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from replication.base.errors import InputError
from replication.base.models import Frozen, validated
from replication.base.types import Profile
from replication.experiments.common.comparison import ran
from replication.experiments.common.contract import store_tables
from replication.ledger.measurement import Measurement, measured
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs.store import Run, Task
from replication.runs.workers import Workers

EXPERIMENT = "relu_vs_tanh"
# the only released net with four weight layers and no normalisation (facts-2012, section 5)
NET = "19pct"
MODERN_SCALE = 1 / 64  # CIFAR-10's pixels have a standard deviation of about 64 grey levels
Regime = Literal["source2012", "modern"]
Activation = Literal["relu", "tanh", "logistic"]
CHANCE = 0.9  # the error before any training, with ten classes


class Settings(Frozen):
    """What the notebook's parameters say; one set a profile."""

    profile: Profile
    data: str
    count: int = Field(ge=0)  # training images; 0: all
    size: int
    batch: int = Field(ge=1)
    epochs: int = Field(ge=1)  # a run is stopped here, whatever its error
    mark: float = Field(gt=0, lt=1)  # the training error that is raced to
    stop_error: float = Field(gt=0, lt=1)  # a reporting run is stopped here, below the mark
    regimes: tuple[Regime, ...] = Field(min_length=1)
    activations: tuple[Activation, ...] = Field(min_length=1)
    rates_source2012: tuple[float, ...]
    rates_modern: tuple[float, ...]
    selection_seeds: tuple[int, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    jobs: int = Field(1, ge=1)  # training processes at a time

    @field_validator("rates_source2012", "rates_modern")
    @classmethod
    def _a_grid(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        if len(rates) < 3 or list(rates) != sorted(set(rates)) or rates[0] <= 0:
            raise ValueError(
                "a grid of rates needs at least three different positive values in rising order"
            )
        return rates

    @field_validator("seeds")
    @classmethod
    def _apart(cls, seeds: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if set(seeds) & set(info.data.get("selection_seeds", ())):
            raise ValueError("the reporting seeds must not be selection seeds")
        return seeds


def settings(**parameters: Any) -> Settings:
    """The notebook's parameters, checked. Raises InputError that names the first one that will not
    do.
    """
    return validated(Settings, EXPERIMENT, parameters)


def plan(settings: Settings) -> str:
    """What will be run, in words."""
    pairs = len(settings.regimes) * len(settings.activations)
    return (
        f"{pairs} combinations of {len(settings.regimes)} regimes and {len(settings.activations)}"
        f" activations\nrate of each chosen on seeds {_list(settings.selection_seeds)}, by epochs"
        f" to {settings.mark:.0%} training error\nrates of regime source2012:"
        f" {_list(settings.rates_source2012)}\nrates of regime modern:    "
        f" {_list(settings.rates_modern)}\nthen {pairs * len(settings.seeds)} reporting runs, seeds"
        f" {_list(settings.seeds)}, to {settings.stop_error:.0%} training error or"
        f" {settings.epochs} epochs"
    )


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


class Race(NamedTuple):
    """One regime and activation: its choice of rate and its reporting runs."""

    regime: str
    activation: str
    rate: float
    at_edge: bool  # the chosen rate lies at the edge of the grid: a better one may lie outside
    tried: pd.DataFrame  # rate, seed, epochs to the mark (NaN: not within the cap), cap, ended
    runs: tuple[Run, ...]


class Outcome(NamedTuple):
    """All that the notebook shows."""

    curves: pd.DataFrame  # one row for each reporting run and epoch
    selection: pd.DataFrame  # one row for each selection run
    table: pd.DataFrame  # one row for each regime, activation and reporting seed
    measurements: list[Measurement]
    runs: tuple[Run, ...]  # every run, for the list of provenance


def recipe(
    settings: Settings,
    regime: str,
    activation: str,
    rate: float,
    seed: int,
    *,
    reporting: bool,
    cap: int,
) -> Recipe:
    """The recipe of one run. Selection runs stop at the mark; reporting runs go on to
    ``stop_error`` and measure the exact error too.
    """
    modern = regime == "modern"
    return Recipe(
        data=Data(
            name=settings.data,
            count=settings.count or None,
            size=settings.size,
            scale=MODERN_SCALE if modern else 1.0,
        ),
        net=CifarNetSpec(
            name=NET, activation=activation, init="fan_in" if modern else "source2012"
        ),
        update=Update(rate=rate, bias_rate_factor=1.0 if modern else 2.0, weight_decay=0.0),
        batch=settings.batch,
        epochs=cap,
        stop_error=settings.stop_error if reporting else settings.mark,
        exact_error=reporting,
        seed=seed,
    )


def epochs_to(errors: pd.Series | list[float], mark: float) -> float:
    """Epochs until the running training error first meets ``mark``: linear between epochs' ends,
    from chance at 0; NaN if never.
    """
    before = CHANCE
    for epoch, error in enumerate(errors):
        if error <= mark:
            return epoch + (before - mark) / (before - error) if before > mark else float(epoch)
        before = error
    return math.nan


def next_rate(scores: dict[float, float], grid: tuple[float, ...]) -> float | None:
    """The rate to try next: the grid's middle first, then the untried neighbours of the best,
    larger first; None when it has none.

    ``scores`` are epochs to the mark (infinity: not reached). The walk ends at a rate that beats
    both its neighbours, or at an edge. While nothing has reached the mark, every rate of the grid
    is tried."""
    if not scores:
        return grid[len(grid) // 2]
    best = min(scores, key=scores.get)
    if math.isinf(scores[best]):
        return next((rate for rate in sorted(grid, reverse=True) if rate not in scores), None)
    place = grid.index(best)
    neighbours = [grid[i] for i in (place + 1, place - 1) if 0 <= i < len(grid)]
    return next((rate for rate in neighbours if rate not in scores), None)


def tasks(settings: Settings) -> list[Task]:
    """Return what may be run at most: every rate on every selection seed, then the reporting seeds.

    Which of the rates are tried, to which epoch, and at which rate the reporting seeds run is
    decided by the search; here the reporting runs have the middle rate of the grid.
    """
    listed = []
    for regime in settings.regimes:
        grid = settings.rates_modern if regime == "modern" else settings.rates_source2012
        for activation in settings.activations:
            trials = [(rate, seed, False) for rate in grid for seed in settings.selection_seeds]
            reports = [(grid[len(grid) // 2], seed, True) for seed in settings.seeds]
            for rate, seed, reporting in (*trials, *reports):
                name = f"{regime}-{activation}-rate{rate:g}-seed{seed}"
                wanted = recipe(
                    settings,
                    regime,
                    activation,
                    rate,
                    seed,
                    reporting=reporting,
                    cap=settings.epochs,
                )
                name = name if reporting else f"select-{name}"
                listed.append(Task(settings.profile, EXPERIMENT, name, wanted))
    return listed


def run(settings: Settings) -> Outcome:
    """Run, or read where it was run before, every training of Figure 1, and write the experiment's
    tables.
    """
    pairs = [
        (regime, activation) for regime in settings.regimes for activation in settings.activations
    ]
    with Workers(settings.jobs) as workers:
        # tanh takes longest: first
        races = workers.chains(lambda pair: _race(settings, *pair, workers), pairs[::-1])[::-1]
    return _publish(settings, races)


def _race(settings: Settings, regime: str, activation: str, workers: Workers) -> Race:
    grid = settings.rates_modern if regime == "modern" else settings.rates_source2012
    scores: dict[float, float] = {}
    tried = []
    while (rate := next_rate(scores, grid)) is not None:
        best = min(scores.values(), default=math.inf)
        # slower than the best so far: no need to know how much
        cap = settings.epochs if math.isinf(best) else math.ceil(best)
        reached = []
        for seed in settings.selection_seeds:
            name = f"select-{regime}-{activation}-rate{rate:g}-seed{seed}"
            wanted = recipe(settings, regime, activation, rate, seed, reporting=False, cap=cap)
            result = workers.run(Task(settings.profile, EXPERIMENT, name, wanted))
            epochs = _reached(result, settings.mark)
            reached.append(epochs)
            tried.append(
                {
                    "rate": rate,
                    "seed": seed,
                    "epochs": epochs,
                    "cap": cap,
                    "ended": result.summary["ended"],
                    "run": result,
                }
            )
            if math.isnan(epochs):
                break
        scores[rate] = math.inf if math.isnan(sum(reached)) else sum(reached) / len(reached)
    rate = min(scores, key=scores.get)
    if math.isinf(scores[rate]):
        raise InputError(
            f"{EXPERIMENT}: no rate of {list(grid)} takes {activation} ({regime}) to"
            f" {settings.mark:.0%} training error within {settings.epochs} epochs; raise epochs, or"
            f" widen rates_{regime}"
        )

    def report(seed: int) -> Run:
        name = f"{regime}-{activation}-rate{rate:g}-seed{seed}"
        wanted = recipe(
            settings, regime, activation, rate, seed, reporting=True, cap=settings.epochs
        )
        return workers.run(Task(settings.profile, EXPERIMENT, name, wanted))

    runs = workers.chains(report, settings.seeds)
    return Race(
        regime, activation, rate, rate in (grid[0], grid[-1]), pd.DataFrame(tried), tuple(runs)
    )


def _reached(result: Run, mark: float) -> float:
    return math.nan if result.history.empty else epochs_to(result.history["running_error"], mark)


def _publish(settings: Settings, races: list[Race]) -> Outcome:
    curves, table, selection, runs = [], [], [], []
    for race in races:
        pair = {"regime": race.regime, "activation": race.activation}
        for result in race.runs:
            seed = result.task.recipe.seed
            epochs = _reached(result, settings.mark)
            curves.append(result.history.assign(**pair, rate=race.rate, seed=seed))
            table.append(
                pair
                | {
                    "rate": race.rate,
                    "rate_at_edge": race.at_edge,
                    "seed": seed,
                    "epochs_to_mark": epochs,
                    "iterations_to_mark": epochs * result.summary["iterations_per_epoch"],
                    "epochs_run": result.summary["epochs"],
                    "ended": result.summary["ended"],
                    "last_running_error": result.summary["running_error"],
                    "last_exact_error": result.summary["exact_error"],
                    "run": result.task.folder.name,
                }
            )
        selection.append(
            race.tried.drop(columns="run").assign(**pair, chosen=race.tried["rate"] == race.rate)
        )
        runs += [*race.tried["run"], *race.runs]
    outcome = Outcome(
        pd.concat(curves, ignore_index=True),
        pd.concat(selection, ignore_index=True),
        pd.DataFrame(table),
        _measure(settings, races),
        tuple(runs),
    )
    tables = {"table": outcome.table, "selection": outcome.selection}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def _measure(settings: Settings, races: list[Race]) -> list[Measurement]:
    """Iterations to the mark, tanh over ReLU, in each regime that has both."""
    found = {(race.regime, race.activation): race for race in races}
    measurements = []
    for regime in settings.regimes:
        pair = [found.get((regime, activation)) for activation in ("tanh", "relu")]
        if None in pair:
            continue
        (tanh, tanh_cut), (relu, relu_cut) = (_iterations(race, settings) for race in pair)
        if relu_cut and tanh_cut:
            continue  # two bounds bound no ratio
        remarks = [
            f"{race.activation}: {settings.mark:.0%} was not reached within {settings.epochs}"
            " epochs on some seeds"
            for race, cut in zip(pair, (tanh_cut, relu_cut), strict=True)
            if cut
        ]
        remarks += [
            f"{race.activation}: the best rate {race.rate:g} lies at the edge of the grid"
            for race in pair
            if race.at_edge
        ]
        measurements.append(
            measured(
                "relu-tanh",
                tanh,
                denominators=relu,
                profile=settings.profile,
                scale=scale(settings, pair[0].runs[0]),
                variant=regime,
                bound="lower" if tanh_cut else "upper" if relu_cut else None,
                reason="; ".join(remarks),
                ran=ran(pair[0].runs[0], settings.mark),
            )
        )
    return measurements


def scale(settings: Settings, result: Run) -> str:
    """The scale of the experiment in words, for the ledger and under every table and figure."""
    data = result.provenance["data"]
    note = f" ({data['note']})" if data["note"] and data["note"] != data["name"] else ""
    return (
        f"{data['images']:,} images of {data['name']}{note}, net {NET}, at most {settings.epochs}"
        " epochs"
    )


def _iterations(race: Race, settings: Settings) -> tuple[list[float], bool]:
    """Iterations to the mark for each reporting seed, and whether some stand at the cap because
    they never got there.
    """
    epochs = [_reached(result, settings.mark) for result in race.runs]
    steps = [result.summary["iterations_per_epoch"] for result in race.runs]
    values = [
        (settings.epochs if math.isnan(e) else e) * step
        for e, step in zip(epochs, steps, strict=True)
    ]
    return values, any(map(math.isnan, epochs))
