"""The description of one training run: frozen, validated, and hashed into the run's id.

A recipe has everything that decides a run's numbers, and nothing else: the folder, the device and
the number of threads are in its provenance. The id is a hash over the fields that differ from their
defaults. So a new option whose default means "as before" does not change old ids. A published
default never changes."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from replication.base.errors import InputError
from replication.base.models import Frozen


class Data(Frozen):
    """Which images, and what is done to them before the net."""

    name: str  # a name of the catalog
    # these classes; a number: that many, evenly spaced in the sorted list; None: all
    classes: int | tuple[str, ...] | None = None
    # number of training images, equal for each class; None: all
    count: int | None = Field(None, ge=1)
    # number of training images held out for decisions, equal for each class; not trained on
    validation: int = Field(0, ge=0)
    size: int = Field(256, ge=8)  # side of the stored square image, section 2
    # read stored pixels, or decode the data set's own files every time
    files: Literal["raw", "encoded"] = "raw"
    # if a file cannot be read during training: end the run, or leave the image out and count it
    unreadable: Literal["stop", "skip"] = "stop"
    # subtracted from every image: the training set's mean image, section 2
    mean: Literal["image", "none"] = "image"
    # factor on the images after that; 1 keeps the paper's 0-255
    scale: float = Field(1.0, gt=0)
    # side of the square that the net sees, section 4.1; None: the whole stored image
    crop: int | None = Field(None, ge=8)
    # random crops and flips in training, section 4.1; otherwise the central crop
    augment: bool = False
    # standard deviation of the colour multipliers, 0.1 in section 4.1; 0: none
    colour: float = Field(0.0, ge=0)

    @field_validator("name")
    @classmethod
    def _absolute(cls, name: str) -> str:
        """Write a path as ``folder:/absolute/path``, so that it means the same everywhere."""
        path = name.removeprefix("folder:")
        if path == name and "/" not in name and not name.startswith(("~", ".")):
            return name  # of the catalog
        if not path:
            raise ValueError("no path after folder:")
        return (
            f"folder:{path if os.path.isabs(path) else os.path.abspath(os.path.expanduser(path))}"
        )

    @property
    def side(self) -> int:
        """Side of the square image that the net is given, pixels."""
        return self.crop or self.size

    @model_validator(mode="after")
    def _consistent(self) -> "Data":
        if self.side > self.size:
            raise ValueError(
                f"a crop of {self.crop} does not fit into stored images of {self.size}"
            )
        return self


Gains = tuple[Annotated[float, Field(gt=0)], ...]

# Where the paper and its source differ in what a run does, one name for each; ``bias-rate`` is
# ``Update.bias_rate_factor``, and what the source does late in a run is the ``timeline`` schedule.
Switch = Literal[
    "relu-place",  # conv1's ReLU after the normalisation and the pooling
    "same-map-norm",  # one more normalisation after conv2's
    "lrn-alpha",  # a fifth of it
    "spread",  # initial weights of conv3 to conv5 three times as wide
    "shared-crops",  # 32 consecutive images have one crop and reflection
    "crop-places",  # a crop may be at the last place too: 33 of them along an axis, not 32
    "mean-place",  # the central part of the mean image is subtracted, not that under the crop
    "colour-scale",  # colour noise by the root of the eigenvalues, and images divided by 1.1
]
SWITCHES: tuple[Switch, ...] = get_args(Switch)


class CifarNetSpec(Frozen):
    """One of the released cuda-convnet nets for CIFAR-10."""

    family: Literal["cifar"] = "cifar"
    name: Literal[
        "80sec",
        "19pct",
        "18pct",
        "conv-local-13pct",
        "conv-local-11pct-earlier",  # as first released: the 13% net with normalisations
        "conv-local-11pct",
    ] = "19pct"
    activation: Literal["relu", "tanh", "logistic", "abs_tanh", "scaled_tanh"] = "relu"
    init: Literal["source2012", "fan_in"] = "source2012"
    norms: bool = True  # False: the same net without its response normalisations, section 3.3
    # instead of normalising, multiply by a constant, one for each normalisation in the net's order:
    # a normalisation also rescales, and this rescales alone
    gains: Gains = ()

    @model_validator(mode="after")
    def _consistent(self) -> "CifarNetSpec":
        if self.gains and not self.norms:
            raise ValueError("gains replace norms, and norms are off")
        return self


class AlexNetSpec(Frozen):
    """The net of section 3 and its variants, which ``nets.alexnet`` builds.

    The defaults are the paper's two-GPU net."""

    family: Literal["alexnet"] = "alexnet"
    # which of the two to follow where the paper and the released source differ
    fidelity: Literal["paper", "source2012"] = "paper"
    # and where this net takes the other side nevertheless
    switched: tuple[Switch, ...] = ()
    towers: Literal[1, 2] = 2  # 2: section 3.2's two GPUs; 1: the one-GPU net of its footnote 2
    # section 3.1
    activation: Literal["relu", "tanh", "logistic", "abs_tanh", "scaled_tanh"] = "relu"
    lrn: bool = True  # section 3.3
    gains: Gains = ()  # as a CIFAR-10 net's: for rnorm1, rnorm2 and the source's cnorm2
    # section 3.2: conv2 reads its own tower only, or both as a control of what towers are good for
    conv2_reads: Literal["own", "both"] = "own"
    # section 3.4: z = 3, s = 2, or z = s = 2
    pooling: Literal["overlapping", "non_overlapping"] = "overlapping"
    dropout: bool = True  # section 4.2
    # section 5: biases start at 1 in conv2, conv4, conv5 and the hidden fully-connected layers;
    # False: all biases start at 0
    ones: bool = True
    # section 7; the next layer reads the removed layer's input
    removed: Literal["conv2", "conv3", "conv4", "conv5"] | None = None
    sixth_conv: bool = False  # section 6, the nets of Fall 2009 and Fall 2011
    classes: int = Field(1000, ge=2)
    # side of the input; for 56 (crops of 64) and 24 (crops of 32) the first layer is smaller
    side: Literal[224, 56, 24] = 224
    width: float = Field(1.0, gt=0, le=4)  # factor on the paper's numbers of maps and hidden units
    # section 5's standard deviations, or each times sqrt(the paper's fan-in / this layer's);
    # "as_whole": the latter of the two-tower net with all its layers, so that a variant starts as
    # spread as that
    init: Literal["paper", "same_variance", "as_whole"] = "paper"

    def takes_source(self, switch: Switch) -> bool:
        """Whether this net is the source's where it differs from the paper in ``switch``."""
        return (self.fidelity == "source2012") != (switch in self.switched)

    @model_validator(mode="after")
    def _consistent(self) -> "AlexNetSpec":
        if self.switched != tuple(sorted(set(self.switched), key=SWITCHES.index)):
            raise ValueError("name each switch once, in the order of recipe.SWITCHES")
        norms = 2 + self.takes_source("same-map-norm")
        if self.gains and (not self.lrn or len(self.gains) != norms):
            raise ValueError(f"the net has {norms if self.lrn else 'no'} norms: {norms} gains")
        if self.conv2_reads == "both" and (self.towers == 1 or self.removed == "conv2"):
            raise ValueError("conv2 reads both towers only where there is one, of two towers")
        return self

    @property
    def deviations(self) -> tuple[str, ...]:
        """What differs from the paper's net to save cost, one sentence each.

        The paper's own variants do not count."""
        sentences = []
        if self.side != 224:
            sentences.append(
                f"The input is {self.side} x {self.side} instead of 224 x 224, with 5 x 5 kernels"
                " in conv1 instead of 11 x 11."
            )
        if self.width != 1:
            sentences.append(f"Maps and hidden units are {self.width:g} times the paper's.")
        if self.init == "same_variance":
            sentences.append(
                "Initial weights are scaled so that each unit's input varies as in the paper's net,"
                " which has more inputs."
            )
        elif self.init == "as_whole":
            sentences.append(
                "Initial weights are as spread as those of the two-tower net with all its layers,"
                " which are scaled so that each unit's input varies as in the paper's net."
            )
        return tuple(sentences)


