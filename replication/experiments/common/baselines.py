"""The baseline of every experiment on the paper's own net, at each scale, and the changes that are
tried on it (sections 3 to 5).

One place, so that the experiments find each other's runs: the same recipe is trained once, whoever
asks for it first. The baseline is the released net (``recipes.named("alexnet-2012", profile)``),
because the logs that the paper's differences come from are its."""

from typing import Any

from replication.base.types import Profile
from replication.recipe import Recipe
from replication.recipes import named
from replication.runs.store import Task

EXPERIMENT = "ablations"  # where the baseline's runs are kept
SPLITS = (("train", 1), ("validation", 1), ("test", 1), ("test", 10))  # what every run is asked

# What section 3 to 5 and 7 take away or replace, in the paper's order: changes of the baseline's
# net, data or update
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
    """The baseline of a profile with that seed; ``changes`` of its parts, such as ``net={"lrn":
    False}``.
    """
    recipe = named("alexnet-2012", profile).model_dump()
    for part, values in changes.items():
        recipe[part] = recipe[part] | values if isinstance(values, dict) else values
    return Recipe.model_validate(recipe | {"seed": seed})


def variant(profile: Profile, name: str, seed: int) -> Recipe:
    """One of ``VARIANTS`` of a profile's baseline. Order, draws and masks depend on the seed alone,
    so runs of one seed are paired.
    """
    return baseline(profile, seed, **VARIANTS[name])


def task(profile: Profile, name: str, seed: int) -> Task:
    """The run of a variant, with the errors that every experiment may ask it for."""
    return Task(profile, EXPERIMENT, f"{name}-seed{seed}", variant(profile, name, seed), SPLITS)
