"""Section 6's gains and claims, from the errors of Tables 1 and 2.

What averaging, ten views and pre-training gain, and what each gain is compared with. The nets are
described in ``experiments.tables``.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from replication.base.text import counted
from replication.base.types import Profile
from replication.experiments.common.collect import variant_of
from replication.experiments.common.comparison import PER_CENT, VIEWS, diverged, ran, scale
from replication.experiments.common.image_noise import Images, images_of, minus, noise
from replication.ledger.measurement import ImageNoise, Measurement, measured
from replication.ledger.scale import Ran
from replication.runs.store import Run

ONE, FIVE, PRE, SEVEN, LARGER = (
    "one net",
    "average of five",
    "one pre-trained net",
    "average of two pre-trained and five",
    "sixth layer",
)
FALL = "sixth layer on Fall 2009"
PRE_TRAINED = ("table2-1cnn-pre", "table2-7cnn")  # the claims about nets that are
AVERAGES = {"five": FIVE, "seven": SEVEN}  # by the name of their gain
# controls of the pre-trained net: its six layers from fresh weights, on the target alone
SIX, LONG = "six layers from fresh weights", "six layers, as many updates"


def run_name(model: str, seed: int) -> str:
    """Return the name of a run of Table 2."""
    return f"{_slug(model)}-seed{seed}"


def _slug(model: str) -> str:
    return model.replace(",", "").replace(" ", "-")


def gain_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the gain of each step of section 6 in top-1 and top-5 error.

    In percentage points, one row per seed, or per group of seeds. ``table``: columns data, model,
    group, seed, split, views, top1, top5. Gain of an average: the mean error of the group's single
    nets minus the average's. Of pre-training: the error of the net trained on the target alone
    minus the pre-trained net's of that seed.
    """
    rows = []
    for k in ("top1", "top5"):
        test = table[table["split"] == "test"]
        views = test[test["data"] == "table 1"].pivot(index="seed", columns="views", values=k)
        second = test[test["data"] == "table 2"]
        one, pre = (second[second["model"] == model].set_index("seed")[k] for model in (ONE, PRE))
        single = second[second["model"] == ONE].groupby("group")[k].mean()
        gains = {
            "ten views": views[1] - views[VIEWS],
            # both nets of a seed are stored
            "pre-training": (one.reindex(pre.index) - pre).dropna(),
        }
        for name, model in AVERAGES.items():
            gains[name] = (single - second[second["model"] == model].set_index("group")[k]).dropna()
        rows += [
            {"gain": name, "k": k, "unit": unit, "value": value}
            for name, values in gains.items()
            for unit, value in values.items()
        ]
    return pd.DataFrame(rows, columns=["gain", "k", "unit", "value"])


