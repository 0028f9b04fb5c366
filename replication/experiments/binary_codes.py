"""Short binary codes for retrieval, from the features and from raw pixels.

This is section 6.1's last proposal, which the paper left undone. Codes are learned on training
images and judged by what held-out queries retrieve among the training images: the share of the k
nearest that are of the query's class, beside the same for the Euclidean distance between the
vectors that the codes are learned from.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from replication.analysis import codes, neighbours
from replication.base.errors import InputError
from replication.base.models import Frozen
from replication.base.text import counted
from replication.base.types import Profile
from replication.experiments.common import baselines
from replication.experiments.common.comparison import Seeds, diverged, ran, scale
from replication.experiments.common.contract import settings_of, store_tables
from replication.experiments.common.images import Images, feature_vectors, some_images
from replication.ledger.measurement import Measurement, measured
from replication.runs.store import Run, Task
from replication.runs.workers import Workers

EXPERIMENT = "binary_codes"
ROUNDS = 3  # of timing each search
FLOAT = 4  # bytes
SOURCES = ("features", "pixels")


class Settings(Frozen):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    profile: Profile
    seeds: Seeds
    regime: baselines.Regime = "first"  # which baseline, if a profile has two
    bits: tuple[int, ...] = Field(min_length=1)  # lengths of the codes
    k: int = Field(ge=1)  # nearest training images that are counted
    code_epochs: int = Field(ge=1)  # of the autoencoders
    queries: int = Field(ge=0)  # held-out images, evenly spaced; 0: all
    # training images, evenly spaced, on which codes are learned and among which they search; 0: all
    searched: int = Field(ge=0)
    jobs: int = Field(1, ge=1)  # training processes at a time

    @field_validator("bits")
    @classmethod
    def _whole_bytes(cls, bits: tuple[int, ...]) -> tuple[int, ...]:
        if wrong := [n for n in bits if n % 8 or not 8 <= n <= codes.COMPONENTS]:
            raise ValueError(
                f"codes of {wrong[0]} bits; they must fill bytes and have at most"
                f" {codes.COMPONENTS} bits"
            )
        return tuple(sorted(set(bits)))


settings = settings_of(Settings, EXPERIMENT)


class Outcome(NamedTuple):
    """What the notebook shows."""

    table: pd.DataFrame  # source, bits (0: the vectors themselves), seed, precision
    # source, bits: bytes per image and search time, as ratios to the Euclidean search
    costs: pd.DataFrame
    chance: float  # precision of a random order
    measurements: list[Measurement]
    runs: tuple[Run, ...]


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    return (
        f"{baselines.planned(settings.regime, settings.seeds)}\n"
        f"codes of {', '.join(map(str, settings.bits))} bits from features and from"
        f" pixels, {counted(settings.code_epochs, 'epoch')} of training each\nprecision of the"
        f" {settings.k} nearest of {settings.searched or 'all'} training images,"
        f" over {settings.queries or 'all'} queries"
    )


def tasks(settings: Settings) -> list[Task]:
    """Return the baseline's runs."""
    profile, regime = settings.profile, settings.regime
    every = [baselines.task(profile, "baseline", seed, regime) for seed in settings.seeds]
    return [replace(task, needs_weights=True) for task in every]


