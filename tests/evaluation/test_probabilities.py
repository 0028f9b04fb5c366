"""What a trained net says of every image: each once, averaged over views as probabilities, kept
only while it is true; and the report.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from trees import random_images

from replication.base import paths
from replication.base.errors import InputError
from replication.base.statistics import Interval
from replication.cli.evaluate import evaluate as evaluate_command
from replication.data import loader as loading
from replication.data.loader import Loader
from replication.data.splits import training_index
from replication.evaluation import probabilities, report, trained
from replication.evaluation.features import activations, features
from replication.evaluation.metrics import errors
from replication.nets.alexnet import alexnet
from replication.nets.build import build
from replication.recipe import AlexNetSpec, CifarNetSpec, Data, Recipe, Update
from replication.training.weights import save_weights, weights_path

KEYS = tuple("abcdefg")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random images of seven classes: 70 to train on, 37 held out, so that no batch comes out
    even.
    """
    return random_images(tmp_path_factory.mktemp("images"), KEYS, 70, 37)


def _recipe(tree: Path, seed: int = 0, **data: object) -> Recipe:
    return Recipe(
        data=Data(name=f"folder:{tree}", size=32, scale=1 / 64, **({"validation": 14} | data)),
        net=CifarNetSpec(init="fan_in"),
        update=Update(rate=0.01),
        batch=8,
        epochs=1,
        seed=seed,
    )


def _save(
    recipe: Recipe,
    net: torch.nn.Module | None = None,
    classes: tuple[str, ...] = KEYS,
    fingerprint: str | None = None,
) -> Path:
    net = net or build(recipe, len(classes))
    path = weights_path(recipe.id)
    save_weights(
        path,
        net.state_dict(),
        recipe,
        classes,
        fingerprint or training_index(recipe.data).fingerprint,
        1,
    )
    return path


def _images(recipe: Recipe, split: str = "test") -> tuple[torch.Tensor, torch.Tensor]:
    batches = list(loading.evaluation_loader(recipe, split).once())
    return torch.cat([batch.images for batch in batches]), torch.cat(
        [batch.labels for batch in batches]
    )


@pytest.mark.parametrize(("split", "count"), [("train", 56), ("validation", 14), ("test", 37)])
def test_every_image_of_a_split_is_answered_once(
    tree: Path, runs: Path, split: str, count: int
) -> None:
    recipe = _recipe(tree)
    _save(recipe)
    found = probabilities.probabilities(recipe, split)
    images, labels = _images(recipe, split)
    with torch.no_grad():
        expected = build(recipe, 7).eval()(images).softmax(1).numpy()
    # float32, other batches
    assert found.p == pytest.approx(expected, abs=1e-6) and (found.labels == labels.numpy()).all()
    assert (
        len(found.ids) == count
        and found.classes == KEYS
        and found.split == split
        and found.p.dtype == np.float32
    )


def test_ten_views_average_probabilities_and_not_logits(tree: Path, runs: Path) -> None:
    recipe = _recipe(tree, crop=24)
    net = build(recipe, 7)
    net.fc10.weight.data.mul_(10)  # sure of itself, so that the two averages differ
    _save(recipe, net)
    found = probabilities.probabilities(recipe, "test", views=10)
    images = torch.cat(
        [batch.images for batch in loading.evaluation_loader(recipe, "test").once(10)]
    )
    with torch.no_grad():
        logits = torch.stack([net(images[:, view]) for view in range(10)])
    assert found.p == pytest.approx(logits.softmax(2).mean(0).numpy(), abs=1e-6)
    assert np.abs(found.p - logits.mean(0).softmax(1).numpy()).max() > 0.05


def test_answers_are_kept_and_read_again_without_the_net(
    tree: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe(tree)
    _save(recipe)
    first = probabilities.probabilities(recipe, "test")
    monkeypatch.setattr(trained, "trained_net", lambda *arguments: pytest.fail("computed again"))
    second = probabilities.probabilities(recipe, "test")
    assert all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("ids", "labels", "p")
    )
    assert [path.name for path in (runs / recipe.id).glob("*.npz")] == ["predictions-test-1.npz"]


