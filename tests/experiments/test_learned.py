"""Figures 3 and 4 and the binary codes, from training to table, on a few random images with
ImageNet's own class keys.
"""

import html
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from trees import random_images

from replication.base import paths
from replication.base.epochs import METRICS
from replication.base.errors import InputError
from replication.base.files import read_json, write_json
from replication.book.pages import binary_codes as codes_page
from replication.book.pages import kernels as kernels_page
from replication.book.pages import predictions_and_neighbours as neighbours_page
from replication.data import loader as loading
from replication.data.files.titles import titles
from replication.data.sources import catalog
from replication.evaluation.artefacts import KERNELS
from replication.evaluation.features import features
from replication.experiments import binary_codes, kernels, predictions_and_neighbours
from replication.experiments.common import baselines, first_layer
from replication.experiments.common.images import Images, feature_vectors, some_images
from replication.figures import codes as codes_figure
from replication.figures import kernels as kernels_figure
from replication.figures import predictions as predictions_figure
from replication.ledger.measurement import all_measurements
from replication.paper import claim
from replication.paper.figures import figure3
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.recipes import as_yaml
from replication.runs.facts import MEASURES
from replication.runs.store import Run
from replication.training.weights import load_weights, weights_path

# tabby, Persian cat, car, ...
WNIDS = ("n02123045", "n02123394", "n02958343", "n03417042", "n01440764", "n02102040", "n03445777")
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    root = random_images(tmp_path_factory.mktemp("images"), WNIDS, 84, 35)
    (root / "words.txt").write_text("n02123045\ttabby, tabby cat\n")
    return Recipe(
        data=Data(name=f"folder:{root}", validation=14, size=32, crop=24, augment=True),
        net=AlexNetSpec(fidelity="source2012", side=24, width=1 / 16, init="same_variance"),
        update=Update(rate=0.001),
        batch=10,
        epochs=1,
    )


