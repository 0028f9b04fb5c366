"""The baseline of all experiments on the paper's net, and its variants (sections 3 to 5).

The baseline exists at each scale. All experiments take it from here, so they share runs: a recipe
is trained once, by the first experiment that needs it. The baseline is the released net, because
the paper's differences come from that net's logs. At ``laptop`` there are two. The first one stops
after 4,680 updates, long before it has learnt, and is kept for the results that were measured on
it. The other one, "learnt", is trained by section 5's rule until its validation error has stopped
improving. Its colour noise stays on to the end, and with it the source's division of every training
image by 1.1, so that it is tested on images 1.1 times as strong as those that it was trained on.
All other baselines except that of ``quick`` end both before their last rate, as the logged runs
did. What ``no-colour`` and ``paper-colour-scale`` change in the learnt one is the noise and this
division together.
"""

from collections.abc import Sequence
from typing import Any, Literal

from replication.base.models import validated
from replication.base.types import Profile
from replication.recipe import SWITCHES, Recipe
from replication.recipes import named
from replication.runs.store import Task

EXPERIMENT = "ablations"  # the folder of the baseline's runs
# the errors that every run is evaluated for: split, number of views
SPLITS = (("train", 1), ("validation", 1), ("test", 1), ("test", 10))
Regime = Literal["first", "learnt"]
LEARNT = {"laptop": "alexnet-2012-learnt"}  # at the other scales the first one has learnt

# mean of what each normalisation multiplies by, over both towers and the validation images, in a
# trial of the laptop baseline after 15 epochs: rnorm1, rnorm2, cnorm2
LRN_GAINS = (0.47, 0.54, 0.66)
BASELINE = "baseline"
Changes = dict[str, Any]