def run(settings: Settings) -> Outcome:
    """Train or load every net, learn and judge the codes, and write the experiment's tables."""
    with Workers(settings.jobs) as workers:
        runs = workers.all(tasks(settings))
    recipe = runs[0].task.recipe  # all seeds have the same images
    queried, known = (
        some_images(recipe, "test", settings.queries),
        some_images(recipe, "train", settings.searched),
    )
    if settings.k > len(known.index):
        raise InputError(
            f"{EXPERIMENT}: k is {settings.k}, and there are"
            f" {counted(len(known.index), 'training image')};"
            " lower k"
        )
    pixels = tuple(images.vectors.astype(np.float32) for images in (queried, known))
    # of the pixels; like their Euclidean ranking, it is the same for every seed
    basis = codes.basis(pixels[1])
    by_pixels = _euclidean(settings, queried, known, pixels)
    rows, costs = [], []
    for trained in runs:
        seed = trained.task.recipe.seed
        features = tuple(
            feature_vectors(trained.task.recipe, split, images)
            for split, images in (("test", queried), ("train", known))
        )
        euclidean = {
            "features": _euclidean(settings, queried, known, features),
            "pixels": by_pixels,
        }
        packed = {
            "features": _learn(settings, features, codes.basis(features[1]), seed),
            "pixels": _learn(settings, pixels, basis, seed),
        }
        for source in SOURCES:
            precision = {0: euclidean[source]} | {
                bits: _hamming(settings, queried, known, *pair)
                for bits, pair in packed[source].items()
            }
            rows += [
                {"source": source, "bits": bits, "seed": seed, "precision": own}
                for bits, own in precision.items()
            ]
        if not costs:  # the sizes are the same for every seed
            costs = [
                _costs(settings, source, own, packed[source])
                for source, own in (("features", features), ("pixels", pixels))
            ]
    table = pd.DataFrame(rows)
    counts = np.bincount(known.index.labels, minlength=len(known.index.classes)) / len(known.index)
    outcome = Outcome(
        table,
        pd.concat(costs, ignore_index=True),
        float(counts[queried.index.labels].mean()),
        _measure(settings, table, runs),
        tuple(runs),
    )
    tables = {"table": table, "costs": outcome.costs}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements, float_format="%.6g")
    return outcome


# bits -> packed codes of the queries and of the training images
Packed = dict[int, tuple[np.ndarray, np.ndarray]]


def _learn(
    settings: Settings, vectors: tuple[np.ndarray, np.ndarray], basis: codes.Basis, seed: int
) -> Packed:
    queried, known = (basis.project(x) for x in vectors)
    nets = {bits: codes.learn(known, bits, settings.code_epochs, seed) for bits in settings.bits}
    return {bits: (net.codes(queried), net.codes(known)) for bits, net in nets.items()}


def _euclidean(
    settings: Settings, queried: Images, known: Images, vectors: tuple[np.ndarray, np.ndarray]
) -> float:
    """Return the precision of the ranking by the vectors' own distance."""
    rows = neighbours.nearest(*vectors, settings.k).rows
    return float(neighbours.same_class(queried.index.labels, known.index.labels, rows).mean())


def _hamming(
    settings: Settings, queried: Images, known: Images, queries: np.ndarray, base: np.ndarray
) -> float:
    """Return the precision of the ranking by bits that differ."""
    return float(
        codes.hamming_precision(
            queries, queried.index.labels, base, known.index.labels, settings.k
        ).mean()
    )


def _costs(
    settings: Settings, source: str, vectors: tuple[np.ndarray, np.ndarray], packed: Packed
) -> pd.DataFrame:
    """Time a search of all queries by Euclidean distance and by codes, and count their bytes.

    Bytes are per image. The searches are timed in turn, round after round.
    """
    searches: dict[int, Callable[[], object]] = {
        0: lambda: neighbours.nearest(*vectors, settings.k)
    }
    searches |= {
        bits: lambda pair=pair: codes.hamming_nearest(*pair, settings.k)  # type: ignore[call-arg]
        for bits, pair in packed.items()
    }
    seconds: dict[int, list[float]] = {bits: [] for bits in searches}
    for _ in range(ROUNDS):
        for bits, search in searches.items():
            start = time.perf_counter()
            search()
            seconds[bits].append(time.perf_counter() - start)
    size = FLOAT * vectors[0].shape[1]
    return pd.DataFrame(
        {
            "source": source,
            "bits": bits,
            "bytes": bits // 8 if bits else size,
            "times_smaller": size / (bits // 8) if bits else 1.0,
            "times_faster": statistics.median(a / b for a, b in zip(seconds[0], own, strict=True)),
        }
        for bits, own in seconds.items()
    )


def _measure(settings: Settings, table: pd.DataFrame, runs: list[Run]) -> list[Measurement]:
    """Return precision of codes from features minus that from pixels, by length and seed."""
    common = {
        "profile": settings.profile,
        "scale": scale(runs[0]),
        "reason": diverged(runs),
        "ran": ran(runs[0]),
    }
    measurements = []
    for bits, rows in table[table["bits"] > 0].groupby("bits"):
        of = rows.set_index(["source", "seed"])["precision"]
        measurements.append(
            measured(
                "binary-codes",
                (of["features"] - of["pixels"]).tolist(),
                variant=f"{bits} bits",
                **common,
            )
        )
    return measurements