@pytest.fixture(scope="module", autouse=True)
def place(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All tests here share one folder of runs, so that the nets are trained once."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("RUNS", "RESULTS"):
            patch.setenv(f"REPLICATION_{variable}", str(tmp_path_factory.mktemp(variable.lower())))
        patch.setattr(baselines, "named", lambda name, profile: recipe)
        loading.selected.cache_clear()
        yield
        loading.selected.cache_clear()


def test_images_are_central_crops_evenly_spaced_and_features_follow_their_ids(
    recipe: Recipe,
) -> None:
    every, some = some_images(recipe, "train"), some_images(recipe, "train", 10)
    assert len(every.index) == 70 and len(set(every.index.ids) & set(some.index.ids)) == 10
    row = int(np.flatnonzero(every.index.ids == some.index.ids[3])[0])
    with Image.open(some.index.path(3)) as image:
        assert np.array_equal(some.pixels[3], np.asarray(image)[4:28, 4:28])
    assert np.array_equal(some.pixels[3], every.pixels[row])
    assert np.bincount(some.index.labels, minlength=7).max() <= 2
    asked = (
        kernels.run(kernels.settings(profile="quick", seeds=SEEDS, control_seeds=(), jobs=1))
        .runs[0]
        .task.recipe
    )
    # float32: the matrix product's order of sums depends on the batch on some CPUs
    np.testing.assert_allclose(
        feature_vectors(asked, "train", some)[3],
        features(asked, "train").x[row],
        rtol=1e-4,
        atol=1e-5,
    )


def test_titles_come_from_the_list_beside_the_images_or_are_the_keys(recipe: Recipe) -> None:
    found = dict(zip(WNIDS, titles(some_images(recipe, "test").index, WNIDS), strict=True))
    assert (
        found["n02123045"] == "tabby"
        and found["n03417042"] == "garbage truck"
        and found["n02958343"] == "n02958343"
    )


def test_figure_3_shows_the_trained_kernels_and_is_trained_once() -> None:
    settings = kernels.settings(profile="quick", seeds=SEEDS, control_seeds=(0,), jobs=1)
    first = kernels.run(settings)
    state = load_weights(weights_path(first.runs[0].task.recipe.id)).state
    assert np.array_equal(first.shown[1], state["towers.1.conv1.weight"].numpy())
    assert first.kernels.groupby(["net", "seed", "tower"]).size().tolist() == [3] * 6
    again = kernels.run(settings)
    assert [run.provenance["finished"] for run in again.runs] == [
        run.provenance["finished"] for run in first.runs
    ]
    measured = {measurement.claim for measurement in all_measurements("quick")["kernels"]}
    # six kernels say nothing of shares
    assert measured == {"specialise", "specialise-every"}
    assert "two towers" in kernels_page.specialisation_html(
        first
    ) and "colour" in kernels_page.kernels_html(first)
    assert "the same p" in kernels_page.checks(first)
    for figure in (
        kernels_figure.figure3(first.shown),
        kernels_figure.by_tower(first.kernels[first.kernels["net"] == kernels.TOWERS], first.marks),
        kernels_figure.specialisation(first.tests),
    ):
        figure.canvas.draw()
    assert not plt.get_fignums()


def test_towers_are_compared_with_towers_that_cross_early_and_with_the_papers_own() -> None:
    asked = {"profile": "quick", "seeds": SEEDS, "control_seeds": (), "early_seeds": SEEDS}
    outcome = kernels.run(kernels.settings(**asked, jobs=1))
    tests = outcome.tests
    ours, early = (tests[tests["net"] == net] for net in (kernels.TOWERS, kernels.EARLY))
    found = {one.variant: one for one in outcome.measurements if one.claim == "specialise"}
    assert set(found) == {"", "difference of medians", "over early crossing"}
    assert found["over early crossing"].denominators == pytest.approx(early["ratio"].tolist())
    # a difference without its sign is above zero by chance, and chance is taken away
    beyond = (ours["medians"] - ours["medians_chance"]).tolist()
    assert found["difference of medians"].values == pytest.approx(beyond)
    page = kernels_page.specialisation_html(outcome)
    assert html.escape(kernels.PAPER) in page and kernels.EARLY in page


def test_the_papers_own_kernels_divide_colour_far_beyond_chance() -> None:
    (paper,) = kernels.paper_tests().to_dict("records")
    assert paper["p"] < 0.001 and paper["ratio"] > 5
    medians = figure3().groupby("tower")["colour_share"].median()
    assert medians.tolist() == pytest.approx([0.009, 0.73], abs=0.002)
    target = claim("specialise").target("difference of medians")
    assert target.value == pytest.approx(paper["medians"] - paper["medians_chance"], abs=0.01)


@contextmanager
def without_weights(run: Run) -> Iterator[None]:
    weights = weights_path(run.task.recipe.id)
    hidden = weights.rename(weights.with_suffix(".hidden"))
    try:
        yield
    finally:
        hidden.rename(weights)


def test_nets_without_stored_weights_are_missing_and_no_others() -> None:
    asked = {"profile": "quick", "seeds": (*SEEDS, 7), "control_seeds": (), "only_stored": True}
    kernels.run(kernels.settings(profile="quick", seeds=SEEDS, control_seeds=(), jobs=1))
    partial = kernels.run(kernels.settings(**asked))
    assert [task.recipe.seed for task in partial.missing] == [7] and len(partial.runs) == 2
    known = paths.experiment("quick", "kernels") / MEASURES
    values = read_json(known)
    del values[partial.runs[0].task.recipe.id]
    write_json(known, values)
    with without_weights(partial.runs[0]):
        fewer = kernels.run(kernels.settings(**asked))
    assert [run.task.recipe.seed for run in fewer.runs] == [1]
    with pytest.raises(InputError, match="campaign"):
        kernels.run(kernels.settings(**asked | {"seeds": (7,)}))


def test_figure_3_is_made_again_from_what_is_published_without_weights_or_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {"profile": "quick", "seeds": SEEDS, "control_seeds": (), "jobs": 1}
    whole, folder = kernels.run(kernels.settings(**asked)), paths.experiment("quick", "kernels")
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "available", lambda name: False)
        with without_weights(whole.runs[0]), without_weights(whole.runs[1]):
            again = kernels.run(kernels.settings(**asked))
    pd.testing.assert_frame_equal(again.kernels, whole.kernels)
    assert again.measurements == whole.measurements
    for ours, theirs in zip(again.shown, whole.shown, strict=True):
        assert np.array_equal(ours, theirs)
    # spectral measures differ by rounding from processor to processor
    known, before = read_json(folder / MEASURES), (folder / MEASURES).read_text()
    for entry in known.values():
        entry["bandwidth"] = [value + 1e-15 for value in entry["bandwidth"]]
    write_json(folder / MEASURES, known)
    assert not kernels.tasks(kernels.settings(**asked))[0].needs_weights
    (folder / MEASURES).write_text(before)
    # a net whose kernels are not those on file is needed if it is the one that is pictured
    (other,) = kernels.tasks(kernels.settings(**asked | {"seeds": (1,)}))
    assert other.needs_weights and not kernels.tasks(kernels.settings(**asked))[1].needs_weights


