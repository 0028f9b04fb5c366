"""Labels of image files and exported nets: the same numbers as the evaluation of a data set."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trees import random_images
from typer.testing import CliRunner

from replication.base.errors import InputError
from replication.base.files import write_json
from replication.cli import app as command_line
from replication.data.files.titles import words
from replication.data.loader import open_loaders
from replication.data.splits import training_index
from replication.evaluation import export, predict
from replication.evaluation.probabilities import probabilities
from replication.nets.build import build
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.training.weights import load_weights, save_weights, training_command, weights_path

KEYS = tuple("abcdefg")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random images of seven classes, larger than what is stored of them."""
    root = random_images(tmp_path_factory.mktemp("images"), KEYS, 28, 19, (40, 44))
    (root / "words.txt").write_text("a\tapple, fruit\nb\tbee\n")
    return root


@pytest.fixture(params=["paper", "source2012"])
def recipe(request, tree: Path, runs: Path) -> Recipe:
    """A net with random weights whose run has ended."""
    made = Recipe(
        data=Data(name=f"folder:{tree}", size=32, crop=24, validation=7),
        net=AlexNetSpec(fidelity=request.param, side=24, width=1 / 16, init="same_variance"),
        update=Update(rate=0.01),
        batch=8,
        epochs=1,
    )
    _save(made, with_mean=True)
    return made


def _save(recipe: Recipe, with_mean: bool) -> None:
    loaders = open_loaders(recipe)
    loaders.close()
    net = build(recipe, len(KEYS))
    fingerprint = training_index(recipe.data).fingerprint
    mean = loaders.statistics.mean if with_mean else None
    save_weights(weights_path(recipe.id), net.state_dict(), recipe, KEYS, fingerprint, 1, mean)


def _files(tree: Path) -> list[Path]:
    return [path for key in KEYS for path in sorted((tree / "val" / key).glob("*.png"))]


@pytest.mark.parametrize("views", [1, 10])
def test_predictions_are_those_of_the_evaluation(tree, recipe, views):
    found = predict.load(recipe.id).predict(_files(tree), views)
    evaluated = probabilities(recipe, "test", views)
    np.testing.assert_allclose(np.stack([one.p for one in found]), evaluated.p, rtol=1e-4)


def test_weights_without_a_mean_image_take_that_of_their_training_images(tree, recipe):
    files = _files(tree)[:3]
    with_it = predict.load(recipe.id).predict(files)
    _save(recipe, with_mean=False)
    assert load_weights(weights_path(recipe.id)).mean is None
    for one, other in zip(with_it, predict.load(recipe.id).predict(files), strict=True):
        np.testing.assert_array_equal(one.p, other.p)


def test_labels_are_ranked_and_have_titles(tree, recipe):
    labels = predict.load(recipe.id).predict(_files(tree)[:1])[0].labels
    assert len(labels) == 5
    assert [label.p for label in labels] == sorted((label.p for label in labels), reverse=True)
    names = dict(zip(KEYS, ("apple", "bee", *KEYS[2:]), strict=True))
    assert all(label.title == names[label.key] for label in labels)


def test_the_command_prints_a_table_or_json_and_draws_figure_4(tree, recipe, tmp_path):
    files, picture = list(map(str, _files(tree)[:2])), tmp_path / "figure.png"
    words = ["predict", recipe.id, *files, "--views", "10"]
    table = CliRunner().invoke(command_line.app, [*words, "--figure", str(picture)])
    assert table.exit_code == 0, table.output
    assert all(file in table.stdout for file in files) and "ten views" in table.stdout
    assert Image.open(picture).format == "PNG"
    answer = json.loads(CliRunner().invoke(command_line.app, [*words, "--json"]).stdout)
    assert [one["image"] for one in answer["images"]] == files
    assert len(answer["images"][0]["labels"]) == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.jpg", "no such image file"), ("words.txt", "not an image"), (".", "no such image")],
)
def test_a_file_that_is_no_image_is_named(tree, recipe, name, message):
    with pytest.raises(InputError, match=message):
        predict.load(recipe.id).predict([tree / name])


def test_missing_weights_name_the_command_that_trains_them(recipe, tmp_path):
    weights_path(recipe.id).unlink()
    stored = tmp_path / "results" / "laptop" / "experiment" / f"net-{recipe.id}" / "recipe.json"
    stored.parent.mkdir(parents=True)
    stored.write_text(recipe.model_dump_json())
    for run in (recipe.id, str(stored.parent)):
        with pytest.raises(InputError, match=f"replication train {stored}"):
            predict.load(run)


def test_the_command_for_a_named_recipe_is_its_name():
    from replication.recipes import named

    run = named("alexnet-6conv", "gpu").id
    assert training_command(run) == "replication train alexnet-6conv --profile gpu"


