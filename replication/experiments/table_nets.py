"""The nets of Tables 1 and 2: the notebook's parameters, each net's recipe, and all runs."""

from dataclasses import replace
from typing import Any

from pydantic import Field, model_validator

from replication.base.models import Frozen
from replication.base.types import Profile
from replication.data.splits import has_both
from replication.experiments.common.baselines import baseline, task
from replication.experiments.common.comparison import VIEWS, Seeds
from replication.experiments.common.table_gains import (
    FALL,
    LARGER,
    LONG,
    ONE,
    PRE,
    SIX,
    run_name,
)
from replication.recipe import Recipe, Steps, Timeline
from replication.runs.store import Task
from replication.training.schedule import LOGS

EXPERIMENT = "tables"
EVALUATED = (("test", 1), ("test", VIEWS))
# times the rate in the new last layer of a fine-tuned net; net 146 had 0.01 there and 0.001
# elsewhere at first
NEW_LAYER = 10.0


class Settings(Frozen):
    """The notebook's parameters. The runs are described in ``experiments.common.baselines``."""

    profile: Profile
    seeds: Seeds  # of Table 1's net
    target: str  # Table 2's data set
    target_classes: int = Field(ge=0)  # number of its classes; 0: all
    target_count: int = Field(ge=0)  # training images, those held out included; 0: all
    target_validation: int = Field(ge=0)  # of these, held out
    target_epochs: int = Field(ge=1)
    # epochs after which the rate drops; (): as in the log of run 145 of 2012, scaled to
    # target_epochs
    target_drops: tuple[int, ...]
    # the data set with more labels, to train on first; "": none, and pre-training is not run
    larger: str
    # Fall 2009, of which one half is trained on and the other held out, for section 6's net with a
    # sixth layer on 10,184 classes; "": not available, and ``larger`` replaces it
    fall2009: str = ""
    fine_epochs: int = Field(ge=1)
    fine_drops: tuple[int, ...]
    fine_rate: float = Field(gt=0)
    groups: int = Field(ge=1)  # independent averages
    members: int = Field(ge=2)  # nets in an average, five in Table 2
    pretrained: int = Field(ge=0)  # pre-trained nets in an average, two in Table 2
    # epochs of the six-layer net with as many updates as a pre-trained one; 0: no controls
    control_epochs: int = Field(0, ge=0)
    unused: bool = (
        False  # evaluate on the target's training images that ``target_count`` leaves out
    )
    only_stored: bool = False  # show what is stored so far, and train nothing
    jobs: int = Field(1, ge=1)  # training processes at a time

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.pretrained > self.members:
            raise ValueError(
                f"pretrained is {self.pretrained}; each pre-trained net is paired with one of the"
                f" {self.members} members"
            )
        if self.unused and not self.target_count:
            raise ValueError("unused needs a target_count that leaves images out")
        return self

    def seeds_of(self, group: int) -> range:
        """Return the seeds of a group's members.

        The first ``pretrained`` of them are those of its pre-trained nets.
        """
        return range(group * self.members, (group + 1) * self.members)


def recipe(settings: Settings, model: str, seed: int) -> Recipe:
    """Return the recipe of one net of Table 2.

    ``model``: ``ONE``, ``LARGER`` (pre-training alone), ``PRE`` (fine-tuned from it), ``SIX`` and
    ``LONG`` (its controls) or ``FALL``.
    """
    data = {
        "name": settings.target,
        "classes": settings.target_classes or None,
        "count": settings.target_count or None,
        "validation": settings.target_validation,
    }
    sixth = {"sixth_conv": True}
    if model == FALL:
        return baseline(settings.profile, seed, data=_whole(settings, settings.fall2009), net=sixth)
    if model == ONE:
        return baseline(
            settings.profile,
            seed,
            data=data,
            **_length(settings.target_epochs, settings.target_drops),
        )
    if model in (SIX, LONG):
        epochs = settings.target_epochs if model == SIX else settings.control_epochs
        drops = tuple(
            round(drop * epochs / settings.target_epochs) for drop in settings.target_drops
        )
        return baseline(settings.profile, seed, data=data, net=sixth, **_length(epochs, drops))
    first = baseline(settings.profile, seed, data=_whole(settings, settings.larger), net=sixth)
    if model == LARGER:
        return first
    update = {"rate": settings.fine_rate, "layer_rates": {"fc8": NEW_LAYER}}
    length = _length(settings.fine_epochs, settings.fine_drops)
    return baseline(
        settings.profile, seed, data=data, net=sixth, update=update, init_from=first.id, **length
    )


