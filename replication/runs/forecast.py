"""A forecast of what experiments would train, and how long that takes on this machine.

The hours follow from a probe: training steps on random images, for about ten seconds in all. They
are an upper estimate of the training alone. A run may stop at its target error or by its plateau
rule, a search may try fewer rates; loading and evaluating take a little more."""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from replication.base import paths
from replication.base.devices import best_device
from replication.base.disk import free_bytes
from replication.base.epochs import METRICS
from replication.base.errors import InputError
from replication.base.machine import is_busy
from replication.data.sources import catalog
from replication.data.sources.photographs import photographs_folder
from replication.data.splits import selected
from replication.nets.build import build
from replication.nets.summary import summary
from replication.recipe import CifarNetSpec, Data, Recipe
from replication.runs.places import writing_to
from replication.runs.store import Task
from replication.training.checkpoint import KEPT
from replication.training.distributed.group import SingleProcess
from replication.training.parameter_groups import optimiser_for
from replication.training.process.numerics import numerics
from replication.training.session import run_folder
from replication.training.step import Learner, update

PROBE_SECONDS = 10.0
PROBE_BATCH = 32  # images per step of the probe, at most
FORWARD = 1 / 3  # cost of a forward pass, in training steps on the same images
# training images of data sets that may not be here: their publications
IMAGES = {
    "synthetic": 1_600,
    "cifar10": 50_000,
    "tiny-imagenet": 100_000,
    "tiny-imagenet-100": 50_000,
    "ilsvrc2010": 1_261_406,
    "ilsvrc2012": 1_281_167,
}


class Share(NamedTuple):
    """The part of one experiment."""

    experiment: str
    profile: str
    runs: int
    stored: int  # of them, already in the results
    shared: int  # of the others, listed by an experiment before this one
    left_out: int  # of the others, not trained because the experiment shows stored runs only
    to_train: int
    hours: float | None  # of them; None: the number of their images is not known
    measured: bool  # it was measured before: a search then needs fewer runs than are listed


class Source(NamedTuple):
    """One data set that the experiments read."""

    name: str
    available: bool
    where: str  # its folder, or how to get it


class Forecast(NamedTuple):
    """The cost of everything that is not stored yet."""

    shares: tuple[Share, ...]
    sources: tuple[Source, ...]
    device: str
    disk_bytes: int  # of prepared images, checkpoints and weights, at most
    free_bytes: int
    busy: bool = False  # other programs used every core, so that training alone may be faster

    @property
    def hours(self) -> float | None:
        """The hours of all experiments; None if those of one are unknown."""
        each = [share.hours for share in self.shares if share.hours is not None]
        return math.fsum(each) if len(each) == len(self.shares) else None

    def dump(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "experiments": [share._asdict() for share in self.shares],
            "data": [source._asdict() for source in self.sources],
            "device": self.device,
            "hours": self.hours,
            "disk_bytes": self.disk_bytes,
            "free_bytes": self.free_bytes,
            "busy": self.busy,
        }

    def table(self) -> str:
        """Return the forecast as text."""
        width = max(len("experiment"), *(len(share.experiment) for share in self.shares))
        head = f"{'experiment':{width}}  {'runs':>5}  {'stored':>6}  {'to train':>8}  at most"
        lines = [head] + [
            f"{share.experiment:{width}}  {share.runs:>5}  {share.stored:>6}  {share.to_train:>8}"
            f"  {_time(share.hours)}"
            + (f" ({share.shared} more with an experiment above)" if share.shared else "")
            + (f" (only what is stored: {share.left_out} left out)" if share.left_out else "")
            + (" (a search may need fewer)" if share.measured and share.to_train else "")
            for share in self.shares
        ]
        pace = "; other programs use it now, which slowed this estimate" if self.busy else ""
        lines.append(f"together at most {_time(self.hours)} on this machine ({self.device}){pace}")
        for source in self.sources:
            state = "here" if source.available else "not here"
            lines.append(f"data: {source.name} is {state}, {source.where}")
        need, free = self.disk_bytes / 1e9, self.free_bytes / 1e9
        enough = "" if need <= free else "; the runs would be refused, so free some space"
        lines.append(
            f"disk: at most {need:.1f} GB more in {paths.runs()}, {free:.1f} GB are free{enough}"
        )
        return "\n".join(lines)


