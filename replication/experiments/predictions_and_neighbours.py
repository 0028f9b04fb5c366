"""Figure 4: the net's predictions, and the nearest training images by its features.

Section 6.1. The paper shows pictures. Here numbers over all test images are added: how near the
wrong ones of the five most probable labels are to the right one in WordNet, what share of the six
nearest training images is of the query's class by features and by pixels, and how far the two
distances agree. A profile may name the recipe of one large net, whose pictures are then the ones
shown.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from replication.analysis import neighbours, wordnet
from replication.base.errors import InputError
from replication.base.models import Frozen
from replication.base.statistics import mean_interval
from replication.base.text import counted
from replication.base.types import Profile
from replication.data.files.titles import titles
from replication.evaluation.probabilities import probabilities
from replication.experiments.common import baselines
from replication.experiments.common.comparison import Seeds, diverged, ran, scale
from replication.experiments.common.contract import settings_of, store_tables
from replication.experiments.common.images import Images, feature_vectors, rows_of, some_images
from replication.experiments.kernels import large_net
from replication.ledger.measurement import Measurement, measured
from replication.runs.store import Run, Task
from replication.runs.workers import Workers

EXPERIMENT = "predictions_and_neighbours"
BASELINE, LARGE = "baseline", "large net"
SHOWN, QUERIES = 8, 5  # images in the left and queries in the right half of Figure 4
AT_ONCE = 64  # queries ranked against all training images together


class Settings(Frozen):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    profile: Profile
    seeds: Seeds
    regime: baselines.Regime = "first"  # which baseline, if a profile has two
    # held-out images whose neighbours are searched for, evenly spaced; 0: all
    queries: int = Field(ge=0)
    searched: int = Field(ge=0)  # training images that are searched, evenly spaced; 0: all
    ranked: int = Field(ge=1)  # queries whose two distances to all of them are compared
    picture_seed: int = Field(ge=0)  # the shown images are drawn from it, not chosen
    # the file of a recipe, from the project's root: one more net, whose pictures are shown; "": no
    # such net
    large: str = ""
    jobs: int = Field(1, ge=1)  # training processes at a time


settings = settings_of(Settings, EXPERIMENT)


class Pictures(NamedTuple):
    """The contents of Figure 4, for the large net, or without one for the first seed's."""

    images: np.ndarray  # uint8 (SHOWN, S, S, 3)
    labels: np.ndarray  # int64 (SHOWN,)
    p: np.ndarray  # float32 (SHOWN, K)
    titles: tuple[str, ...]  # of the K classes
    queries: np.ndarray  # uint8 (QUERIES, S, S, 3)
    query_titles: tuple[str, ...]
    by_features: np.ndarray  # uint8 (QUERIES, 6, S, S, 3)
    by_pixels: np.ndarray
    # boolean (QUERIES, 6): of the query's class, by features and by pixels
    same: tuple[np.ndarray, np.ndarray]


class Outcome(NamedTuple):
    """What the notebook shows."""

    table: pd.DataFrame  # one row per net
    without: str  # why there is no closeness of labels, or ""
    pictures: Pictures
    pictured: Run  # the net that has them
    measurements: list[Measurement]
    runs: tuple[Run, ...]


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    return (
        f"{baselines.planned(settings.regime, settings.seeds)}\n"
        f"the {neighbours.K} nearest neighbours of {settings.queries or 'all'} test images among"
        f" {settings.searched or 'all'} training images\nrank correlation of the two distances over"
        f" {counted(settings.ranked, 'query')}"
        + (f"\nand one large net: {settings.large}" if settings.large else "")
    )


def tasks(settings: Settings) -> list[Task]:
    """Return the baseline's runs, then the large net's if there is one."""
    profile, regime = settings.profile, settings.regime
    baseline = [baselines.task(profile, BASELINE, seed, regime) for seed in settings.seeds]
    every = [*baseline, *large_net(settings.profile, settings.large)]
    return [replace(task, needs_weights=True) for task in every]


def run(settings: Settings) -> Outcome:
    """Train or load every net, study it, and write the experiment's table."""
    with Workers(settings.jobs) as workers:
        runs = workers.all(tasks(settings))
    baseline, large = runs[: len(settings.seeds)], runs[len(settings.seeds) :]
    table, without, pictures = _study(settings, BASELINE, baseline)
    measurements = _measure(settings, table, baseline)
    if large:
        more, _, pictures = _study(settings, LARGE, large)
        table = pd.concat([table, more], ignore_index=True)
    pictured = (large or baseline)[0]
    outcome = Outcome(table, without, pictures, pictured, measurements, tuple(runs))
    tables = {"table": table}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements, float_format="%.6g")
    return outcome