class Update(Frozen):
    """The constants of the paper's update rule (section 5)."""

    rate: float = Field(gt=0)
    # the released files train biases at twice the weights' rate
    bias_rate_factor: float = Field(1.0, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0005, ge=0)  # on weights
    # instead of it, by layer; the released CIFAR-10 nets have one per layer
    layer_decays: dict[str, Annotated[float, Field(ge=0)]] = {}
    # weight decay on biases too; the paper does not say, and the released code has none
    decay_biases: bool = False
    # factors on the rate, by layer ("fc8": 10); 0 freezes a layer
    layer_rates: dict[str, Annotated[float, Field(ge=0)]] = {}


class Constant(Frozen):
    """One rate throughout."""

    kind: Literal["constant"]


class Plateau(Frozen):
    """Section 5: divide the rate when the validation error stops improving.

    Training ends when it stops improving after the last drop."""

    kind: Literal["plateau"]
    drops: int = Field(3, ge=0)  # section 5
    factor: float = Field(10.0, gt=1)  # section 5
    patience: int = Field(ge=1)  # epochs without improvement; the paper does not say how many
    # a lower error counts as an improvement if it is lower by more than this fraction
    threshold: float = Field(0.0, ge=0, lt=1)


class Steps(Frozen):
    """Drops after given epochs."""

    kind: Literal["steps"]
    after: tuple[int, ...]  # complete epochs when the rate drops
    # complete epochs when colour noise ends, as in the logged runs; None: never
    colour_off: int | None = None
    factor: float = Field(10.0, gt=1)

    @field_validator("after")
    @classmethod
    def _rising(cls, after: tuple[int, ...]) -> tuple[int, ...]:
        if list(after) != sorted(after):
            raise ValueError("name the epochs in rising order")
        return after