# What section 3 to 5 and 7 take away or replace, in the paper's order: changes of the baseline's
# net, data or update
VARIANTS: dict[str, Changes] = {
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
# Controls of these: what else differs between the two sides
CONTROLS: dict[str, Changes] = {
    # a normalisation also makes its inputs smaller
    "lrn-as-gain": {"net": {"gains": LRN_GAINS}},
    # a narrower input also means smaller initial weights, where they are scaled by it
    "one-gpu-spread": {"net": {"towers": 1, "init": "as_whole"}},
    **{
        f"without-{layer}-spread": {"net": {"removed": layer, "init": "as_whole"}}
        for layer in ("conv2", "conv3", "conv5")
    },
    # towers that are two groups of maps and no more
    "early-crossing": {"net": {"conv2_reads": "both"}},
}
# The paper's version where its source differs, one at a time and all together (section 4 and 5)
FIDELITY: dict[str, Changes] = {
    **{f"paper-{switch}": {"net": {"switched": (switch,)}} for switch in SWITCHES},
    "paper-bias-rate": {"update": {"bias_rate_factor": 1.0}},
    "paper-all": {"net": {"fidelity": "paper"}, "update": {"bias_rate_factor": 1.0}},
}
# Results improve with a larger net and longer training (sections 1 and 7); with half the patience,
# rounded down, a run of section 5's rule ends sooner
SIZES: dict[str, Changes] = {
    "half-width": {"width": 0.5},
    "twice-width": {"width": 2.0},
    "half-length": {"length": 0.5},
}
RATED = ("baseline", "no-lrn", "lrn-as-gain", "one-gpu", "no-dropout", "tanh")
# A variant may prefer another rate than the baseline's: these times it
FACTORS = (0.5, 2.0)
RATES: dict[str, Changes] = {
    f"{name}-rate{factor:g}": {**(VARIANTS | CONTROLS)[name], "rate": factor}
    for name in RATED
    for factor in FACTORS
}
IMAGES = (30, 75, 150, 400)  # of each class
CLASSES = {"synthetic": 10, "tiny-imagenet-100": 100, "ilsvrc2010": 1000}  # of the baselines' data


def data_variant(images: int, dropout: bool, crops: bool) -> str:
    """Return the name of the variant with so many images of each class."""
    return f"images{images}{'' if dropout else '-no-dropout'}{'' if crops else '-no-crops'}"


# Where a regulariser helps: fewer or more images, with and without it
DATA: dict[str, Changes] = {
    data_variant(count, dropout, crops): {
        "images": count,
        "net": {"dropout": dropout},
        "data": {"augment": crops},
    }
    for count in IMAGES
    for dropout in (True, False)
    for crops in (True, False)
}
# Section 6.1 at twice the width, where a tower has twice as many kernels to share out
TOWERS: dict[str, Changes] = {
    "twice-width-early-crossing": {"width": 2.0, "net": {"conv2_reads": "both"}},
}
FAMILIES: dict[str, dict[str, Changes]] = {
    "variants": VARIANTS,
    "controls": CONTROLS,
    "fidelity": FIDELITY,
    "rates": RATES,
    "data": DATA,
    "sizes": SIZES,
    "towers": TOWERS,
}
# seeds of a family's variants in the learnt regime: 0 and up to here
SEEDS = {
    "variants": 5,
    "controls": 5,
    "fidelity": 5,
    "rates": 3,
    "data": 3,
    "sizes": 5,
    "towers": 16,
}
# what a reader calls a variant, where it is not the name itself
TITLES = {
    "tanh": "tanh in place of ReLU",
    "one-gpu": "net of one GPU",
    "no-lrn": "no normalisation",
    "non-overlapping": "non-overlapping pooling",
    "no-crops": "no crops or reflections",
    "no-colour": "no colour noise",
    "no-dropout": "no dropout",
    "no-weight-decay": "no weight decay",
    "biases-zero": "biases start at 0",
    **{f"without-conv{layer}": f"without conv{layer}" for layer in (2, 3, 4, 5)},
    "lrn-as-gain": "normalisation as constant gains",
    "one-gpu-spread": "net of one GPU, the baseline's initial spread",
    **{
        f"without-conv{layer}-spread": f"without conv{layer}, the baseline's initial spread"
        for layer in (2, 3, 5)
    },
    "early-crossing": "towers read each other from conv2 on",
    "half-width": "half the width",
    "twice-width": "twice the width",
    "half-length": "less patience",
    "paper-relu-place": "ReLU before conv1's normalisation",
    "paper-same-map-norm": "no second normalisation after conv2",
    "paper-lrn-alpha": "alpha not divided by the window",
    "paper-spread": "smaller initial weights in conv3 to conv5",
    "paper-shared-crops": "a crop of its own for each image",
    "paper-crop-places": "32 positions of a crop, not 33",
    "paper-mean-place": "mean image aligned with the crop",
    "paper-colour-scale": "colour noise as in the text",
    "paper-bias-rate": "biases at the weights' rate",
    "paper-all": "all of these",
}
ALL = {name: changes for family in FAMILIES.values() for name, changes in family.items()}


def title(variant: str) -> str:
    """Return what a reader calls ``variant``."""
    return TITLES.get(variant, variant)


def planned(regime: Regime, seeds: Sequence[int]) -> str:
    """Return the line of an experiment's plan about the baseline's nets."""
    learnt = " that have learnt" if regime == "learnt" else ""
    listed = ", ".join(map(str, seeds))
    return f"the baseline's nets{learnt} on seeds {listed}, shared with the other experiments"


def baseline(
    profile: Profile, seed: int = 0, regime: Regime = "first", **changes: Changes
) -> Recipe:
    """Return the recipe of a profile's baseline with that seed.

    ``changes`` replace parts of it, for example ``net={"lrn": False}``.
    """
    name = LEARNT.get(profile, "alexnet-2012") if regime == "learnt" else "alexnet-2012"
    recipe = named(name, profile).model_dump()
    for part, values in changes.items():
        recipe[part] = recipe[part] | values if isinstance(values, dict) else values
    return validated(Recipe, f"{name} at {profile}", recipe | {"seed": seed})


def variant(profile: Profile, name: str, seed: int, regime: Regime = "first") -> Recipe:
    """Return the recipe of the variant ``name``, a key of ``ALL``, of a profile's baseline.

    Order, draws and masks depend on the seed alone, so runs of one seed are paired.
    """
    changes = dict(ALL[name])
    rate, width, length = (changes.pop(key, 1.0) for key in ("rate", "width", "length"))
    images = changes.pop("images", None)
    whole = baseline(profile, seed, regime)
    update = {"rate": whole.update.rate * rate} | changes.pop("update", {})
    net = {"width": whole.net.width * width} | changes.pop("net", {})
    data = dict(changes.pop("data", {}))
    if images is not None:
        data["count"] = images * CLASSES[whole.data.name] + whole.data.validation
    length = _shorter(whole, length) if length != 1 else {}
    return baseline(profile, seed, regime, net=net, data=data, update=update, **length)


def _shorter(recipe: Recipe, factor: float) -> Changes:
    """Return a schedule of ``factor`` times the length: epochs, drops and patience."""
    schedule, epochs = recipe.schedule, max(1, round(recipe.epochs * factor))
    if schedule.kind == "plateau":
        patience = max(1, round(schedule.patience * factor))
        return {"schedule": schedule.model_copy(update={"patience": patience}), "epochs": epochs}
    if schedule.kind != "steps":
        return {"epochs": epochs}  # a timeline is stretched to it
    after = tuple(max(1, round(epoch * factor)) for epoch in schedule.after)
    off = None if schedule.colour_off is None else round(schedule.colour_off * factor)
    changed = schedule.model_copy(update={"after": after, "colour_off": off})
    return {"schedule": changed, "epochs": epochs}


def task(profile: Profile, name: str, seed: int, regime: Regime = "first") -> Task:
    """Return the run of a variant, with the errors that the experiments evaluate."""
    recipe = variant(profile, name, seed, regime)
    evaluate = SPLITS
    if regime == "learnt" and recipe.data.count is not None:
        evaluate += (("unused", 1),)  # training images that are left over are held out too
    return Task(profile, EXPERIMENT, f"{name}-seed{seed}", recipe, evaluate)
