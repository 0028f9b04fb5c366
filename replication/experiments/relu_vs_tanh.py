"""Figure 1 and section 3.1: ReLUs reach 25% training error six times sooner than tanh.

The net has four layers, the data is CIFAR-10. Three questions, each with its own answer: how much
sooner, each activation at its own best rate (``relu-tanh``); whether the paper's two curves can be
reproduced, and with which net, regime and definition of the error (``fig1-curves``, and the table
of distances); and whether the gain is "several times" regardless of the architecture
(``relu-several``). The trainings are described in ``figure1``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from replication.base.text import counted
from replication.experiments import first_fifths, identification, speedup
from replication.experiments.candidates import CANDIDATES, PAIR, RACE, Candidate, Kind
from replication.experiments.common.collect import nothing_yet
from replication.experiments.common.comparison import ran
from replication.experiments.common.contract import settings_of, store_tables
from replication.experiments.figure1 import (
    DEFINITIONS,
    EXPERIMENT,
    FIRST_FIFTH,
    Search,
    Settings,
    candidates,
    epochs_to,
    planned,
    reporting,
    search,
)
from replication.experiments.identification import Arm, beside, distance
from replication.experiments.speedup import scale
from replication.ledger.measurement import Measurement, measured
from replication.runs.store import Run, Task, complete
from replication.runs.workers import Workers

STAGES = ("race, relu", "race, tanh")  # of the campaign, which trains the first curves
SELECTION = (
    "candidate",
    "activation",
    "rate",
    "seed",
    "epochs",
    "cap",
    "ended",
    "chosen",
    "at_edge",
)
__all__ = ["EXPERIMENT", "Outcome", "Settings", "plan", "run", "settings", "tasks"]
settings = settings_of(Settings, EXPERIMENT)


class Outcome(NamedTuple):
    """What the notebook shows."""

    curves: pd.DataFrame  # one row per reporting run and epoch
    fifths: pd.DataFrame  # the same for the race's net by the first fifth of the next epoch, from 0
    selection: pd.DataFrame  # one row per selection run
    # one row per reporting run: epochs and iterations to the target error by each definition
    table: pd.DataFrame
    progress: pd.DataFrame  # one row per candidate and activation: what is run, and what is wanted
    distances: pd.DataFrame  # the identification: ``identification.table``
    starts: pd.DataFrame  # where the curves start: ``first_fifths.starts``
    placements: pd.DataFrame  # the race's, drawn elsewhere: ``identification.placements``
    ratios: pd.DataFrame  # candidate, definition, mark, ratio, low, high, n, selection
    measurements: list[Measurement]
    runs: tuple[Run, ...]  # every run, for the list of provenance


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    others = "\n".join(f"  {name}: {_described(CANDIDATES[name])}" for name in settings.candidates)
    fifths = _list(settings.first_fifth_seeds)
    return (
        f"the race: {RACE.words}; on seed {settings.selection_seed}, each activation's rate is the"
        f" one with the fewest epochs to {settings.mark:.0%} exact training error\n"
        f"grid of rates for ReLU: {_list(RACE.grid('relu'))}\n"
        f"grid of rates for tanh: {_list(RACE.grid('tanh'))}\n"
        f"then seeds {_list(settings.seeds)}, until {settings.stop_error:.0%} training error"
        f" or {counted(settings.epochs, 'epoch')}\n"
        "candidates for the figure, at rates of their own, on seeds "
        f"{_list(settings.candidate_seeds)}:\n{others or '  none'}"
        + (f"\nthe error of each first fifth: seeds {fifths}" if fifths else "")
    )


def _described(candidate: Candidate) -> str:
    half = candidate.precision != RACE.precision and candidate.name != candidate.precision
    return f"{candidate.words}; products in {candidate.precision}" if half else candidate.words


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def tasks(settings: Settings) -> list[Task]:
    """Return every run that may be needed, given the stored runs."""
    listed = planned(settings)
    if settings.rates_beside:
        for kind in RACE.kinds:
            found = search(settings, RACE, kind)
            if found.ended and found.rate:
                for rate in found.beside:
                    listed += reporting_beside(settings, kind, rate)
    return listed + first_fifths.tasks(settings)


def waits(settings: Settings) -> str:
    """Return why there is nothing to show yet; "" if there is."""
    if not settings.only_stored or complete(tasks(settings)):
        return ""
    return nothing_yet("no run is", *STAGES)


class Curve(NamedTuple):
    """One candidate on one activation: how its rate was chosen, and its reporting runs."""

    candidate: Candidate
    kind: Kind
    search: Search
    # of the reporting seeds; if none is stored, the one that the rate was chosen by
    runs: tuple[Run, ...]

    @property
    def arm(self) -> Arm:
        """The runs, for the identification and the ratios."""
        seed = self.search.settings.selection_seed
        selection = any(run.task.recipe.seed == seed for run in self.runs)
        return Arm(self.candidate.name, self.kind, self.search.rate, self.runs, selection)


def run(settings: Settings) -> Outcome:
    """Train or load every run of Figure 1, and write the experiment's tables."""
    race, *others = [
        [(candidate, kind) for kind in candidate.kinds] for candidate in candidates(settings)
    ]
    with Workers(settings.jobs) as workers:

        def curve(pair: tuple[Candidate, Kind]) -> Curve:
            choice = search(settings, *pair, workers)
            tasks = [] if choice.rate is None else reporting(settings, *pair, choice.rate)
            runs = _runs(settings, tasks, workers)
            if settings.only_stored and not runs:  # the selection's own run is better than no curve
                runs = [one for one in choice.tried if one.task.recipe.update.rate == choice.rate]
            return Curve(*pair, choice, tuple(runs))

        def arm_beside(of: tuple[Curve, float]) -> Arm:
            one, rate = of
            tasks = reporting_beside(settings, one.kind, rate)
            runs = tuple(_runs(settings, tasks, workers))
            return Arm(beside(one.kind, rate), one.kind, rate, runs)

        curves = workers.chains(curve, race)
        rates_beside = [
            (one, rate)
            for one in curves
            if settings.rates_beside and one.search.ended and one.search.rate
            for rate in one.search.beside
        ]
        neighbours = workers.chains(arm_beside, rates_beside)
        curves += workers.chains(curve, [pair for pairs in others for pair in pairs])

        def arm_of_fifths(of: tuple[Candidate, Kind, float]) -> Arm:
            runs = tuple(_runs(settings, first_fifths.of_curve(settings, *of), workers))
            candidate, kind, rate = of
            return Arm(candidate.name, kind, rate, runs, readings=(FIRST_FIFTH,))

        fifths = workers.chains(arm_of_fifths, first_fifths.curves(settings))
    return _publish(settings, curves, neighbours, fifths)