class Timeline(Frozen):
    """A logged run of 2012 (``training.schedule.LOGS``), scaled to this recipe's epochs."""

    kind: Literal["timeline"]
    name: Literal["145-2010", "145", "145-half", "147", "148", "150"] = "145-2010"


WEIGHTS = re.compile(r"[0-9a-f]{10}|file:[0-9a-f]{16}")  # of ``Recipe.init_from``
Precision = Literal["float32", "tf32", "bf16"]  # of products in training

Schedule = Annotated[Constant | Plateau | Steps | Timeline, Field(discriminator="kind")]


MOST_EPOCHS = 1_000_000  # the paper has 90; more is a slip


class Recipe(Frozen):
    """One training run."""

    data: Data
    net: Annotated[CifarNetSpec | AlexNetSpec, Field(discriminator="family")]
    update: Update
    schedule: Schedule = Constant(kind="constant")
    batch: int = Field(128, ge=1)  # images per update, regardless of ranks and parts
    # forward and backward passes per minibatch, to save memory
    parts: int = Field(1, ge=1)
    epochs: int = Field(ge=1, le=MOST_EPOCHS)  # at most this many
    # shuffled anew in each epoch, or the data set's own order in every epoch, as in 2012
    order: Literal["shuffled", "stored"] = "shuffled"
    # stop after the first epoch whose training error is at most this
    stop_error: float | None = Field(None, gt=0, lt=1)
    # which training error that is: the mean over the epoch, or that of the net after it
    stop_on: Literal["running", "exact"] = "running"
    exact_error: bool = False  # measure the error on the whole training set after each epoch too
    # epochs complete after which the weights are kept, beside those of the end
    keep_after: tuple[Annotated[int, Field(ge=1)], ...] = ()
    precision: Precision = "float32"
    # on a GPU, use algorithms that repeat the same bits, where torch has them
    deterministic: bool = False
    # source of the initial weights: the id of a run, or "file:" and the first 16 digits of a
    # file's sha256
    init_from: str | None = None
    seed: int = Field(0, ge=0, lt=2**64)

    @field_validator("init_from")
    @classmethod
    def _named_by_content(cls, source: str | None) -> str | None:
        """Refuse a path, which may lead to other weights tomorrow, under the same id."""
        if source is not None and not WEIGHTS.fullmatch(source):
            raise ValueError("name a run's id; --init-from takes a path, too")
        return source

    @property
    def fidelity(self) -> Literal["paper", "source2012"]:
        """Whether the run follows the paper or the released source, where they differ.

        The CIFAR-10 nets are the source's, but draw crops per image."""
        return self.net.fidelity if self.net.family == "alexnet" else "paper"

    def takes_source(self, switch: Switch) -> bool:
        """Return whether the run follows the source, not the paper, in ``switch``."""
        return self.net.family == "alexnet" and self.net.takes_source(switch)

    @property
    def id(self) -> str:
        """Ten hex digits that name this recipe."""
        changed = self.model_dump(mode="json", exclude_defaults=True)
        changed["net"]["family"] = self.net.family  # a default, but it distinguishes the families
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.batch % self.parts:
            raise ValueError(f"a minibatch of {self.batch} does not divide into {self.parts} parts")
        if self.schedule.kind == "plateau" and not self.data.validation:
            raise ValueError("the plateau rule decides on validation images: set data.validation")
        if self.stop_on == "exact" and not self.exact_error:
            raise ValueError(
                "stop_on is exact, and the exact error is not measured: set exact_error"
            )
        return self


def read_recipe(path: Path) -> Recipe:
    """Read a stored run's ``recipe.json``. Raises InputError if it is damaged."""
    try:
        return Recipe.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}): restore it or train the run again"
        ) from None