def test_damaged_kernels_or_measures_are_named_or_made_again() -> None:
    asked = {"profile": "quick", "seeds": SEEDS, "control_seeds": (), "jobs": 1}
    first = kernels.run(kernels.settings(**asked))
    folder = paths.experiment("quick", "kernels")
    whole = (folder / KERNELS).read_bytes()
    for content in (b"", whole[:100]):
        (folder / KERNELS).write_bytes(content)
        assert kernels.tasks(kernels.settings(**asked))[0].needs_weights
        again = kernels.run(kernels.settings(**asked))  # the weights are here
        assert all(map(np.array_equal, again.shown, first.shown))
    facts = (folder / MEASURES).read_text()
    entry = read_json(folder / MEASURES)
    del entry[first.runs[0].task.recipe.id]["bandwidth"]
    try:
        for content, words in ((facts[:50], "not JSON"), (json.dumps(entry), "is damaged")):
            (folder / MEASURES).write_text(content)
            with pytest.raises(InputError, match=words):
                kernels.run(kernels.settings(**asked))
    finally:
        (folder / MEASURES).write_text(facts)


def test_a_net_whose_kernels_cannot_be_shown_is_not_pictured() -> None:
    asked = {"profile": "quick", "seeds": SEEDS, "control_seeds": (), "only_stored": True}
    first = kernels.run(kernels.settings(**asked | {"only_stored": False, "jobs": 1}))
    (paths.experiment("quick", "kernels") / KERNELS).unlink()
    with without_weights(first.runs[0]):
        other = kernels.run(kernels.settings(**asked))
    assert len(other.runs) == 2 and not np.array_equal(other.shown[0], first.shown[0])
    with without_weights(first.runs[0]), without_weights(first.runs[1]):
        (paths.experiment("quick", "kernels") / KERNELS).unlink()
        assert kernels.waits(kernels.settings(**asked))
    kernels.run(kernels.settings(**asked | {"only_stored": False, "jobs": 1}))


def test_measures_of_a_net_that_was_trained_again_are_not_added_to_the_published_ones() -> None:
    run = kernels.run(
        kernels.settings(profile="quick", seeds=SEEDS, control_seeds=(), jobs=1)
    ).runs[0]
    folder, metrics = paths.experiment("quick", "kernels"), weights_path(run.task.recipe.id)
    metrics = metrics.with_name(METRICS)
    before, known = metrics.read_text(), read_json(folder / MEASURES)
    write_json(folder / MEASURES, {})
    try:
        metrics.write_text(before.replace('"loss": ', '"loss": 1'))
        first_layer.measures(folder, run)
        assert read_json(folder / MEASURES) == {}
    finally:
        metrics.write_text(before)
    first_layer.measures(folder, run)
    assert read_json(folder / MEASURES) == {run.task.recipe.id: known[run.task.recipe.id]}
    write_json(folder / MEASURES, known)


def test_wider_nets_have_controls_of_their_own_width() -> None:
    settings = kernels.settings(
        profile="quick", width="twice-width", seeds=(0,), control_seeds=(0,), early_seeds=(0,)
    )
    two, one, early = kernels.tasks(settings)
    assert two.recipe.net.width == early.recipe.net.width == one.recipe.net.width / 2 == 1 / 8
    assert early.recipe.net.conv2_reads == "both" and two.recipe.net.conv2_reads == "own"


def test_a_large_net_is_shown_beside_the_seeds_and_counts_in_no_claim(
    recipe: Recipe, tmp_path: Path
) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(
        as_yaml(recipe.model_copy(update={"net": recipe.net.model_copy(update={"width": 0.25})}))
    )
    alone = kernels.run(kernels.settings(profile="quick", seeds=SEEDS, control_seeds=(), jobs=1))
    outcome = kernels.run(
        kernels.settings(profile="quick", seeds=SEEDS, control_seeds=(), large=str(file), jobs=1)
    )
    assert [len(tower) for tower in outcome.shown] == [12, 12] and len(outcome.runs) == 3
    assert outcome.measurements[0].values == alone.measurements[0].values
    common = {
        "profile": "quick",
        "queries": 20,
        "searched": 0,
        "ranked": 5,
        "picture_seed": 0,
        "jobs": 1,
    }
    both = predictions_and_neighbours.run(
        predictions_and_neighbours.settings(seeds=(0,), large=str(file), **common)
    )
    assert both.table["net"].tolist() == ["baseline", "large net"] and both.measurements[0].n == 1
    assert both.runs[1].task.folder == outcome.runs[2].task.folder


def test_the_share_of_selective_kernels_is_judged_for_nets_that_have_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "MIN_KERNELS", 6)
    outcome = kernels.run(kernels.settings(profile="quick", seeds=SEEDS, control_seeds=(), jobs=1))
    share = outcome.kernels.groupby("seed")["selective_any"].mean().tolist()
    assert next(m for m in outcome.measurements if m.claim == "kernels").values == pytest.approx(
        share
    )


