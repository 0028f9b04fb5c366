"""Section 3.3 on CIFAR-10: 13% test error without normalisation and 11% with it.

The paper: "a four-layer CNN achieved a 13% test error rate without normalization and 11% with
normalization". Two released nets match by number, conv-local-13pct and conv-local-11pct, but they
differ in more than the normalisations. So there are four arms: the 11% net; the same with its two
normalisations left out (the clean comparison); the same with a constant gain in the place of each
(a normalisation also rescales); and the 13% net as released. All use 24 x 24 crops and reflections
and are tested on ten views. If ``every_stage`` is set, they are also tested on nine, at the end of
every stage of the schedule and three times within the first, so that the gain is a curve over the
length of training and not one point. If ``long_epochs`` is set, the clean comparison is also made
after a longer training, and that one is then the claim's. The site that the paper refers to for
these nets describes a training of the 13% net, which is shorter than that of the 11% net; with
``own_seeds`` the 13% net is trained so too, and with ``earlier_seeds`` also an earlier version of
the 11% net, which differs from the 13% net in the normalisations alone, each in the training of
each. The trainings are described in ``lrn_cifar_nets``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from replication.data.augment.views import GRID
from replication.experiments.common import beside_baseline
from replication.experiments.common.collect import nothing_yet
from replication.experiments.common.comparison import (
    PER_CENT,
    VIEWS,
    diverged,
    error_rows,
    ran,
    scale,
)
from replication.experiments.common.contract import store_tables
from replication.experiments.common.curves import curves
from replication.experiments.common.image_noise import images_of, noise
from replication.experiments.lrn_cifar_nets import (
    AUTHORS_PARTS,
    EARLIER_OWN,
    EARLIER_SHORT,
    EARLIER_STAGES,
    EXPERIMENT,
    FIRST_EPOCHS,
    FIRST_PART,
    GAIN,
    IN_TWO_PARTS,
    LONG,
    OWN,
    PAIR,
    RELEASED_LONGER,
    SECOND_STAGES,
    SHORT_STAGES,
    STAGE,
    STAGES,
    TRAININGS,
    WITH,
    WITHOUT,
    Settings,
    own_trainings,
    plan,
    settings,
    stored_gains,
    tasks,
    train,
    variant_of,
)
from replication.ledger.measurement import Measurement, measured
from replication.runs.store import Run, answer_key, complete
from replication.runs.workers import Workers

__all__ = ["EXPERIMENT", "STAGE", "Outcome", "Settings", "plan", "run", "settings", "tasks"]

QUANTITIES = ("test_top1", "test_top1_one", "train_top1", "gap")
# the claim's variants of the clean comparison: after the usual length, beside a longer one; and
# over one view, after the longer one
SHORTER, ONE_VIEW = f"{WITHOUT}, shorter", f"{WITHOUT}, one view"
# and of the two nets that are named after the paper's numbers, each after its own training
AS_PUBLISHED = "both as published"
# of the 13% net and the earlier 11% net, which differ in the normalisations alone, at each length
ADDED = {OWN: EARLIER_SHORT, RELEASED_LONGER: EARLIER_OWN}


class Outcome(NamedTuple):
    """What the notebook shows."""

    table: pd.DataFrame  # one row per run; length (epochs planned)
    # against the net with its normalisations, after the usual length
    differences: pd.DataFrame
    curves: pd.DataFrame  # variant, seed, epoch, loss, running_error
    # test error on the way: variant, seed, epochs (planned), epoch, views, error (%)
    stages: pd.DataFrame
    # increase of the error over the net with its norms: epochs (planned), epoch, views, variant, n,
    # mean, low, high (percentage points)
    gains: pd.DataFrame
    # what is run and what is wanted: epochs (planned), variant, stored and wanted (seeds),
    # missing (their names)
    progress: pd.DataFrame
    constants: tuple[float, ...]  # in the place of the normalisations; () if not measured yet
    measurements: list[Measurement]
    runs: tuple[Run, ...]


def waits(settings: Settings) -> str:
    """Return why there is nothing to show yet; "" if there is."""
    if not settings.only_stored or complete(tasks(settings, stored_gains(settings))):
        return ""
    return nothing_yet("no run is", STAGE)


def run(settings: Settings) -> Outcome:
    """Train or load every net on every seed, and write the experiment's tables."""
    with Workers(settings.jobs) as workers:
        if settings.only_stored:
            every = complete(tasks(settings, stored_gains(settings)))
        else:
            every = train(settings, workers)
    reported = [run for run in every if run.task.recipe.seed != settings.gain_seed]
    table, stage_errors = error_table(reported), stage_rows(reported)
    usual = [run for run in reported if run.task.recipe.epochs == settings.epochs]
    outcome = Outcome(
        table,
        beside_baseline.differences(of_length(table, settings.epochs), WITH, QUANTITIES),
        curves(usual, [variant_of(run.task.recipe) for run in usual]),
        stage_errors,
        gain_rows(stage_errors),
        progress_rows(settings, reported),
        stored_gains(settings) if GAIN in settings.arms else (),
        measure(settings, table, reported),
        tuple(every),
    )
    stored = ("table", "differences", "stages", "gains", "progress")
    tables = {name: getattr(outcome, name) for name in stored}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def error_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the errors at the end of training, one row per run, in their order."""
    table = error_rows(runs, [variant_of(run.task.recipe) for run in runs])
    return table.assign(length=[run.task.recipe.epochs for run in runs])


def of_length(table: pd.DataFrame, epochs: int) -> pd.DataFrame:
    """Return the rows of the runs that were planned for ``epochs``."""
    return table[table["length"] == epochs]


def stage_rows(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the test errors after every epoch whose weights were kept, and at the end."""
    rows = []
    for one in runs:
        recipe = one.task.recipe
        if variant_of(recipe) in AUTHORS_PARTS:  # no other net is trained so
            continue
        for epoch in (*recipe.keep_after, None):
            for views in (1, GRID, VIEWS):
                errors = one.evaluation.get(answer_key("test", views, epoch))
                if errors is not None:
                    where = one.summary["epochs"] if epoch is None else epoch
                    error = PER_CENT * errors["top1"]
                    rows.append(
                        (variant_of(recipe), recipe.seed, recipe.epochs, where, views, error)
                    )
    columns = ["variant", "seed", "epochs", "epoch", "views", "error"]
    return pd.DataFrame(rows, columns=columns)