def _runs(settings: Settings, tasks: Sequence[Task], workers: Workers) -> list[Run]:
    return complete(tasks) if settings.only_stored else workers.all(tasks)


def reporting_beside(settings: Settings, kind: Kind, rate: float) -> list[Task]:
    """Return the runs of the race's net at a rate beside the chosen one.

    They have the candidates' seeds.
    """
    return reporting(settings, RACE._replace(name=f"{RACE.name}-beside"), kind, rate)


def _publish(
    settings: Settings, curves: list[Curve], neighbours: list[Arm], fifths: list[Arm]
) -> Outcome:
    arms = [one.arm for one in curves if one.runs]
    shown = [*arms, *(arm for arm in neighbours if arm.runs)]
    rows = [_row(settings, arm, run) for arm in shown for run in arm.runs]
    outcome = Outcome(
        curve_table(shown),
        first_fifths.table(fifths),
        pd.DataFrame([row for one in curves for row in _tried(one)], columns=SELECTION),
        pd.DataFrame(rows, columns=None if rows else ["candidate"]),
        pd.DataFrame(
            [_progress(settings, one) for one in curves]
            + [_progress_beside(settings, arm) for arm in neighbours]
        ),
        identification.table([*shown, *fifths]),
        first_fifths.starts(fifths),
        identification.placements(arms),
        speedup.ratios(arms),
        measure(settings, curves, fifths),
        _distinct(
            [run for one in curves for run in (*one.search.tried, *one.runs)]
            + [run for arm in (*neighbours, *fifths) for run in arm.runs]
        ),
    )
    names = ("selection", "table", "progress", "distances", "starts", "placements", "ratios")
    tables = {name: getattr(outcome, name) for name in names}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements, "%.6g")
    return outcome