def test_figure_4_counts_the_neighbours_that_brute_force_finds(recipe: Recipe) -> None:
    settings = predictions_and_neighbours.settings(
        profile="quick", seeds=SEEDS, queries=0, searched=0, ranked=5, picture_seed=0, jobs=1
    )
    outcome = predictions_and_neighbours.run(settings)
    asked, known = some_images(recipe, "test"), some_images(recipe, "train")
    apart = np.square(asked.vectors[:, None].astype(float) - known.vectors[None]).sum(2)
    rows = apart.argsort(1, kind="stable")[:, :6]
    share = (known.index.labels[rows] == asked.index.labels[:, None]).mean()
    assert outcome.table["same_class_pixels"].tolist() == pytest.approx([share] * 2)
    assert outcome.table["rank_correlation"].between(-1, 1).all()
    assert not outcome.without and {m.claim for m in outcome.measurements} == {
        "top5-sense",
        "neighbours",
    }
    pictures = outcome.pictures
    place = [
        int(np.flatnonzero((asked.pixels == image).all((1, 2, 3)))[0]) for image in pictures.queries
    ]
    assert np.array_equal(pictures.by_pixels, known.pixels[rows[place]])
    assert np.array_equal(
        pictures.same[1], known.index.labels[rows[place]] == asked.index.labels[place, None]
    )
    assert "5 of 5" in neighbours_page.checks(outcome)
    assert "points" in neighbours_page.neighbours_html(
        outcome
    ) and "random" in neighbours_page.closeness_html(outcome)
    predictions_figure.predictions(
        pictures.images, pictures.labels, pictures.p, pictures.titles
    ).canvas.draw()
    shown = (
        pictures.queries,
        pictures.query_titles,
        pictures.by_features,
        pictures.by_pixels,
        pictures.same,
    )
    predictions_figure.neighbours(*shown).canvas.draw()


def test_codes_are_compared_with_the_vectors_that_they_are_made_from(recipe: Recipe) -> None:
    settings = binary_codes.settings(
        profile="quick",
        seeds=SEEDS,
        bits=(64, 16),
        k=70,
        code_epochs=1,
        queries=0,
        searched=0,
        jobs=1,
    )
    outcome = binary_codes.run(settings)
    # all 70 are looked at, ten of each class
    assert outcome.table["precision"].tolist() == pytest.approx([1 / 7] * 12)
    assert outcome.chance == pytest.approx(1 / 7)
    assert {m.variant for m in outcome.measurements} == {"16 bits", "64 bits"}
    # 256 features and 1728 pixels of four bytes
    assert outcome.costs["times_smaller"].tolist() == [1, 512, 128, 1, 3456, 864]
    assert "6 of" not in codes_page.checks(settings, outcome)
    assert "64 bits" in codes_page.precision_html(
        settings, outcome
    ) and "64 bits" in codes_page.costs_html(outcome)
    codes_figure.precision(outcome.table, settings.k, outcome.chance).canvas.draw()
    with pytest.raises(InputError, match="lower k"):
        binary_codes.run(settings.model_copy(update={"k": 71}))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"bits": (12,)}, "fill bytes"), ({"bits": (512,)}, "at most"), ({"seeds": ()}, "seeds")],
)
def test_a_bad_parameter_is_named_in_one_line(change: dict, said: str) -> None:
    good = {
        "profile": "quick",
        "seeds": (0,),
        "bits": (16,),
        "k": 5,
        "code_epochs": 1,
        "queries": 0,
        "searched": 0,
    }
    with pytest.raises(InputError, match=said) as caught:
        binary_codes.settings(**good | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [3, 8, 10, 20])
def test_figure_4_has_both_halves_of_few_images_too(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Few(SimpleNamespace):
        def __len__(self) -> int:
            return count

    ids, labels = np.arange(count), np.zeros(count, np.int64)
    index = Few(ids=ids, labels=labels, classes=("a", "b"))
    images = Images(index, np.repeat(ids.astype(np.uint8), 12).reshape(count, 2, 2, 3))
    answers = SimpleNamespace(ids=ids, p=np.full((count, 2), 0.5, np.float32))
    monkeypatch.setattr(predictions_and_neighbours, "probabilities", lambda *_: answers)
    monkeypatch.setattr(predictions_and_neighbours, "titles", lambda index: index.classes)
    settings = SimpleNamespace(picture_seed=0)
    run = SimpleNamespace(task=SimpleNamespace(recipe=None))
    near = np.zeros((count, 6), np.int64)
    found = predictions_and_neighbours._pictures(settings, run, images, images, near, near)
    shown, queries = found.images[:, 0, 0, 0], found.queries[:, 0, 0, 0]
    assert len(shown) == min(count, 8) and len(queries) == min(count, 5)
    assert (count < 13) or not set(shown) & set(queries)