def forecast(
    plans: Mapping[str, Sequence[Task]],
    profile: str,
    seconds: float = PROBE_SECONDS,
    places: Mapping[str, str] | None = None,
    only_stored: Collection[str] = (),
    loaded: Collection[str] = (),
) -> Forecast:
    """Return the forecast for the tasks of experiments by name; the probe takes ``seconds``.

    ``places``: by experiment, the folder under ``results/`` to which it would write, if it is not
    the published one: runs on other images than the published ones are stored there or nowhere.
    ``only_stored``: experiments that show their stored runs and train nothing.
    ``loaded``: data sets that are read and not trained on, or folders of REPLICATION_DATA.
    """
    missing: dict[str, list[Task]] = {}
    counts = {}
    seen: set[str] = set()
    for name, tasks in plans.items():
        with writing_to((places or {}).get(name, "")):
            waiting = [task for task in tasks if not task.is_stored()]
        stored = len(tasks) - len(waiting)
        if name in only_stored:
            missing[name] = []
            counts[name] = len(tasks), stored, 0, len(waiting)
            continue
        missing[name] = [task for task in waiting if task.recipe.id not in seen]
        counts[name] = len(tasks), stored, len(waiting) - len(missing[name]), 0
        seen |= {task.recipe.id for task in tasks}
    recipes = [task.recipe for tasks in missing.values() for task in tasks]
    busy = bool(recipes) and is_busy()  # before the probe
    pace = _Pace(recipes, seconds)
    shares = tuple(
        Share(
            name, profile, *counts[name], len(tasks), _hours(tasks, pace), _measured(name, profile)
        )
        for name, tasks in missing.items()
    )
    trained = {task.recipe.data.name for tasks in plans.values() for task in tasks}
    sources = _sources(trained, set(loaded) - trained)
    disk = _disk_bytes(recipes), free_bytes(paths.runs())
    return Forecast(shares, sources, pace.device, *disk, busy)


def check_disk(tasks: Sequence[Task]) -> None:
    """Raise InputError if the runs that are not stored may need more disk than is free."""
    need = _disk_bytes([task.recipe for task in tasks if not task.is_stored()])
    if need > (free := free_bytes(paths.runs())):
        raise InputError(
            f"the runs may need {need / 1e9:.1f} GB in {paths.runs()}, where {free / 1e9:.1f} GB"
            " are free; free some space, or name a folder on another disk in REPLICATION_RUNS"
        )


def training_images(data: Data) -> int | None:
    """Return how many images a recipe trains on; None if that is not known here."""
    if data.count is not None:
        return data.count - data.validation
    try:
        return len(selected(data, "train")) - data.validation
    except InputError:
        if data.name not in IMAGES or data.classes is not None:
            return None
        return IMAGES[data.name] - data.validation


def images_to_train(recipe: Recipe) -> float | None:
    """Return the images that a run passes forward and backward, evaluations counted as part."""
    images = training_images(recipe.data)
    if images is None:
        return None
    metrics = run_folder(recipe) / METRICS
    done = len(metrics.read_text(encoding="utf-8").splitlines()) if metrics.is_file() else 0
    measured = recipe.data.validation + (images if recipe.exact_error else 0)
    epoch = images // recipe.batch * recipe.batch + FORWARD * measured
    return max(0, recipe.epochs - done) * epoch


class _Pace:
    """Seconds per image of each net: measured, or scaled by multiply-adds from one that was."""

    def __init__(self, recipes: Sequence[Recipe], seconds: float) -> None:
        self.device = best_device()
        self.measured: dict[str, float] = {}
        self.operations: dict[str, int] = {}
        work: dict[str, float] = {}
        example: dict[str, Recipe] = {}
        for recipe in recipes:
            key = _kind(recipe)
            example.setdefault(key, recipe)
            work[key] = work.get(key, 0.0) + (images_to_train(recipe) or 0.0)
        for key, recipe in example.items():
            self.operations[key] = summary(recipe.net).total.multiply_adds
        deadline = time.monotonic() + seconds
        each = seconds / max(1, len(work))
        for key in sorted(work, key=work.__getitem__, reverse=True):
            if self.measured and time.monotonic() >= deadline:
                break  # the most costly ones are measured
            self.measured[key] = _seconds_per_image(example[key], self.device, each)

    def seconds(self, recipe: Recipe) -> float:
        """Return the seconds that one image of a training step takes."""
        key = _kind(recipe)
        if key not in self.measured:
            mine = self.operations[key]
            near = min(self.measured, key=lambda one: abs(math.log(self.operations[one] / mine)))
            return self.measured[near] * mine / self.operations[near]
        return self.measured[key]


