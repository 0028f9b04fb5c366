"""Section 3.3's trainings on CIFAR-10: the arms, their recipes, and the order of the runs.

Fixed on 26 November 2026, before the first of these nets was trained on all 50,000 images: the
lengths, 65 and 208 epochs, are an eighth and two fifths of the released recipe's 520, which is what
two CPU cores can carry. They were not chosen from a trial on validation images. Products are bf16
at the paper's scale, in every arm alike: on a processor that has them a run takes half the time.
That too was fixed before the first run, on the same day.

Changed on 26 November 2026, after two of the nets of 65 epochs had been seen on three seeds, and
before any longer one was trained: the long nets take the released recipe's own 520 epochs, on seeds
0 to 2, because a GPU was available. After those had been seen, the 13% net was added to them,
because its error at that length is the paper's other number.

Changed on 27 November 2026, before a net was trained so: the 13% net is also trained for the 160
epochs that its author describes on the page Methodology of the site to which the paper refers
(code.google.com/p/cuda-convnet, in the copy of mbrukman/cuda-convnet). The earlier version of the
11% net, which differs from the 13% net in the normalisations alone, is trained for as many epochs,
and both nets for the 470 that the earlier version's file asks for (dnouri/cuda-convnet at 3878e8f).
The page and the file were found after the nets of 65 epochs and the pair of 520 had been seen, and
before the 13% net was trained for 520.

Changed on the same day, after the 13% net had been trained for 160 epochs on all images (12.04%),
and before a net was trained so: the 13% net is also trained in the two parts that its author
describes, 100 epochs on four fifths of the images and then 60 on all of them. Differences from his
training are left. He ended each part by a rule and says "roughly" of its epochs. The fifth is drawn
evenly from the classes and is not the file that he held out. The second part begins without the
velocities of the first, and draws the same crops and reflections again. Minibatches are shuffled,
and products are bf16.
"""

import re
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from replication.base import paths
from replication.base.models import Frozen
from replication.base.text import counted
from replication.base.types import Profile
from replication.data.augment.views import GRID
from replication.experiments.common.comparison import VIEWS, MoreSeeds, Seeds, some_of
from replication.experiments.common.contract import settings_of
from replication.experiments.common.gains import mean_gains
from replication.recipe import CifarNetSpec, Constant, Data, Precision, Recipe, Steps, Update
from replication.runs.facts import GAINS, kept, known
from replication.runs.store import Run, Task
from replication.runs.workers import Workers

