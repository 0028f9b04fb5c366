"""Exporting a trained net to a folder that others can use.

``weights.safetensors`` holds the weights and the mean image, ``config.json`` the recipe and the
classes, ``README.md`` what the net is, what it was trained on and how often it is wrong, and
``hubconf.py`` lets ``torch.hub`` load it from the folder."""

from pathlib import Path
from typing import Any

from replication.base import paths
from replication.base.epochs import losses
from replication.base.errors import InputError
from replication.base.files import read_json, write_json, write_text
from replication.base.text import counted
from replication.evaluation.metrics import errors, tops
from replication.evaluation.predict import CONFIG, mean_of, net_of, titles_of, weights_of
from replication.evaluation.probabilities import probabilities
from replication.recipe import Recipe
from replication.training.weights import FILE, Weights, load_weights, save_weights

CARD, HUB = "README.md", "hubconf.py"
STATED = (("test", 1), ("test", 10))  # split, views: the errors that a card states
HUBCONF = '''"""Entry points for torch.hub: ``torch.hub.load(FOLDER, "net", source="local")``."""

from pathlib import Path

dependencies = ["torch", "replication"]
FOLDER = Path(__file__).resolve().parent


def net():
    """Return the trained net in evaluation mode: prepared images (N, 3, S, S) to logits (N, K)."""
    from replication.evaluation.predict import net_of
    from replication.training.weights import load_weights

    return net_of(load_weights(FOLDER / "weights.safetensors"))


def predictor():
    """Return the net with its preparation: ``predictor().predict(["photo.jpg"])``."""
    from replication.evaluation.predict import load

    return load(FOLDER)
'''


def export(run: str, folder: Path, profile: str = "quick") -> Path:
    """Write the net of ``run``, named as for ``predict.load``, into ``folder`` and return it.

    Raises InputError if the folder is not empty, or the weights are not there."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: not an empty folder; name one that does not exist yet")
    path = weights_of(run, profile)
    weights = load_weights(path)
    titles = titles_of(weights, path.parent)
    mean = mean_of(weights)
    facts = _facts(weights, path.parent)
    save_weights(
        folder / FILE,
        weights.state,
        weights.recipe,
        weights.classes,
        weights.fingerprint,
        weights.epochs,
        mean,
    )
    config = {
        "run": weights.recipe.id,
        "recipe": weights.recipe.model_dump(mode="json"),
        "classes": list(weights.classes),
        "titles": list(titles),
        "epochs": weights.epochs,
        "images": {"fingerprint": weights.fingerprint, "mean": mean is not None},
        "errors": facts["errors"],
    }
    write_json(folder / CONFIG, config)
    write_text(folder / CARD, card(weights, facts))
    write_text(folder / HUB, HUBCONF)
    if (licence := paths.ROOT / "LICENSE").is_file():
        write_text(folder / "LICENSE", licence.read_text(encoding="utf-8"))
    return folder


def card(weights: Weights, facts: dict[str, Any]) -> str:
    """Return the model card, Markdown."""
    recipe, net = weights.recipe, net_of(weights)
    count = sum(parameter.numel() for parameter in net.parameters())
    origin = facts["provenance"]
    family = "AlexNet" if recipe.net.family == "alexnet" else f"cuda-convnet {recipe.net.name}"
    lines = [
        f"# {family}, run {recipe.id}",
        "",
        (
            "A net of a replication of Krizhevsky, Sutskever and Hinton, *ImageNet Classification"
            " with Deep Convolutional Neural Networks* (2012)."
        ),
        "",
        (
            f"- **Net**: {counted(count, 'parameter')},"
            f" {counted(len(weights.classes), 'class')}, images of"
            f" {recipe.data.side} x {recipe.data.side} pixels."
        ),
        *(f"- **Not as in the paper**: {sentence}" for sentence in _deviations(recipe)),
        f"- **Data**: {_data(weights, origin)}",
        (
            f"- **Training**: {counted(weights.epochs, 'epoch')}, minibatches of {recipe.batch},"
            f" seed {recipe.seed}{_origin(origin)}. The recipe is in `{CONFIG}`."
        ),
        "",
        "## Errors",
        "",
        *_error_table(facts["errors"], len(weights.classes)),
        "",
        "Other images than those it was trained for get one of its classes all the same.",
        "",
        "## Use",
        "",
        "With the package `replication` installed:",
        "",
        "```python",
        "import torch",
        "",
        'predictor = torch.hub.load("FOLDER", "predictor", source="local", trust_repo=True)',
        'print(predictor.predict(["photo.jpg"], views=10)[0].labels)',
        "```",
        "",
        (
            'The entry `"net"` gives the `torch.nn.Module` alone; `replication predict FOLDER'
            " photo.jpg` does it on the command line."
        ),
        "",
        "## Licence",
        "",
        (
            "MIT, as the code that trained it. The training images have terms of their own, those"
            " of their source."
        ),
    ]
    return "\n".join(lines) + "\n"


def _facts(weights: Weights, beside: Path) -> dict[str, Any]:
    """Return the errors and the provenance of the run: as stored, else measured if possible.

    ``beside``: the folder of the weights. The recipe may have been trained more than once, here and
    for the published results; only a result of these weights' own training is theirs."""
    facts: dict[str, Any] = {"errors": {}, "provenance": {}}
    for folder in sorted(paths.results().rglob(f"*-{weights.recipe.id}")):
        if not (folder / "provenance.json").is_file():
            continue
        origin = read_json(folder / "provenance.json")
        trained = losses(beside)
        if trained and trained != losses(folder):
            continue
        if origin["data"]["fingerprint"] != weights.fingerprint:
            continue
        facts["provenance"] = origin
        if (folder / "evaluation.json").is_file():
            stored = read_json(folder / "evaluation.json")
            # "test/1@60" is of the weights kept after epoch 60
            facts["errors"] = {key: value for key, value in stored.items() if "@" not in key}
    if not facts["errors"]:
        crop = weights.recipe.data.side < weights.recipe.data.size
        for split, views in STATED if crop else STATED[:1]:
            try:
                answer = probabilities(weights.recipe, split, views)
            except InputError:  # the images, or the run's own weights, are not here
                break
            facts["errors"][f"{split}/{views}"] = errors(answer)
    return facts


def _deviations(recipe: Recipe) -> tuple[str, ...]:
    return recipe.net.deviations if recipe.net.family == "alexnet" else ()


def _data(weights: Weights, origin: dict[str, Any]) -> str:
    stored = origin.get("data", {})
    note = (
        f" ({stored['note']})" if stored.get("note") not in (None, "", stored.get("name")) else ""
    )
    count = f"{counted(stored['images'], 'training image')} of " if stored else ""
    return f"{count}{weights.recipe.data.name}{note}, fingerprint {weights.fingerprint}."


def _origin(origin: dict[str, Any]) -> str:
    if not origin:
        return ""
    commit = f", commit {origin['commit'][:10]}" if origin.get("commit") else ""
    return f", on {origin['device']}, finished {origin['finished'][:10]}{commit}"


def _error_table(answers: dict[str, Any], classes: int) -> list[str]:
    if not answers:
        return ["Not measured: the images were not there when the net was exported."]
    shown = tops(classes)
    titles = ["images of", "views", "images", *(f"top-{k} error, %" for k in shown)]
    rows = [
        [
            *key.split("/"),
            f"{answer['images']:,}",
            *(f"{100 * answer[f'top{k}']:.1f}" for k in shown),
        ]
        for key, answer in answers.items()
    ]
    rule = ["---", *("---:" for _ in titles[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows)]
