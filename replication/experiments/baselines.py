"""The baseline of every experiment on the paper's own net, at each scale, and the changes that are tried on it (sections 3 to 5).

One place, so that the experiments find each other's runs: the same recipe is trained once, whoever asks for it first. Where a scale
is not the paper's, the reason stands beside the number. Rates, epochs and widths were chosen by short trials on validation images.
"""

from typing import Any

from replication.measurement import Profile
from replication.recipe import AlexNet, Data, Recipe, Steps, Timeline, Update
from replication.results import Task

EXPERIMENT = "ablations"  # where the baseline's runs are kept
COLOUR = 0.1  # section 4.1
SPLITS = (("train", 1), ("validation", 1), ("test", 1), ("test", 10))  # what every run is asked

# The released net (fidelity source2012) where the scale is reduced: with the paper's literal standard deviation of 0.01 in conv3 to
# conv5 a narrow net stays at chance for its first thousand updates. Biases learn at twice the rate there, as in the released files.
_BASELINES: dict[str, Recipe] = {
    "quick": Recipe(
        data=Data(name="synthetic", count=400, validation=100, size=32, crop=24, augment=True, colour=COLOUR),
        net=AlexNet(fidelity="source2012", side=24, width=1 / 16, init="same_variance"),
        update=Update(rate=0.01, bias_rate_factor=2.0),
        schedule=Steps(kind="steps", after=(2,)),
        batch=20,
        epochs=3,
    ),
    # 150 images of each of 100 classes to train on: 20 epochs take about four minutes of one core
    "laptop": Recipe(
        data=Data(name="tiny-imagenet-100", count=17_500, validation=2_500, size=64, crop=56, augment=True, colour=COLOUR),
        net=AlexNet(fidelity="source2012", side=56, width=1 / 4, init="same_variance"),
        update=Update(rate=0.01, bias_rate_factor=2.0),
        schedule=Steps(kind="steps", after=(14, 18), colour_off=15),
        batch=64,
        epochs=20,
    ),
    "gpu": Recipe(
        data=Data(name="tiny-imagenet-100", validation=2_500, size=64, crop=56, augment=True, colour=COLOUR),
        net=AlexNet(fidelity="source2012", side=56),
        update=Update(rate=0.01, bias_rate_factor=2.0),
        schedule=Timeline(kind="timeline"),
        batch=128,
        epochs=60,
        precision="bf16",
    ),
    "paper": Recipe(
        data=Data(name="ilsvrc2010", validation=50_000, size=256, crop=224, augment=True, colour=COLOUR, files="encoded"),
        net=AlexNet(fidelity="source2012"),
        update=Update(rate=0.01, bias_rate_factor=2.0),
        schedule=Timeline(kind="timeline"),
        batch=128,
        epochs=93,
    ),
}

# What section 3 to 5 and 7 take away or replace, in the paper's order: changes of the baseline's net, data or update
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "baseline": {},
    "tanh": {"net": {"activation": "tanh"}},
    "one-gpu": {"net": {"towers": 1}},
    "no-lrn": {"net": {"lrn": False}},
    "non-overlapping": {"net": {"pooling": "non_overlapping"}},
    "no-crops": {"data": {"augment": False}},
    "no-colour": {"data": {"colour": 0.0}},
    "no-dropout": {"net": {"dropout": False}},
    "no-weight-decay": {"update": {"weight_decay": 0.0}},
    "biases-zero": {"net": {"ones": False}},
    "without-conv2": {"net": {"removed": "conv2"}},
    "without-conv3": {"net": {"removed": "conv3"}},
    "without-conv4": {"net": {"removed": "conv4"}},
    "without-conv5": {"net": {"removed": "conv5"}},
}


def baseline(profile: Profile, seed: int = 0, **changes: dict[str, Any]) -> Recipe:
    """The baseline of a profile with that seed; ``changes`` of its parts, such as ``net={"lrn": False}``."""
    recipe = _BASELINES[profile].model_dump()
    for part, values in changes.items():
        recipe[part] = recipe[part] | values if isinstance(values, dict) else values
    return Recipe.model_validate(recipe | {"seed": seed})


def variant(profile: Profile, name: str, seed: int) -> Recipe:
    """One of ``VARIANTS`` of a profile's baseline. Order, draws and masks depend on the seed alone, so runs of one seed are paired."""
    return baseline(profile, seed, **VARIANTS[name])


def task(profile: Profile, name: str, seed: int) -> Task:
    """The run of a variant, with the errors that every experiment may ask it for."""
    return Task(profile, EXPERIMENT, f"{name}-seed{seed}", variant(profile, name, seed), SPLITS)
