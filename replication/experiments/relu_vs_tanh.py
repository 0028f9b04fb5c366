"""Figure 1 and section 3.1: ReLUs reach 25% training error six times sooner than tanh.

The net has four layers, the data is CIFAR-10. Three questions, each with its own answer: how much
sooner, each activation at its own best rate (``relu-tanh``); whether the paper's two curves can be
reproduced, and with which net, regime and definition of the error (``fig1-curves``, and the table
of distances); and whether the gain is "several times" regardless of the architecture
(``relu-several``). The trainings are described in ``figure1``.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from replication.base.models import validated
from replication.base.statistics import ratio_interval
from replication.experiments import identification
from replication.experiments.common.comparison import ran
from replication.experiments.common.contract import store_tables
from replication.experiments.figure1 import (
    CANDIDATES,
    DEFINITIONS,
    EXPERIMENT,
    PAIR,
    RACE,
    Candidate,
    Kind,
    Search,
    Settings,
    epochs_to,
    planned,
    reporting,
    search,
    stored,
)
from replication.experiments.identification import Arm, distance
from replication.ledger.measurement import Measurement, measured
from replication.runs.store import Run, Task
from replication.runs.workers import Workers

__all__ = ["EXPERIMENT", "Outcome", "Settings", "plan", "run", "settings", "tasks"]

# 60% to 22%: the errors at which the ratio is taken
MARKS = tuple(round(0.6 - 0.02 * step, 2) for step in range(20))
BESIDE = "rate beside"
REGIME = "source2012"  # the race's name in claims.toml


class Outcome(NamedTuple):
    """What the notebook shows."""

    curves: pd.DataFrame  # one row per reporting run and epoch
    selection: pd.DataFrame  # one row per selection run
    # one row per reporting run: epochs and iterations to the target error by each definition
    table: pd.DataFrame
    distances: pd.DataFrame  # the identification: ``identification.table``
    ratios: pd.DataFrame  # candidate, definition, mark, ratio, low, high, n
    measurements: list[Measurement]
    runs: tuple[Run, ...]  # every run, for the list of provenance


def settings(**parameters: Any) -> Settings:
    """Return the notebook's parameters, checked.

    Raises InputError that names the first invalid one.
    """
    return validated(Settings, EXPERIMENT, parameters)


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    others = "\n".join(f"  {name}: {CANDIDATES[name].words}" for name in settings.candidates)
    return (
        f"the race: {RACE.words}; rate of each activation chosen on seed "
        f"{settings.selection_seed}, by epochs to {settings.mark:.0%} exact training error\n"
        f"rates tried for ReLU: {_list(RACE.grid('relu'))}\n"
        f"rates tried for tanh: {_list(RACE.grid('tanh'))}\n"
        f"then seeds {_list(settings.seeds)}, to {settings.stop_error:.0%} "
        f"or {settings.epochs} epochs\n"
        "candidates for the figure, at rates of their own, seeds "
        f"{_list(settings.candidate_seeds)}:\n{others or '  none'}"
    )


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def tasks(settings: Settings) -> list[Task]:
    """Return the most that may be run."""
    return planned(settings)


class Curve(NamedTuple):
    """One candidate on one activation: how its rate was chosen, and its reporting runs."""

    candidate: Candidate
    kind: Kind
    search: Search
    runs: tuple[Run, ...]

    @property
    def arm(self) -> Arm:
        """The reporting runs, for the identification."""
        return Arm(self.candidate.name, self.kind, self.search.rate, self.runs)


def run(settings: Settings) -> Outcome:
    """Train or load every run of Figure 1, and write the experiment's tables."""
    race = [(RACE, kind) for kind in RACE.kinds]
    others = [
        (CANDIDATES[name], kind) for name in settings.candidates for kind in CANDIDATES[name].kinds
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
            return Arm(
                f"{BESIDE}: {rate:g}", one.kind, rate, tuple(_runs(settings, tasks, workers))
            )

        curves = workers.chains(curve, race)
        beside = [(one, rate) for one in curves if one.runs for rate in one.search.beside]
        neighbours = workers.chains(arm_beside, beside if settings.rates_beside else [])
        curves += workers.chains(curve, others)
    return _publish(settings, curves, [arm for arm in neighbours if arm.runs])


def _runs(settings: Settings, tasks: Sequence[Task], workers: Workers) -> list[Run]:
    return stored(tasks) if settings.only_stored else workers.all(tasks)


def reporting_beside(settings: Settings, kind: Kind, rate: float) -> list[Task]:
    """Return the runs of the race's net at a rate beside the chosen one.

    They have the candidates' seeds.
    """
    return reporting(settings, RACE._replace(name=f"{RACE.name}-beside"), kind, rate)


def _publish(settings: Settings, curves: list[Curve], neighbours: list[Arm]) -> Outcome:
    arms = [one.arm for one in curves if one.runs]
    shown = [*arms, *neighbours]
    rows = [_row(settings, arm, run) for arm in shown for run in arm.runs]
    outcome = Outcome(
        (
            pd.concat([_history(arm, run) for arm in shown for run in arm.runs], ignore_index=True)
            if rows
            else pd.DataFrame()
        ),
        pd.DataFrame([row for one in curves for row in _tried(one)]),
        pd.DataFrame(rows),
        identification.table(shown),
        ratios(arms),
        measure(settings, curves),
        tuple(run for one in curves for run in (*one.search.tried, *one.runs))
        + tuple(run for arm in neighbours for run in arm.runs),
    )
    names = ("selection", "table", "distances", "ratios")
    tables = {name: getattr(outcome, name) for name in names}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements, "%.6g")
    return outcome