def test_answers_that_are_damaged_or_of_other_weights_or_images_are_computed_again(
    tree: Path, runs: Path
) -> None:
    recipe = _recipe(tree)
    _save(recipe)
    first = probabilities.probabilities(recipe, "test").p
    other = build(recipe, 7)
    other.fc10.bias.data += torch.arange(7)
    _save(recipe, other)
    second = probabilities.probabilities(recipe, "test").p
    assert not np.allclose(first, second)
    kept = runs / recipe.id / "predictions-test-1.npz"
    with np.load(kept) as stored:
        content = dict(stored)
    np.savez(
        kept,
        **content
        | {
            "answers": content["answers"][::-1],
            "stamp": np.array(f"other {str(content['stamp']).split()[1]}"),
        },
    )
    assert (probabilities.probabilities(recipe, "test").p == second).all()
    kept.write_bytes(kept.read_bytes()[:-100])
    assert (probabilities.probabilities(recipe, "test").p == second).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [(slice(1, None), "1 of them without"), (slice(None), "gave some of them twice")],
)
def test_an_error_is_never_of_fewer_or_more_images_than_the_split_has(
    tree: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, rows: slice, message: str
) -> None:
    recipe = _recipe(tree)
    _save(recipe)
    once = Loader.once

    def faulty(self: Loader, *arguments: object) -> object:
        batches = list(once(self, *arguments))
        yield from ([] if rows.start else batches)
        yield from (type(batch)(*(part[rows] for part in batch)) for batch in batches)

    monkeypatch.setattr(Loader, "once", faulty)
    with pytest.raises(InputError, match=message):
        probabilities.probabilities(recipe, "test")
    assert not list((runs / recipe.id).glob("*.npz"))


def test_weights_that_do_not_belong_to_the_images_are_refused(tree: Path, runs: Path) -> None:
    recipe = _recipe(tree)
    with pytest.raises(InputError, match="train it first"):
        probabilities.probabilities(recipe, "test")
    _save(recipe, classes=KEYS[::-1])
    with pytest.raises(InputError, match="trained for 7 classes"):
        probabilities.probabilities(recipe, "test")
    _save(recipe, fingerprint="0123456789abcdef")
    with pytest.raises(InputError, match="other images"):
        probabilities.probabilities(recipe, "test")
    path = _save(recipe)
    other = _recipe(tree, seed=1)
    weights_path(other.id).parent.mkdir()
    weights_path(other.id).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="another run"):
        probabilities.probabilities(other, "test")


def test_questions_without_an_answer_are_refused(tree: Path, runs: Path) -> None:
    recipe = _recipe(tree, validation=0)
    _save(recipe)
    refused = [
        ("validation", 1, "held out no validation"),
        ("val", 1, "beside a test set"),
        ("all", 1, "no split"),
        ("test", 3, "3 views"),
    ]
    for split, views, message in refused:
        with pytest.raises(InputError, match=message):
            probabilities.probabilities(recipe, split, views)


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:99", "cuda:x"])
def test_a_device_that_is_not_there_is_refused_in_one_line(
    tree: Path, runs: Path, device: str
) -> None:
    recipe = _recipe(tree)
    _save(recipe)
    with pytest.raises(InputError, match="no device"):
        probabilities.probabilities(recipe, "test", device=device)


