"""The description of one training run: frozen, validated, and hashed into the run's id.

Everything that decides a run's numbers is here, and nothing else: not the folder, the device or the number of threads, which
go into its provenance. The id is a hash over the fields that differ from their defaults, so an option that is added later with
"as before" for its default leaves the old ids alone. A default, once published, never changes.
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """A value object: unknown keys, NaN and infinity are refused, and nothing can be changed after it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Frozen):
    """Which images, and what is done to them before the net."""

    name: str  # a name of the catalog
    count: int | None = Field(None, ge=1)  # this many training images, the same number of each class; None: all
    size: int = Field(256, ge=8)  # side of the stored square image, section 2
    mean: Literal["image", "none"] = "image"  # what is subtracted: the training set's mean image, section 2
    scale: float = Field(1.0, gt=0)  # the images are multiplied by it after that; 1 keeps the paper's 0-255


class CifarNet(Frozen):
    """One of the released cuda-convnet nets for CIFAR-10."""

    family: Literal["cifar"] = "cifar"
    name: Literal["80sec", "19pct", "18pct", "conv-local-13pct", "conv-local-11pct"] = "19pct"
    activation: Literal["relu", "tanh", "logistic", "abs_tanh"] = "relu"
    init: Literal["source2012", "fan_in"] = "source2012"


class AlexNet(Frozen):
    """The net of section 3 and its variants; the defaults are the paper's two-GPU net. Built by ``nets.alexnet``."""

    family: Literal["alexnet"] = "alexnet"
    fidelity: Literal["paper", "source2012"] = "paper"  # where the paper and the released source differ: which of them
    towers: Literal[1, 2] = 2  # 2: section 3.2's two GPUs; 1: the one-GPU net of its footnote 2
    activation: Literal["relu", "tanh", "logistic", "abs_tanh"] = "relu"  # section 3.1
    lrn: bool = True  # section 3.3
    pooling: Literal["overlapping", "non_overlapping"] = "overlapping"  # section 3.4: z = 3, s = 2, or z = s = 2
    dropout: bool = True  # section 4.2
    removed: Literal["conv2", "conv3", "conv4", "conv5"] | None = None  # section 7; the next layer reads what this one read
    sixth_conv: bool = False  # section 6, the nets of Fall 2009 and Fall 2011
    classes: int = Field(1000, ge=2)
    side: Literal[224, 56, 24] = 224  # of the input; 56 (crops of 64) and 24 (crops of 32) have a smaller first layer
    width: float = Field(1.0, gt=0, le=4)  # times the paper's number of maps and of hidden units

    @property
    def deviations(self) -> tuple[str, ...]:
        """What makes this net another than the paper's for the sake of cost, one sentence each; the paper's variants are none."""
        found = []
        if self.side != 224:
            found.append(f"The input is {self.side} x {self.side} instead of 224 x 224, with 5 x 5 kernels in conv1 instead of 11 x 11.")
        if self.width != 1:
            found.append(f"Maps and hidden units are {self.width:g} times the paper's.")
        return tuple(found)


class Update(Frozen):
    """The constants of the paper's update rule (section 5)."""

    rate: float = Field(gt=0)
    bias_rate_factor: float = Field(1.0, gt=0)  # the released files train biases at twice the weights' rate
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0005, ge=0)  # on weights; biases have none


class Recipe(Frozen):
    """One training run."""

    data: Data
    net: Annotated[CifarNet | AlexNet, Field(discriminator="family")]
    update: Update
    batch: int = Field(128, ge=1)
    epochs: int = Field(ge=1)  # at most this many
    stop_error: float | None = Field(None, gt=0, lt=1)  # stop after the first epoch whose running training error is at most this
    exact_error: bool = False  # measure the error over the whole training set after each epoch too
    seed: int = Field(0, ge=0)

    @property
    def id(self) -> str:
        """Ten hex digits that name this recipe."""
        changed = self.model_dump(mode="json", exclude_defaults=True)
        changed["net"]["family"] = self.net.family  # a default, but it tells the families apart
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:10]