def _study(settings: Settings, net: str, runs: list[Run]) -> tuple[pd.DataFrame, str, Pictures]:
    """Evaluate ``runs``, which share their images.

    Returns one row per run, why labels are not compared, and the pictures of the first run.
    """
    recipe = runs[0].task.recipe
    queried, known = (
        some_images(recipe, "test", settings.queries),
        some_images(recipe, "train", settings.searched),
    )
    if len(known.index) <= neighbours.K:
        raise InputError(
            f"{EXPERIMENT}: {counted(len(known.index), 'training image')} are too few for"
            f" {neighbours.K}"
            " neighbours; raise searched"
        )
    by_pixels = neighbours.nearest(queried.vectors, known.vectors).rows
    without = _without(queried.index.classes)
    near = None if without else wordnet.similarity(queried.index.classes, wordnet.read())
    rows, by_features = [], []
    for trained in runs:
        vectors = [
            feature_vectors(trained.task.recipe, split, images)
            for split, images in (("test", queried), ("train", known))
        ]
        by_features.append(neighbours.nearest(*vectors).rows)
        rows.append(
            {"net": net, "seed": trained.task.recipe.seed}
            | _classes(queried, known, by_features[-1], by_pixels)
            | {
                "rank_correlation": _agreement(
                    vectors, (queried.vectors, known.vectors), settings.ranked
                )
            }
            | _labels(trained, near)
            | {"run": trained.task.folder.name}
        )
    return (
        pd.DataFrame(rows),
        without,
        _pictures(settings, runs[0], queried, known, by_features[0], by_pixels),
    )


def _without(classes: tuple[str, ...]) -> str:
    """Return why the labels cannot be compared in WordNet; "" if they can."""
    if lost := wordnet.missing(classes, wordnet.read()):
        return f"{len(lost)} of {len(classes)} classes have no place in WordNet ({lost[0]})"
    return f"there are only {counted(len(classes), 'class')}" if len(classes) <= wordnet.TOP else ""


def _classes(
    queried: Images, known: Images, by_features: np.ndarray, by_pixels: np.ndarray
) -> dict[str, float]:
    """Return the shares of neighbours of the query's class, by features and by pixels.

    With their difference, its interval over the queries, and how many neighbours both ways share.
    """
    features, pixels = (
        neighbours.same_class(queried.index.labels, known.index.labels, rows)
        for rows in (by_features, by_pixels)
    )
    interval = mean_interval(features - pixels)
    both = (by_features[:, :, None] == by_pixels[:, None, :]).any(2).mean()
    counts = np.bincount(known.index.labels, minlength=len(known.index.classes)) / len(known.index)
    return {
        "queries": len(features),
        "same_class_features": features.mean(),
        "same_class_pixels": pixels.mean(),
        "difference": interval.mean,
        "difference_low": interval.low,
        "difference_high": interval.high,
        "same_class_chance": counts[queried.index.labels].mean(),
        "found_both_ways": both,
    }


def _agreement(
    features: list[np.ndarray], pixels: tuple[np.ndarray, np.ndarray], count: int
) -> float:
    """Return the mean rank correlation of the two distances to all training images.

    Spearman's, over ``count`` evenly spaced queries.
    """
    total = len(features[0])
    count = min(count, total)
    rows = np.arange(count) * total // count
    parts = [
        neighbours.rank_correlation(
            *(neighbours.squared_distances(q[part], base) for q, base in (features, pixels))
        )
        for part in np.split(rows, range(AT_ONCE, count, AT_ONCE))
    ]
    return float(np.mean(np.concatenate(parts)))


def _labels(trained: Run, near: np.ndarray | None) -> dict[str, float]:
    """Return how near the wrong ones of the five most probable labels are to the right one.

    Over all held-out images.
    """
    if near is None:
        return {}
    outputs = probabilities(trained.task.recipe, "test")
    closeness, chance = wordnet.closeness(outputs.p, outputs.labels, near)
    return {"closeness": closeness.mean(), "closeness_chance": chance.mean()}


def _pictures(
    settings: Settings,
    first: Run,
    queried: Images,
    known: Images,
    by_features: np.ndarray,
    by_pixels: np.ndarray,
) -> Pictures:
    outputs = probabilities(first.task.recipe, "test")
    order = np.random.Generator(np.random.Philox(settings.picture_seed)).permutation(
        len(queried.index)
    )
    # of few images, some are in both halves of the figure
    shown, queries = order[:SHOWN], np.roll(order, -SHOWN)[:QUERIES]
    own = queried.index.labels[queries, None]
    names = titles(queried.index)
    return Pictures(
        queried.pixels[shown],
        queried.index.labels[shown],
        outputs.p[rows_of(outputs.ids, queried.index.ids[shown])],
        names,
        queried.pixels[queries],
        tuple(names[label] for label in queried.index.labels[queries]),
        known.pixels[by_features[queries]],
        known.pixels[by_pixels[queries]],
        (
            known.index.labels[by_features[queries]] == own,
            known.index.labels[by_pixels[queries]] == own,
        ),
    )


def _measure(settings: Settings, table: pd.DataFrame, runs: list[Run]) -> list[Measurement]:
    common = {
        "profile": settings.profile,
        "scale": scale(runs[0]),
        "reason": diverged(runs),
        "ran": ran(runs[0]),
    }
    measurements = []
    if "closeness" in table:
        measurements.append(
            measured(
                "top5-sense", (table["closeness"] - table["closeness_chance"]).tolist(), **common
            )
        )
    measurements.append(measured("neighbours", table["difference"].tolist(), **common))
    return measurements