EXPERIMENT = "lrn_cifar"
STAGE = "norms on CIFAR-10"  # of the campaign, which trains the nets at the paper's scale
SIZE, CROP = 32, 24  # cuda-convnet's border of 4
# epochs of the released recipe at the rate, at a tenth and at a hundredth of it, added up
STAGES = (500, 510, 520)
# the same of the 13% net: about 100 on four fifths of the images and 40 on all, then 10 and 10
SHORT_STAGES = (140, 150, 160)
# and of the earlier 11% net: about 300 on four fifths of the images and 150 on all, then 10 and 10
EARLIER_STAGES = (450, 460, 470)
# the 13% net's in the author's two parts: on four fifths of the images, then on all
FIRST_EPOCHS, SECOND_STAGES = 100, (40, 50, 60)
FIFTHS = 5
LEAST = len(STAGES)  # epochs of a run: each stage has one or more
WITH, WITHOUT, RELEASED = "with norms", "norms removed", "as released"
GAIN = "norms as constant gains"
ARMS = (WITH, WITHOUT, RELEASED, GAIN)
PAIR = (WITH, WITHOUT)  # differ in the normalisations alone
# two nets, which differ in the normalisations alone, in the training of each
OWN, RELEASED_LONGER = f"{RELEASED}, own training", f"{RELEASED}, 470 epochs"
FIRST_PART, IN_TWO_PARTS = f"{RELEASED}, four fifths of the images", f"{RELEASED}, in two parts"
AUTHORS_PARTS = (FIRST_PART, IN_TWO_PARTS)  # the second begins with the weights of the first
EARLIER = "earlier 11% net"
EARLIER_SHORT, EARLIER_OWN = f"{EARLIER}, 160 epochs", f"{EARLIER}, own training"
LONG = (*PAIR, RELEASED)  # trained over ``long_epochs`` too: the pair, then the paper's other net
PARTS = (8, 4, 2)  # of the first stage: an eighth, a quarter and a half of it
UNKNOWN = (1.0, 1.0)  # gains in a plan, until they are measured
NETS = {  # arm -> its net, except for ``GAIN``, whose constants are measured
    WITH: CifarNetSpec(name="conv-local-11pct"),
    WITHOUT: CifarNetSpec(name="conv-local-11pct", norms=False),
    RELEASED: CifarNetSpec(name="conv-local-13pct"),
}
# net and epochs of each stage's end; every other arm has the stages of ``STAGES``, scaled
TRAININGS = {
    OWN: (NETS[RELEASED], SHORT_STAGES),
    EARLIER_SHORT: (CifarNetSpec(name="conv-local-11pct-earlier"), SHORT_STAGES),
    EARLIER_OWN: (CifarNetSpec(name="conv-local-11pct-earlier"), EARLIER_STAGES),
    RELEASED_LONGER: (NETS[RELEASED], EARLIER_STAGES),
    IN_TWO_PARTS: (NETS[RELEASED], SECOND_STAGES),  # the second part; it begins with the first
}
# What the author's page prints of the 13% net's training: the loss (nats) and error on each of four
# files of 10,000 training images, when it had passed 100 epochs of 40,000, and at the end the error
# on the test images over ten views. The training numbers are over crops, before each update.
PRINTED_LOSS = (0.418657, 0.405222, 0.419132, 0.394249)
PRINTED_ERROR = (0.1458, 0.1411, 0.1454, 0.1371)
PRINTED_TEST_ERROR = 0.126
# the training images, and the epochs of ``OWN`` with as many as the author's 100 had
PRINTED_IMAGES, PRINTED_AFTER = 50_000, 80
LOCAL = {"conv1": 0.0, "conv2": 0.0, "local3": 0.004, "local4": 0.004}
# layer-params-conv-local-*.cfg
DECAYS = {
    "conv-local-13pct": LOCAL | {"fc10": 0.004},
    "conv-local-11pct-earlier": LOCAL | {"fc10": 0.004},
    "conv-local-11pct": LOCAL | {"fc10": 0.01},
}
AT_END = (("train", 1), ("test", 1), ("test", VIEWS))
AT_STAGES = (*AT_END, ("test", GRID))


class Settings(Frozen):
    """The notebook's parameters."""

    profile: Profile
    data: str
    count: int = Field(ge=0)  # training images; 0: all
    batch: int = Field(ge=1)
    epochs: int = Field(ge=LEAST)
    rate: float = Field(gt=0)
    precision: Precision = "float32"  # of the products in training
    seeds: Seeds
    arms: Annotated[tuple[str, ...], Field(min_length=1), some_of("arm", ARMS)] = (
        WITH,
        WITHOUT,
        RELEASED,
    )
    gain_seed: int = Field(100, ge=0)  # of the net whose normalisations' mean gains are taken
    every_stage: bool = False  # also test on nine views, and on the way through the schedule
    long_epochs: int = Field(0, ge=0)  # the clean comparison also at this length; 0: no
    long_seeds: MoreSeeds = ()
    own_seeds: MoreSeeds = ()  # of the 13% net, trained as its author describes it
    earlier_seeds: MoreSeeds = ()  # of the other ``TRAININGS``
    only_stored: bool = False  # show what has been run so far, and train nothing
    jobs: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.gain_seed in (
            *self.seeds,
            *self.long_seeds,
            *self.own_seeds,
            *self.earlier_seeds,
        ):
            raise ValueError("gain_seed must not be a reporting seed")
        if self.long_epochs == self.epochs:
            raise ValueError("long_epochs equals epochs; set it to another length, or to 0")
        if 0 < self.long_epochs < LEAST:
            raise ValueError(f"long_epochs is {self.long_epochs}; set it to {LEAST} or more, or 0")
        own = {TRAININGS[name][1][-1] for name in own_trainings(self)}
        own |= {FIRST_EPOCHS} if self.own_seeds else set()
        if own & {self.epochs, self.long_epochs}:
            raise ValueError(
                "epochs and long_epochs must differ from the lengths of the own trainings:"
                f" {', '.join(map(str, sorted(own)))}"
            )
        if bool(self.long_epochs) != bool(self.long_seeds):
            raise ValueError("long_epochs and long_seeds need one another; set both, or neither")
        return self