def _history(arm: Arm, run: Run) -> pd.DataFrame:
    return run.history.assign(
        candidate=arm.candidate, activation=arm.kind, rate=arm.rate, seed=run.task.recipe.seed
    )


def _tried(one: Curve) -> list[dict[str, object]]:
    return [
        {
            "candidate": one.candidate.name,
            "activation": one.kind,
            "rate": run.task.recipe.update.rate,
            "seed": run.task.recipe.seed,
            "epochs": (
                math.nan
                if math.isinf(score := one.search.scores[run.task.recipe.update.rate])
                else score
            ),
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
        **{f"epochs_{definition}": epochs for definition, epochs in reached.items()},
        "iterations": reached["exact_error"] * steps,
        "epochs_run": run.summary["epochs"],
        "ended": run.summary["ended"],
        "last_exact_error": run.summary["exact_error"],
        "run": run.task.folder.name,
    }


def pairs(arms: Sequence[Arm]) -> dict[str, tuple[Arm, Arm]]:
    """Return each candidate's ReLU and saturating arm.

    A candidate without a ReLU arm of its own is compared with one that it shares.
    """
    relus = {arm.candidate: arm for arm in arms if arm.kind == "relu"}
    by_name = {}
    for arm in arms:
        if arm.kind == "relu":
            continue
        of = CANDIDATES.get(arm.candidate, RACE)
        relu = relus.get(arm.candidate) or relus.get("modern" if of.modern else RACE.name)
        if relu is not None:
            by_name[arm.candidate if arm.kind == "tanh" else f"{arm.candidate}, {arm.kind}"] = (
                relu,
                arm,
            )
    return by_name


def ratios(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return the ratios of epochs to a target error, saturating over ReLU.

    One row per candidate, definition and target that all seeds of both reach.
    """
    rows = []
    for name, (relu, other) in pairs(arms).items():
        for definition, mark in itertools.product(DEFINITIONS, MARKS):
            slow, fast = (
                [epochs_to(run, mark, definition) for run in arm.runs] for arm in (other, relu)
            )
            if np.isfinite([*slow, *fast]).all():
                ratio = ratio_interval(slow, fast)
                n = min(len(slow), len(fast))
                rows.append((name, definition, mark, ratio.mean, ratio.low, ratio.high, n))
    columns = ["candidate", "definition", "mark", "ratio", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


def measure(settings: Settings, curves: Sequence[Curve]) -> list[Measurement]:
    """Return the ratio at the target error per candidate and definition, and the distances.

    The smallest ratio is also a measurement of its own; the distances are the race's, to the
    paper's curves. A curve whose rate is still being searched for is left out.
    """
    found = []
    raced = [one.arm for one in curves if one.runs and one.search.ended]
    for name, (relu, other) in pairs(raced).items():
        definitions = DEFINITIONS if name == RACE.name else ("exact_error",)
        made = (_ratio(settings, name, relu, other, one) for one in definitions)
        found += [one for one in made if one is not None]
    whole = [one for one in found if one.variant in (REGIME, *pairs(raced))]  # by the exact error
    if len(whole) > 1:
        least = min(whole, key=lambda one: one.mean or 0.0)
        found.append(
            measured(
                "relu-several",
                least.values,
                denominators=least.denominators,
                variant="smallest ratio",
                profile=settings.profile,
                scale=least.scale,
                ran=least.ran,
                bound=least.bound,
                reason=f"the smallest of {len(whole)} nets and regimes: {least.variant}",
            )
        )
    return found + _curves(settings, raced)


def _ratio(
    settings: Settings, name: str, relu: Arm, other: Arm, definition: str
) -> Measurement | None:
    """Return the iterations to the target error, saturating over ReLU; None if both were cut."""
    slow, slow_cut = _iterations(other, settings, definition)
    fast, fast_cut = _iterations(relu, settings, definition)
    if slow_cut and fast_cut:
        return None  # two bounds bound no ratio
    cut = "some seeds ended before the mark" if slow_cut or fast_cut else ""
    variant = REGIME if name == RACE.name else name
    if definition != "exact_error":
        variant += f", {DEFINITIONS[definition].title}"
    return measured(
        "relu-tanh",
        slow,
        denominators=fast,
        variant=variant,
        profile=settings.profile,
        scale=scale(settings, other.runs[0]),
        ran=ran(other.runs[0], settings.mark),
        bound="lower" if slow_cut else "upper" if fast_cut else None,
        reason=cut,
    )


def _curves(settings: Settings, arms: Sequence[Arm]) -> list[Measurement]:
    """Return the race's distance to each of the paper's curves, one value per seed.

    By the exact error. With both curves, the larger of a seed's two distances is a value too.
    """
    race = {arm.kind: arm for arm in arms if arm.candidate == RACE.name and arm.kind in PAIR}
    distances: dict[str, list[float]] = {
        kind: [distance(run.history["exact_error"].tolist(), kind) for run in arm.runs]
        for kind, arm in race.items()
    }
    if len(distances) == len(PAIR):
        distances["both"] = [max(pair) for pair in zip(*distances.values(), strict=False)]
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
    ]


def scale(settings: Settings, run: Run) -> str:
    """Describe the experiment's scale, for the ledger and under every table and figure."""
    data = run.provenance["data"]
    note = f" ({data['note']})" if data["note"] and data["note"] != data["name"] else ""
    net = run.task.recipe.net.name
    images = f"{data['images']:,} images of {data['name']}{note}"
    return f"{images}, net {net}, at most {settings.epochs} epochs"


def _iterations(arm: Arm, settings: Settings, definition: str) -> tuple[list[float], bool]:
    """Return the iterations to the target error per reporting seed, and whether any is cut.

    A cut run never reached the target and counts with its last iteration.
    """
    epochs = [epochs_to(run, settings.mark, definition) for run in arm.runs]
    values = [
        (run.summary["epochs"] if math.isnan(e) else e) * run.summary["iterations_per_epoch"]
        for e, run in zip(epochs, arm.runs, strict=True)
    ]
    return values, any(map(math.isnan, epochs))