def control_rows(runs: Sequence[Run]) -> pd.DataFrame:
    """Return pre-trained nets and what they are compared with: one row per run on the target.

    Columns: model, seed, sixth (whether it has the layer), updates (of its pre-training too; None
    if that is not among ``runs``), test errors top1 and top5 over ten views, top1_one and top5_one
    over one, unused (top-1, one view, on training images that no net was trained on; NaN if it was
    not evaluated there), per cent.
    """
    updates: dict[str | None, int] = {run.task.recipe.id: run.summary["iterations"] for run in runs}
    updates[None] = 0  # before a net that is not pre-trained
    models = {_slug(model): model for model in (ONE, PRE, SIX, LONG)}
    rows = []
    for run in runs:
        recipe, model = run.task.recipe, models.get(variant_of(run.task))
        if model is None:
            continue
        test, one = run.evaluation[f"test/{VIEWS}"], run.evaluation["test/1"]
        unused = run.evaluation.get("unused/1", {})
        rows.append(
            {
                "model": model,
                "seed": recipe.seed,
                "sixth": recipe.net.sixth_conv,
                "updates": (
                    run.summary["iterations"] + updates[recipe.init_from]
                    if recipe.init_from in updates
                    else None
                ),
                "top1": PER_CENT * test["top1"],
                "top5": PER_CENT * test["top5"],
                "top1_one": PER_CENT * one["top1"],
                "top5_one": PER_CENT * one["top5"],
                "unused": PER_CENT * unused.get("top1", float("nan")),
            }
        )
    columns = [
        "model", "seed", "sixth", "updates", "top1", "top5", "top1_one", "top5_one", "unused",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def gained_over(controls: pd.DataFrame, model: str, column: str = "top5") -> list[float]:
    """Return the pre-trained nets' gain over the nets of ``model``, seed by seed, in points."""
    by_seed = controls.pivot(index="seed", columns="model", values=column)
    if not {model, PRE} <= set(by_seed):
        return []
    return (by_seed[model] - by_seed[PRE]).dropna().tolist()


def measure(
    profile: Profile,
    table: pd.DataFrame,
    gains: pd.DataFrame,
    controls: pd.DataFrame,
    runs: Sequence[Run],
    averages: Mapping[str, Sequence[Images | None]],
    learnt: Sequence[Run] = (),
) -> list[Measurement]:
    """Measure every claim of section 6 that the available nets can answer.

    Errors are compared with the paper's only at the paper's scale. ``controls``: those of
    ``control_rows``. ``averages``: by model, what the average of each group gains on each image.
    ``learnt``: nets of the baseline that has learnt, of which ten views are measured too.
    """
    measurements: list[Measurement] = []
    named: dict[str, Run] = {}
    for run in reversed(runs):  # the first run of each model
        named[variant_of(run.task)] = run
    first, target = named["baseline"], named[_slug(ONE)]
    larger, fine = named.get(_slug(LARGER), target), named.get(_slug(PRE), target)
    fall = named.get(_slug(FALL))
    sixth = "pre-trained nets have a sixth convolutional layer"
    if larger is not target:
        seen = larger.provenance["data"]
        images, classes = counted(seen["images"], "image"), counted(seen["classes"], "class")
        sixth += f" and first saw {images} of {classes}"

    def scale_of(claim: str, shown: Run) -> Ran:
        """Return what was run for a claim; for pre-trained nets, on how many classes too."""
        if claim not in PRE_TRAINED or larger is target:
            return ran(shown)
        return ran(shown).model_copy(
            update={"pretrained_classes": larger.provenance["data"]["classes"]}
        )

    def add(
        claim: str,
        variant: str,
        values: Sequence[float],
        shown: Run,
        reason: str = "",
        views: str = "ten views",
        over_images: ImageNoise | None = None,
        of: Sequence[Run] = runs,
    ) -> None:
        if len(values):
            reasons = "; ".join(text for text in (reason, diverged(of)) if text)
            measurements.append(
                measured(
                    claim,
                    list(values),
                    variant=variant,
                    profile=profile,
                    scale=scale(shown, views),
                    reason=reasons,
                    ran=scale_of(claim, shown),
                    over_images=over_images,
                )
            )

    def gained(name: str, k: str) -> list[float]:
        return gains.loc[(gains["gain"] == name) & (gains["k"] == k), "value"].tolist()

    def error(data: str, model: str, k: str) -> list[float]:
        rows = table[
            (table["data"] == data)
            & (table["model"] == model)
            & (table["split"] == "test")
            & (table["views"] == VIEWS)
        ]
        return rows[k].tolist()

    for k, name in (("top1", "top-1"), ("top5", "top-5")):
        add(
            "ten-views",
            name,
            gained("ten views", k),
            first,
            views="one view and ten",
            over_images=_noise_of_views(runs, k),
        )
        if learnt:
            add(
                "ten-views",
                f"nets that have learnt, {name}",
                [_of_views(run, k) for run in learnt],
                learnt[0],
                views="one view and ten",
                over_images=_noise_of_views(learnt, k),
                of=learnt,
            )
        add("table1-cnn", name, error("table 1", ONE, k), first)
        for claim, model, shown, reason in (
            ("table2-1cnn", ONE, target, ""),
            ("table2-5cnn", FIVE, target, ""),
            ("table2-1cnn-pre", PRE, fine, sixth),
            ("table2-7cnn", SEVEN, target, sixth),
        ):
            add(claim, name, error("table 2", model, k), shown, reason)
        analogue = "an analogue: nets with a sixth layer on the larger set of labels"
        shown, row, model = (fall, "fall2009", FALL) if fall else (larger, "larger", LARGER)
        add("fall2009", name, error(row, model, k), shown, "" if fall else analogue)
    for claim, name, variant, shown, reason in (
        ("table2-5cnn", "five", "gain of five", target, ""),
        ("table2-1cnn-pre", "pre-training", "gain of pre-training", fine, sixth),
        ("table2-7cnn", "seven", "gain of seven", target, sixth),
    ):
        values = gained(name, "top5")
        noisy = (
            _pre_training_noise(runs, ONE, values)
            if name == "pre-training"
            else _noise(averages[AVERAGES[name]], values)
        )
        add(claim, variant, values, shown, reason, over_images=noisy)
    for model, variant in ((SIX, "over six layers"), (LONG, "over as many updates")):
        for k, name in (("top5", variant), ("top1", f"{variant}, top-1")):
            values = gained_over(controls, model, k)
            noisy = _pre_training_noise(runs, model, values, k)
            add("table2-1cnn-pre", name, values, fine, sixth, over_images=noisy)
    for k, name in (("top5", ""), ("top1", "top-1, ")):
        values = gained_over(controls, LONG, f"{k}_one")
        noisy = _pre_training_noise(runs, LONG, values, f"{k}_one")
        name = f"over as many updates, {name}one view"
        add("table2-1cnn-pre", name, values, fine, sixth, "one view", noisy)
    for split, number, views in (("val", VIEWS, "ten views"), ("validation", 1, "one view")):
        sides = table[(table["data"] == "table 1") & (table["views"] == number)].pivot(
            index="seed", columns="split", values="top5"
        )
        if split in sides and not any(one.claim == "val-test" for one in measurements):
            both = sides[[split, "test"]].dropna()
            means = f"the mean errors are {both[split].mean():.2f}% and {both['test'].mean():.2f}%"
            if split != "val":
                means += "; images held out of the training set take a validation set's place"
            values = (both[split] - both["test"]).abs().tolist()
            add("val-test", "", values, first, means, views)
    return measurements


def _of_views(run: Run, k: str) -> float:
    """Return what ten views gain a net over one, in points."""
    return PER_CENT * (run.evaluation["test/1"][k] - run.evaluation[f"test/{VIEWS}"][k])


def _noise_of_views(runs: Sequence[Run], k: str) -> ImageNoise | None:
    """Return the interval over seeds and images of what ten views gain the baseline."""
    nets = [run for run in runs if variant_of(run.task) == "baseline"]
    one, ten = (f"test_{k}_one", f"test_{k}")
    return noise([minus(images_of(run, one), images_of(run, ten)) for run in nets])


def _pre_training_noise(
    runs: Sequence[Run], model: str, values: Sequence[float], k: str = "top5"
) -> ImageNoise | None:
    """Return the interval over seeds and images of what pre-training gains over ``model``.

    It is of the seeds whose two nets have their answers for single images stored. If those are too
    few, it is of the seeds of either net that have them; ``values``: of all seeds, in points."""
    without, tuned = (
        {
            run.task.recipe.seed: images_of(run, f"test_{k}")
            for run in runs
            if variant_of(run.task) == _slug(one)
        }
        for one in (model, PRE)
    )
    paired = [minus(without[seed], tuned[seed]) for seed in tuned if seed in without]
    known = _noise(paired, values)
    if known is not None or not values:
        return known
    return noise(list(without.values()), list(tuned.values()), mean=sum(values) / len(values))


def _noise(gains: Sequence[Images | None], values: Sequence[float]) -> ImageNoise | None:
    """Return the interval over seeds and images of a gain; ``values``: of all seeds, in points."""
    return noise(gains, mean=sum(values) / len(values)) if values else None