def _kind(recipe: Recipe) -> str:
    """Return the kind of a run; runs of one kind take the same time per image."""
    net = recipe.net.model_dump_json(exclude={"init", "fidelity", "ones"})
    return f"{net} {recipe.data.side} {recipe.precision}"


def _seconds_per_image(recipe: Recipe, device: str, seconds: float) -> float:
    """Time training steps on random images for about ``seconds``; the first is not counted."""
    classes = 10 if isinstance(recipe.net, CifarNetSpec) else recipe.net.classes
    net = build(recipe, classes).to(device, memory_format=torch.channels_last).train()
    learner = Learner(recipe, net, optimiser_for(recipe, net), SingleProcess())
    batch, side = min(recipe.batch, PROBE_BATCH), recipe.data.side
    images = torch.randn(batch, 3, side, side, device=device)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)

    def step() -> None:
        update(learner, images, labels).item()  # waits for a GPU

    with numerics(recipe):
        start = time.monotonic()
        step()  # allocates, and chooses kernels
        begin, count = time.monotonic(), 0
        while not count or time.monotonic() - start < seconds:
            step()
            count += 1
        return (time.monotonic() - begin) / (count * batch)


def _hours(tasks: Sequence[Task], pace: _Pace) -> float | None:
    seconds = 0.0
    for task in tasks:
        images = images_to_train(task.recipe)
        if images is None:
            return None
        seconds += images * pace.seconds(task.recipe)
    return seconds / 3600


def _measured(experiment: str, profile: str) -> bool:
    return (paths.results() / profile / experiment / paths.MEASUREMENTS).is_file()


def _sources(trained: set[str], loaded: set[str]) -> tuple[Source, ...]:
    rows = {row["name"]: row for row in catalog.listing()}
    sources = []
    for name in sorted(trained | loaded):
        if name == "synthetic":
            sources.append(Source(name, True, "embedded in the package"))
        elif name in rows:
            row = rows[name]
            sources.append(Source(name, bool(row["where"]), row["where"] or row["how"]))
        elif name in loaded and (place := photographs_folder(name)) is not None:
            where = "" if place.is_dir() else "its folder of photographs would be "
            sources.append(Source(name, place.is_dir(), f"{where}{place}"))
        else:
            folder = catalog.folder_of(name)
            if folder is None:
                catalog.find(name)  # raises InputError that suggests the nearest name
            here = folder is not None and folder.is_dir()
            about = "a folder of your own" if here else "name a folder that exists"
            sources.append(Source(name, here, about))
    return tuple(sources)


def _disk_bytes(recipes: Sequence[Recipe]) -> int:
    """Return the bytes of prepared images and of every run's checkpoints and weights."""
    stored = {
        (recipe.data.name, recipe.data.size, recipe.data.count): recipe.data
        for recipe in recipes
        if recipe.data.files == "raw"
    }
    prepared = sum(
        ((training_images(data) or 0) + data.validation) * 3 * data.size**2
        for data in stored.values()
    )
    return prepared + 4 * sum(
        _copies(recipe) * summary(recipe.net).total.parameters for recipe in recipes
    )


def _copies(recipe: Recipe) -> int:
    """Return how many copies of a run's parameters are on the disk at one time, at most.

    A checkpoint has the velocities too. One is written before the oldest is removed, and a run with
    validation images also keeps the best."""
    checkpoints = KEPT + 1 + bool(recipe.data.validation)
    kept = sum(epoch <= recipe.epochs for epoch in recipe.keep_after)
    return 2 * checkpoints + kept + 1


def _time(hours: float | None) -> str:
    if hours is None:
        return "unknown, for lack of the data"
    if hours == 0:
        return "nothing"
    if hours > 48:
        return f"{hours / 24:,.0f} days"
    return f"{hours:.1f} h" if hours >= 1 else f"{math.ceil(60 * hours)} min"