def test_an_exported_net_gives_the_same_labels_without_its_data(
    tree, recipe, tmp_path, monkeypatch
):
    files, folder = _files(tree)[:3], tmp_path / "exported"
    before = predict.load(recipe.id).predict(files, 10)
    export.export(recipe.id, folder)
    found = probabilities(recipe, "test", 1)
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "empty"))
    monkeypatch.setattr(predict, "training_index", _no_data)
    monkeypatch.setattr(sys, "path", list(sys.path))
    loaded = torch.hub.load(str(folder), "predictor", source="local", trust_repo=True)
    for one, other in zip(before, loaded.predict(files, 10), strict=True):
        np.testing.assert_array_equal(one.p, other.p)
        assert one.labels == other.labels
    net = torch.hub.load(str(folder), "net", source="local", trust_repo=True)
    assert not net.training
    for name, value in loaded.net.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value, rtol=0, atol=0)
    card = (folder / "README.md").read_text()
    wrong = (found.p.argmax(1) != found.labels).mean()
    assert f"| test | 1 | 19 | {100 * wrong:.1f} |" in card
    assert "| test | 10 | 19 |" in card and "MIT" in card and "fingerprint" in card
    assert json.loads((folder / "config.json").read_text())["run"] == recipe.id


def test_a_card_has_top_5_errors_only_with_more_than_five_classes():
    answers = {"test/1": {"images": 1200, "top1": 0.25, "top5": 0.0}}
    assert export._error_table(answers, 5) == [
        "| images of | views | images | top-1 error, % |",
        "| --- | ---: | ---: | ---: |",
        "| test | 1 | 1,200 | 25.0 |",
    ]
    answers["test/1"]["top5"] = 0.02
    assert export._error_table(answers, 6)[0].endswith("| top-5 error, % |")
    assert export._error_table(answers, 6)[2].endswith("| 25.0 | 2.0 |")


def _no_data(data):
    raise InputError("the data set is not here")


def test_export_leaves_a_folder_that_holds_something_alone(recipe, tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        export.export(recipe.id, tmp_path)
    assert not (tmp_path / "README.md").exists()


def test_no_image_has_no_prediction_and_many_are_decoded_a_few_at_a_time(tree, recipe, monkeypatch):
    predictor, held = predict.load(recipe.id), []
    assert predictor.predict([]) == []
    files = _files(tree)[:5]
    whole = predictor.predict(files)
    square, answer = predictor._square, predict.mean_over_views
    monkeypatch.setattr(predict, "AT_ONCE", 2)
    monkeypatch.setattr(predictor, "_square", lambda file: (held.append("image"), square(file))[1])
    monkeypatch.setattr(
        predict, "mean_over_views", lambda *given: (held.append("net"), answer(*given))[1]
    )
    for one, other in zip(whole, predictor.predict(files), strict=True):
        np.testing.assert_allclose(one.p, other.p, rtol=1e-5)
    assert held == ["image", "image", "net", "image", "image", "net", "image", "net"]


@pytest.mark.parametrize("content", ['{"model_type": "another"}', "{", '{"run": "RUN"}'])
def test_a_foreign_configuration_beside_weights_is_ignored(tree, recipe, tmp_path, content):
    (tmp_path / "config.json").write_text(content.replace("RUN", recipe.id))
    weights = load_weights(weights_path(recipe.id))
    assert predict.titles_of(weights, tmp_path) == ("apple", "bee", *KEYS[2:])


def test_titles_are_read_from_any_text_file(tmp_path):
    (tmp_path / "words.txt").write_bytes("\ufeffa\tapple\n".encode() + b"b\tcaf\xe9\n")
    assert words(tmp_path / "words.txt") == {"a": "apple", "b": "caf\ufffd"}


def test_a_card_states_no_error_of_other_weights(recipe, tmp_path):
    """Of a training of the same recipe elsewhere, on other images, or after another epoch."""
    errors = {"images": 1200, "top1": 0.25, "top5": 0.5, "mistakes1": 300, "mistakes5": 600}
    stored = tmp_path / "results" / "laptop" / "x" / f"net-{recipe.id}"
    stored.mkdir(parents=True)
    write_json(stored / "evaluation.json", {"test/1": errors, "test/1@1": errors})
    origin = {"device": "elsewhere", "finished": "2026-11-26T00:00:00"}

    def card(name: str, fingerprint: str, history: str) -> str:
        data = {"fingerprint": fingerprint, "images": 5}
        write_json(stored / "provenance.json", origin | {"data": data})
        (stored / "metrics.jsonl").write_text(history)
        return (export.export(recipe.id, tmp_path / name) / "README.md").read_text()

    own = load_weights(weights_path(recipe.id)).fingerprint
    (weights_path(recipe.id).parent / "metrics.jsonl").write_text('{"loss": 1.0}\n')
    same = card("same", own, '{"loss": 1.0, "rate": 0.1}\n')  # a column that came later
    assert "| test | 1 | 1,200 | 25.0 | 50.0 |" in same and "elsewhere" in same and "@" not in same
    for other in (
        card("images", "other", '{"loss": 1.0}\n'),
        card("again", own, '{"loss": 2.0}\n'),
    ):
        assert "1,200" not in other and "elsewhere" not in other and "| test | 1 | 19 |" in other