def _whole(settings: Settings, name: str) -> dict[str, Any]:
    """Return the changes of the baseline's data that train on the data set ``name`` instead.

    The baseline's number of held-out images is one for its own classes, and cannot be divided among
    others. Nothing is decided on them."""
    own = name == baseline(settings.profile).data.name
    return {"name": name} if own else {"name": name, "validation": 0}


def _length(epochs: int, drops: tuple[int, ...]) -> dict[str, Any]:
    if not drops:
        return {"epochs": epochs, "schedule": Timeline(kind="timeline", name="145")}
    log = LOGS["145-2010"]
    return {
        "epochs": epochs,
        "schedule": Steps(
            kind="steps", after=drops, colour_off=round(epochs * log.conv1_cut / log.stop)
        ),
    }


def tasks(settings: Settings) -> list[Task]:
    """Return the runs of Table 1, then those of Table 2, and the controls.

    Each pre-training comes before its fine-tuning.
    """
    first = [_table1(settings, seed) for seed in settings.seeds]
    one = [_task(settings, ONE, seed) for seed in _seeds(settings)]
    tuned = [
        _task(settings, model, seed)
        for seed in _pretrained_seeds(settings)
        for model in (LARGER, PRE)
    ]
    return [*first, *one, *tuned, *_fall2009(settings), *control_tasks(settings)]


def control_tasks(settings: Settings) -> list[Task]:
    """Return the runs of the nets that pre-training is compared with, seed by seed."""
    if not settings.control_epochs:
        return []
    return [
        _task(settings, model, seed)
        for seed in _pretrained_seeds(settings)
        for model in (SIX, LONG)
    ]


def _fall2009(settings: Settings) -> list[Task]:
    seeds = settings.seeds if settings.fall2009 else ()
    return [_task(settings, FALL, seed) for seed in seeds]


def _seeds(settings: Settings) -> list[int]:
    return [seed for group in range(settings.groups) for seed in settings.seeds_of(group)]


def _pretrained_seeds(settings: Settings) -> list[int]:
    """Return the seeds of the nets pre-trained on the larger set; [] if there is no such set."""
    if not settings.larger:
        return []
    return [
        seed
        for group in range(settings.groups)
        for seed in settings.seeds_of(group)[: settings.pretrained]
    ]


def _table1(settings: Settings, seed: int) -> Task:
    """Return the baseline's run, with the validation set evaluated if the data has one.

    In that case it is trained on every training image, because nothing is decided on held-out ones.
    """
    baseline_task = replace(task(settings.profile, "baseline", seed), keep_probabilities=True)
    if not has_both(baseline_task.recipe.data.name):
        return baseline_task
    data = baseline_task.recipe.data.model_copy(update={"validation": 0})
    evaluations = [one for one in baseline_task.evaluate if one[0] != "validation"]
    return replace(
        baseline_task,
        recipe=baseline_task.recipe.model_copy(update={"data": data}),
        evaluate=(*evaluations, ("val", VIEWS)),
    )


def _task(settings: Settings, model: str, seed: int) -> Task:
    on_target = model not in (LARGER, FALL)
    return Task(
        settings.profile,
        EXPERIMENT,
        run_name(model, seed),
        recipe(settings, model, seed),
        EVALUATED + ((("unused", 1),) if settings.unused and on_target else ()),
        keep_probabilities=model in (ONE, PRE),  # the nets that averages are of
    )