settings = settings_of(Settings, EXPERIMENT)


def recipe(
    settings: Settings,
    variant: str,
    seed: int,
    epochs: int | None = None,
    gains: tuple[float, ...] = (),
) -> Recipe:
    """Return the released recipe with its three stages scaled to ``epochs``.

    Biases learn at twice the rate, as in the released files. ``gains``: of ``GAIN``. An arm of
    ``TRAININGS`` has its own stages.
    """
    if variant == FIRST_PART:
        return _first_part(settings, seed)
    if variant in TRAININGS:
        net, (*after, epochs) = TRAININGS[variant]
    else:
        epochs = epochs or settings.epochs
        after = stages(epochs)
        net = NETS[WITH].model_copy(update={"gains": gains}) if variant == GAIN else NETS[variant]
    return Recipe(
        data=Data(
            name=settings.data, count=settings.count or None, size=SIZE, crop=CROP, augment=True
        ),
        net=net,
        update=Update(rate=settings.rate, bias_rate_factor=2.0, layer_decays=DECAYS[net.name]),
        schedule=Steps(kind="steps", after=tuple(after)),
        batch=settings.batch,
        epochs=epochs,
        keep_after=kept_epochs(*after) if settings.every_stage else (),
        precision=settings.precision,
        init_from=_first_part(settings, seed).id if variant == IN_TWO_PARTS else None,
        seed=seed,
    )


def _first_part(settings: Settings, seed: int) -> Recipe:
    """Return the first part of ``IN_TWO_PARTS``: at the full rate, a fifth of the images held out.

    Nothing is decided on them: the length is the author's."""
    whole = recipe(settings, OWN, seed)
    held_out = (settings.count or PRINTED_IMAGES) // FIFTHS
    return whole.model_copy(
        update={
            "data": whole.data.model_copy(update={"validation": held_out}),
            "schedule": Constant(kind="constant"),
            "epochs": FIRST_EPOCHS,
            "keep_after": (),
        }
    )


def stages(epochs: int) -> tuple[int, int]:
    """Return the epochs after which the rate drops, scaled to ``epochs`` in all.

    They are those of the released recipe; each stage is at least one epoch long.
    """
    second = min(epochs - 1, round(epochs * STAGES[1] / STAGES[2]))
    return min(second - 1, round(epochs * STAGES[0] / STAGES[2])), second