def test_the_command_prints_one_json_document_or_a_table(
    tree: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = _recipe(tree)
    _save(recipe)
    evaluate_command([recipe.id], split="all", as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert [(row["split"], row["images"]) for row in printed["rows"]] == [
        ("train", 56),
        ("validation", 14),
        ("test", 37),
    ]
    assert printed["pairs"] == [] and printed["weights"] is None
    evaluate_command([recipe.id], views=1)
    assert "37" in capsys.readouterr().out


def test_features_are_both_towers_units_after_the_activation_and_before_halving(
    tree: Path, runs: Path
) -> None:
    recipe = _recipe(tree, crop=24).model_copy(update={"net": AlexNetSpec(side=24, width=0.02)})
    net = alexnet(recipe.net.model_copy(update={"classes": 7}), torch.Generator().manual_seed(1))
    for tower in net.towers.values():
        tower.fc7.weight.data.mul_(100)  # so that some units are off
    _save(recipe, net)
    found = features(recipe, "test", "fc7")
    images, labels = _images(recipe)
    halves: list[torch.Tensor] = []
    for tower in net.towers.values():
        tower.drop7.register_forward_pre_hook(lambda module, given: halves.append(given[0]))
    with torch.no_grad():
        logits = net.eval()(images)
    assert (
        found.x == pytest.approx(torch.cat(halves, 1).numpy(), abs=1e-5)
        and found.x.shape == (37, 82)
        and found.x.min() == 0
    )
    assert (found.labels == labels.numpy()).all()
    assert torch.equal(activations(net, images, "fc8"), logits)
    with pytest.raises(InputError, match="no layer 'fc9': use conv1, .*fc8"):
        activations(net, images, "fc9")


def test_a_report_has_every_run_their_average_and_each_pair(tree: Path, runs: Path) -> None:
    recipes = [_recipe(tree, seed) for seed in range(3)]
    for recipe in recipes:
        _save(recipe)
    found = report.evaluate(
        report.named_runs([recipe.id for recipe in recipes]), report.splits_of("all", recipes)
    )
    assert [(row.run, row.split, row.images) for row in found.rows[-4:]] == [
        (r, "test", 37) for r in (*(r.id for r in recipes), "average")
    ]
    assert len(found.rows) == 12 and len(found.pairs) == 3 * 3 * 2
    one = errors(probabilities.probabilities(recipes[0], "train"))
    assert found.rows[0].top1.mean == one["top1"] and found.rows[0].top5.mean == one["top5"]
    text = json.loads(json.dumps(found.dump(), allow_nan=False))
    assert text["rows"][0]["top1"]["mean"] == one["top1"] and text["weights"] == pytest.approx(
        [1 / 3] * 3
    )
    assert recipes[2].id in found.table() and "McNemar" in found.table()


def test_a_table_has_top_5_errors_only_with_more_than_five_classes() -> None:
    error = Interval(0.2, 0.1, 0.3)
    for classes, shown in ((5, False), (6, True)):
        row = report.Row("net", "test", 100, classes, error, error)
        text = report.Report(1, (row,), (), None).table()
        assert ("top-5" in text) == shown and "top-1 error, %" in text
        assert text.count("20.00") == 1 + shown


def test_tuned_weights_are_never_judged_on_the_images_they_were_tuned_on(
    tree: Path, runs: Path
) -> None:
    recipes = {str(seed): _recipe(tree, seed) for seed in range(2)}
    for recipe in recipes.values():
        _save(recipe)
    for splits in (["validation"], report.splits_of("all", list(recipes.values()))):
        with pytest.raises(InputError, match="cannot be judged"):
            report.evaluate(recipes, splits, weights="tuned")
    assert sum(report.evaluate(recipes, ["test"], weights="tuned").weights) == pytest.approx(1)
    with pytest.raises(InputError, match="no weights to tune"):
        report.evaluate({"0": recipes["0"]}, ["test"], weights="tuned")


def test_a_run_is_found_by_its_folder_and_a_wrong_name_says_what_would_do(
    tree: Path, runs: Path
) -> None:
    recipe = _recipe(tree)
    folder = paths.results() / "quick" / "ablations" / f"baseline-{recipe.id}"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match="recipe.json is missing"):
        report.find(str(folder))
    (folder / "recipe.json").write_text(recipe.model_dump_json())
    assert report.named_runs([str(folder)]) == {folder.name: recipe}
    with pytest.raises(InputError, match="named twice"):
        report.named_runs([str(folder), str(folder)])
    (folder / "recipe.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        report.find(str(folder))
    with pytest.raises(InputError, match="no such weights"):
        report.find("0123456789")