def _distinct(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return every run once: the one that a rate was chosen by may also be its curve's only one."""
    return tuple({run.task.folder.name: run for run in runs}.values())


def curve_table(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return one row per run and epoch: the errors, and what the run belongs to."""
    histories = [
        run.history.assign(
            candidate=arm.candidate,
            activation=arm.kind,
            rate=arm.rate,
            seed=run.task.recipe.seed,
            selection=arm.selection,
        )
        for arm in arms
        for run in arm.runs
    ]
    if not histories:
        return pd.DataFrame(columns=["epoch", "candidate", "activation", "selection", *DEFINITIONS])
    return pd.concat(histories, ignore_index=True)


def _progress(settings: Settings, one: Curve) -> dict[str, object]:
    """Return how far a curve is: rates tried, whether one is chosen, and its reporting seeds."""
    wanted = settings.seeds if one.candidate is RACE else settings.candidate_seeds
    return {
        "candidate": one.candidate.name,
        "activation": one.kind,
        "rates_tried": len(one.search.tried),
        "rate": one.search.rate,
        "chosen": one.search.ended and one.search.rate is not None,
        "seeds": 0 if one.arm.selection else len(one.runs),
        "seeds_wanted": len(wanted),
    }


def _progress_beside(settings: Settings, arm: Arm) -> dict[str, object]:
    """Return the same for the race's net at a rate beside the chosen one."""
    return {
        "candidate": arm.candidate,
        "activation": arm.kind,
        "rates_tried": 0,
        "rate": arm.rate,
        "chosen": True,
        "seeds": len(arm.runs),
        "seeds_wanted": len(settings.candidate_seeds),
    }


def _tried(one: Curve) -> list[dict[str, object]]:
    return [
        {
            "candidate": one.candidate.name,
            "activation": one.kind,
            "rate": run.task.recipe.update.rate,
            "seed": run.task.recipe.seed,
            "epochs": epochs_to(run, one.search.settings.mark),
            "cap": run.task.recipe.epochs,
            "ended": run.summary["ended"],
            "chosen": run.task.recipe.update.rate == one.search.rate,
            "at_edge": one.search.at_edge,
        }
        for run in one.search.tried
    ]


def _row(settings: Settings, arm: Arm, run: Run) -> dict[str, object]:
    steps = run.summary["iterations_per_epoch"]
    reached = {definition: epochs_to(run, settings.mark, definition) for definition in DEFINITIONS}
    return {
        "candidate": arm.candidate,
        "activation": arm.kind,
        "rate": arm.rate,
        "seed": run.task.recipe.seed,
        "selection": arm.selection,
        **{f"epochs_{definition}": epochs for definition, epochs in reached.items()},
        "iterations": reached["exact_error"] * steps,
        "epochs_run": run.summary["epochs"],
        "ended": run.summary["ended"],
        "last_exact_error": run.summary["exact_error"],
        "run": run.task.folder.name,
    }


def measure(
    settings: Settings, curves: Sequence[Curve], fifths: Sequence[Arm] = ()
) -> list[Measurement]:
    """Return the ratios at the target error, and the race's distances to the paper's curves.

    A curve counts once its rate is chosen, and only by its reporting seeds.
    """
    arms = [one.arm for one in curves if one.runs and one.search.ended]
    reported = [arm for arm in arms if not arm.selection]
    return speedup.measure(settings, reported, fifths) + _curves(settings, reported)


def _curves(settings: Settings, arms: Sequence[Arm]) -> list[Measurement]:
    """Return the race's distance to each of the paper's curves, one value per seed.

    By the exact error. With both curves, the larger of a seed's two distances is a value too.
    """
    race = {arm.kind: arm for arm in arms if arm.candidate == RACE.name and arm.kind in PAIR}
    by_seed = {
        kind: {
            run.task.recipe.seed: distance(run.history["exact_error"].tolist(), kind)
            for run in arm.runs
            if len(run.history)  # not one that diverged in its first epoch
        }
        for kind, arm in race.items()
    }
    distances: dict[str, list[float]] = {
        kind: list(values.values()) for kind, values in by_seed.items()
    }
    if len(by_seed) == len(PAIR):
        relu, tanh = (by_seed[kind] for kind in PAIR)
        distances["both"] = [max(relu[seed], tanh[seed]) for seed in relu if seed in tanh]
    if not race:
        return []
    first = next(iter(race.values())).runs[0]
    return [
        measured(
            "fig1-curves",
            values,
            profile=settings.profile,
            scale=scale(settings, first),
            ran=ran(first, settings.mark),
            variant=variant,
        )
        for variant, values in distances.items()
        if values
    ]