def kept_epochs(first: int, second: int) -> tuple[int, ...]:
    """Return the epochs after which the weights are kept, besides the last, ascending.

    They are parts of the first stage, and the ends of the first two.
    """
    return tuple(sorted({*(max(1, first // part) for part in PARTS), first, second}))


def plan(settings: Settings) -> str:
    """Describe what will be run."""
    first, second = stages(settings.epochs)
    arms, seeds = len(settings.arms), len(settings.seeds)
    longer = (
        f"\nthe longer training, {counted(settings.long_epochs, 'epoch')}: {', '.join(LONG)}"
        f" on seeds {', '.join(map(str, settings.long_seeds))}"
    )
    own = "".join(
        f"\n{name}: {_first_epochs(name)}{TRAININGS[name][1][-1]} epochs, seeds"
        f" {', '.join(map(str, seeds))}"
        for name, seeds in own_trainings(settings).items()
    )
    return (
        f"{counted(arms, 'net')} on seeds {', '.join(map(str, settings.seeds))}:"
        f" {counted(arms * seeds, 'run')}, {counted(settings.epochs, 'epoch')} each\nlearning rate"
        f" {settings.rate:g}, a tenth of it after epoch {first}, a hundredth after epoch {second}"
        + (longer if settings.long_epochs else "")
        + own
    )


def _first_epochs(variant: str) -> str:
    return f"{FIRST_EPOCHS} + " if variant == IN_TWO_PARTS else ""


def task(
    settings: Settings, variant: str, seed: int, epochs: int = 0, gains: tuple[float, ...] = ()
) -> Task:
    """Return the run of an arm and its place; its name gives a length that is not the usual."""
    length = f"-{epochs}-epochs" if epochs else ""
    name = f"{re.sub('[^a-z0-9]+', '-', variant)}{length}-seed{seed}"
    wanted = recipe(settings, variant, seed, epochs or None, gains)
    evaluate = AT_STAGES if settings.every_stage else AT_END
    return Task(settings.profile, EXPERIMENT, name, wanted, evaluate)


def tasks(settings: Settings, gains: tuple[float, ...] = ()) -> list[Task]:
    """Return the runs in the order in which they are worth having.

    Seed by seed and net by net, the net of ``gain_seed`` before the first that needs it, then the
    long ones. ``gains``: of ``GAIN``, known after the run of ``gain_seed`` only.
    """
    listed = []
    for seed in settings.seeds:
        for variant in settings.arms:
            if variant == GAIN and seed == settings.seeds[0]:
                listed.append(_gain_task(settings))
            listed.append(task(settings, variant, seed, gains=gains or UNKNOWN))
    long = partial(task, settings, epochs=settings.long_epochs)
    listed += [long(variant, seed) for seed in settings.long_seeds for variant in PAIR]
    for variant, seeds in own_trainings(settings).items():
        parts = AUTHORS_PARTS if variant == IN_TWO_PARTS else (variant,)
        listed += [task(settings, part, seed) for part in parts for seed in seeds]
    return listed + [long(RELEASED, seed) for seed in settings.long_seeds]


def own_trainings(settings: "Settings") -> dict[str, MoreSeeds]:
    """Return the seeds of those ``TRAININGS`` that have any, the most useful first."""
    seeds = {
        name: settings.own_seeds if name in (OWN, IN_TWO_PARTS) else settings.earlier_seeds
        for name in TRAININGS
    }
    return {name: of for name, of in seeds.items() if of}


def _gain_task(settings: Settings) -> Task:
    """Return the run of the net whose normalisations' mean gains are taken."""
    return task(settings, WITH, settings.gain_seed)


def train(settings: Settings, workers: Workers) -> list[Run]:
    """Train or load every net on every seed, in the order of ``tasks``."""
    gains = ()
    if GAIN in settings.arms:
        listed = tasks(settings)
        workers.all(listed[: listed.index(_gain_task(settings)) + 1])
        gains = measured_gains(settings)
    listed = tasks(settings, gains)
    workers.all([one for one in listed if not one.recipe.init_from])
    return workers.all(listed)


def measured_gains(settings: Settings) -> tuple[float, ...]:
    """Return the mean gains of the normalisations of the net trained on ``gain_seed``.

    They are stored, because they need its weights.
    """
    recipe = _gain_task(settings).recipe
    facts = kept(_gains_file(settings), recipe.id, lambda: {"gains": list(mean_gains(recipe))})
    return tuple(facts["gains"])


def stored_gains(settings: Settings) -> tuple[float, ...]:
    """Return the gains that ``measured_gains`` has stored; () if it has not."""
    facts = known(_gains_file(settings))
    return tuple(facts.get(_gain_task(settings).recipe.id, {"gains": ()})["gains"])


def _gains_file(settings: Settings) -> Path:
    return paths.experiment(settings.profile, EXPERIMENT) / GAINS


def variant_of(recipe: Recipe) -> str:
    """Return the arm of a recipe."""
    if recipe.net.gains:
        return GAIN
    if recipe.data.validation:
        return FIRST_PART
    for name, (net, (*after, epochs)) in TRAININGS.items():
        stages_of = Steps(kind="steps", after=tuple(after))
        if (recipe.net, recipe.schedule, recipe.epochs) == (net, stages_of, epochs):
            return name
    return next(name for name, net in NETS.items() if net == recipe.net)