def gain_rows(stages: pd.DataFrame) -> pd.DataFrame:
    """Return each variant's test error minus that of the net with its normalisations.

    At a length that the 11% net was not trained for, that is its earlier version. One row per
    length, epoch, number of views and variant. The intervals are simultaneous over the variants of
    one row's epoch and views. ``stages``: from ``stage_rows``.
    """
    rows = []
    for (epochs, epoch, views), errors in stages.groupby(["epochs", "epoch", "views"]):
        seeds = errors.groupby("variant")["seed"].nunique()
        whole = next((name for name in (WITH, EARLIER_SHORT, EARLIER_OWN) if name in seeds), WITH)
        for one in beside_baseline.differences(errors, whole, ("error",)).itertuples():
            n = min(one.n, seeds[whole])
            rows.append((epochs, epoch, views, one.variant, n, one.mean, one.low, one.high))
    columns = ["epochs", "epoch", "views", "variant", "n", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def progress_rows(settings: Settings, runs: Sequence[Run]) -> pd.DataFrame:
    """Return, by length and variant, the seeds that are stored and those that are missing."""
    have = {
        (run.task.recipe.epochs, variant_of(run.task.recipe), run.task.recipe.seed) for run in runs
    }
    wanted = [(settings.epochs, variant, settings.seeds) for variant in settings.arms]
    if settings.long_epochs:
        wanted += [(settings.long_epochs, variant, settings.long_seeds) for variant in LONG]
    wanted += [
        (TRAININGS[variant][1][-1], variant, seeds)
        for variant, seeds in own_trainings(settings).items()
    ]
    if settings.own_seeds:
        wanted.append((FIRST_EPOCHS, FIRST_PART, settings.own_seeds))
    rows = []
    for epochs, variant, seeds in wanted:
        stored = [seed for seed in seeds if (epochs, variant, seed) in have]
        missing = [seed for seed in seeds if seed not in stored]
        rows.append((epochs, variant, len(stored), len(seeds), ", ".join(map(str, missing))))
    return pd.DataFrame(rows, columns=["epochs", "variant", "stored", "wanted", "missing"])


def claim_length(settings: Settings, table: pd.DataFrame) -> int:
    """Return the length whose clean comparison is the claim's: the long one if it was trained."""
    longer = set(of_length(table, settings.long_epochs)["variant"])
    return settings.long_epochs if longer >= set(PAIR) else settings.epochs


def measure(settings: Settings, table: pd.DataFrame, runs: Sequence[Run]) -> list[Measurement]:
    """Return the measurements for the claims on these nets, over ten views unless named.

    The increase in test error without the normalisations, and that of the other arms; then the
    errors. ``table``: from ``error_table``, of ``runs``. An arm without a run has no measurement.
    """
    longest, *others = [
        _Length(settings, table, runs, epochs)
        for epochs in dict.fromkeys((claim_length(settings, table), settings.epochs))
    ]
    if not others:
        found = [longest.difference(variant, variant, longest.arms) for variant in longest.arms]
    else:
        (usual,) = others
        # pairs fixed before the runs, not a family of all arms
        found = [longest.difference(variant, variant, (variant,)) for variant in longest.arms]
        found.append(longest.difference(WITHOUT, ONE_VIEW, (WITHOUT,), "test_top1_one"))
        found += [
            usual.difference(variant, SHORTER if variant == WITHOUT else variant, usual.arms)
            for variant in usual.arms
            if variant == WITHOUT or variant not in longest.arms
        ]
    short, longer = (
        _Length(settings, table, runs, of[-1]) for of in (SHORT_STAGES, EARLIER_STAGES)
    )
    whole = _Length(settings, table, runs, STAGES[-1])
    pairs = [(AS_PUBLISHED, (short, OWN), (whole, WITH))]
    for (without, with_them), of in zip(ADDED.items(), (short, longer), strict=True):
        name = f"norms added, {TRAININGS[without][1][-1]} epochs"
        pairs.append((name, (of, without), (of, with_them)))
    for name, *sides in pairs:
        if all(variant in of.by_variant for of, variant in sides):
            found.append(_pair(name, *sides))
    second = _Length(settings, table, runs, SECOND_STAGES[-1])
    return found + _errors([longest, *others, short, longer, second])


class _Length:
    """The runs of one length, compared with the net that has its normalisations."""

    def __init__(
        self, settings: Settings, table: pd.DataFrame, runs: Sequence[Run], epochs: int
    ) -> None:
        self.profile, self.table = settings.profile, of_length(table, epochs)
        self.by_variant: dict[str, list[Run]] = {}
        for run in runs:
            if run.task.recipe.epochs == epochs:
                self.by_variant.setdefault(variant_of(run.task.recipe), []).append(run)
        arms = (arm for arm in settings.arms if arm != WITH and arm in self.by_variant)
        self.arms = tuple(arms) if WITH in self.by_variant else ()

    def difference(
        self, variant: str, name: str, family: Sequence[str], column: str = "test_top1"
    ) -> Measurement:
        """Measure a variant's error minus the net's, as the claim's variant ``name``.

        ``family``: the variants whose intervals are simultaneous."""
        runs = self.by_variant[variant]
        table = self.table[self.table["variant"].isin([WITH, *family])]
        return measured(
            "lrn-cifar",
            variant=name,
            profile=self.profile,
            scale=scale(runs[0], "one view" if column.endswith("one") else "ten views"),
            reason=diverged([*self.by_variant[WITH], *runs]),
            ran=ran(runs[0]),
            **beside_baseline.difference(table, column, variant, WITH, self.by_variant),
        )

    def error(self, claim: str, variant: str) -> Measurement:
        """Return a variant's own error, for ``claim``."""
        runs = self.by_variant[variant]
        trained, length = ran(runs[0]), scale(runs[0], "ten views")
        if variant == IN_TWO_PARTS:
            length += f", after {FIRST_EPOCHS} epochs on four fifths of the images"
            epochs = FIRST_EPOCHS + SECOND_STAGES[-1]
            trained = trained.model_copy(update={"epochs": epochs})
        return measured(
            claim,
            self.table.loc[self.table["variant"] == variant, "test_top1"].tolist(),
            variant=variant,
            profile=self.profile,
            scale=length,
            reason=diverged(runs),
            ran=trained,
            over_images=noise([images_of(run, "test_top1") for run in runs]),
        )


_Side = tuple[_Length, str]  # the runs of a length, and the variant


def _pair(name: str, without: _Side, with_them: _Side) -> Measurement:
    """Measure the error of one net minus that of another, as the claim's variant ``name``.

    The scale is judged by the second, which is trained at least as long."""
    runs = {variant: of.by_variant[variant] for of, variant in (without, with_them)}
    rows = [of.table[of.table["variant"] == variant] for of, variant in (without, with_them)]
    first, second = (of[0] for of in runs.values())
    return measured(
        "lrn-cifar",
        variant=name,
        profile=with_them[0].profile,
        scale=f"{scale(first, 'ten views')}; minus: {scale(second, 'ten views')}",
        reason=diverged([run for of in runs.values() for run in of]),
        ran=ran(second),
        **beside_baseline.difference(pd.concat(rows), "test_top1", without[1], with_them[1], runs),
    )


def _errors(lengths: Sequence[_Length]) -> list[Measurement]:
    """Return the error of each net, at the first of ``lengths`` that it was trained for."""
    found = []
    for variant in (*LONG, OWN, IN_TWO_PARTS, EARLIER_OWN):
        claim = "cifar-error" if variant in (WITH, EARLIER_OWN) else "cifar-without"
        trained = next((one for one in lengths if variant in one.by_variant), None)
        if trained is not None:
            found.append(trained.error(claim, variant))
    return found
