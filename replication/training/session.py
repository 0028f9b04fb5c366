"""One run from a recipe alone: opens its images, its net and its folder, trains, closes them.

The run is the same on one device, on two (a tower on each), and on the ranks of torchrun."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from replication.base import paths
from replication.base.code import code_digest
from replication.base.devices import check_device, described
from replication.base.errors import InputError
from replication.base.locks import held, locked
from replication.base.text import counted, printable
from replication.data.files import unchanged
from replication.data.loader import Loaders, open_loaders
from replication.nets.alexnet import AlexNet
from replication.nets.build import build
from replication.nets.towers import on_devices
from replication.recipe import Recipe
from replication.training.distributed import exchange, ranks
from replication.training.distributed.group import ProcessGroup
from replication.training.distributed.shared_loader import SharedLoader
from replication.training.process.machine import limit_threads, note_machine
from replication.training.run import DEFAULTS, Options, Report
from replication.training.trainer import Outcome, train


def run_folder(recipe: Recipe) -> Path:
    """Return the folder of a run's checkpoints, progress and weights."""
    return paths.runs() / recipe.id


def is_rank() -> bool:
    """Return whether torchrun started this process together with others."""
    return ranks.world_size() > 1


def is_first() -> bool:
    """Return whether this process reports for all ranks."""
    return not is_rank() or os.environ["RANK"] == "0"


def session(
    recipe: Recipe,
    report: Report,
    devices: Sequence[str] = ("cpu",),
    workers: int = 0,
    options: Options = DEFAULTS,
) -> Outcome:
    """Train ``recipe`` to its end in its folder; ``workers`` are those of the loaders.

    Every rank calls this, with the one device that ``ranks.join`` takes. Raises InputError if
    another process trains the recipe."""
    if is_rank():
        if len(devices) != 1:
            raise InputError(
                f"{len(devices)} devices and ranks of torchrun: each rank has one device; use"
                " --devices cuda or cpu"
            )
        # one rank of a machine prepares the images, and the others find them
        with held(paths.runs() / "prepare.lock"):
            open_loaders(recipe).close()
        place = ranks.join(devices[0])
        try:
            return _as_rank(recipe, report, place, workers, options)
        finally:
            ranks.leave()
    chosen = [check_device(name) for name in devices]
    if chosen[0].type == "cuda" and chosen[0].index is not None:
        torch.cuda.set_device(chosen[0])  # where streams and graphs are made
    folder = run_folder(recipe)
    with locked(folder, f"the recipe {recipe.id}"):
        limit_threads()
        note_machine(folder, report)
        loaders = open_loaders(recipe, chosen[0], workers=workers)
        try:
            _check_images(recipe, loaders)
            _same_images(recipe, loaders)
            net = _placed(build(recipe, len(loaders.training.classes)), chosen)
            named, threads = ",".join(map(described, chosen)), torch.get_num_threads()
            report(
                f"run {recipe.id}, seed {recipe.seed}, {named}, {counted(threads, 'thread')}, in"
                f" {folder}"
            )
            return train(recipe, net, loaders, folder, report, options)
        finally:
            loaders.close()


def _as_rank(
    recipe: Recipe, report: Report, place: ranks.Ranks, workers: int, options: Options
) -> Outcome:
    if recipe.net.family != "alexnet":
        raise InputError(
            "ranks are the towers of an AlexNet; train this net in one process, without torchrun"
        )
    group, folder = ProcessGroup(place), run_folder(recipe)
    with ExitStack() as stack:
        if group.is_main:
            stack.enter_context(locked(folder, f"the recipe {recipe.id}"))
        else:
            report = _silent
            options = replace(options, watch=None, on_epoch=None)
        loaders = open_loaders(
            recipe, place.device, workers=workers, share=place.share(recipe.batch)
        )
        stack.callback(loaders.close)
        group.compare(_facts(recipe, loaders))
        _check_images(recipe, loaders)
        if group.is_main:
            _same_images(recipe, loaders)
        report(
            f"run {recipe.id}, seed {recipe.seed}, {2 * place.copies} ranks,"
            f" {described(place.device)}{', all on one card' if place.staged else ''}, in {folder}"
        )
        loaders = share_loaders(loaders, place)
        net = exchange.on_ranks(build(recipe, len(loaders.training.classes)), place)
        return train(recipe, net, loaders, folder, report, options, group)


def share_loaders(loaders: Loaders, place: ranks.Ranks) -> Loaders:
    """Return the loaders of this rank.

    A pair prepares each batch once, and each copy measures its part of a split."""
    for loader in (loaders.training, loaders.validation):
        if loader is not None:
            loader.shard = (place.copy, place.copies)
    return Loaders(
        SharedLoader(loaders.training, place),
        None if loaders.validation is None else SharedLoader(loaders.validation, place),
        loaders.statistics,
    )


def _facts(recipe: Recipe, loaders: Loaders) -> dict[str, str]:
    """Return what all ranks must have in common before the first step."""
    facts = {
        "code": code_digest(),
        "torch": torch.__version__,
        "recipe": recipe.model_dump_json(),
        "pipeline": loaders.training.backend,
    }
    for name, loader in (("training", loaders.training), ("validation", loaders.validation)):
        if loader is not None:
            facts[f"list of {name} images"] = loader.fingerprint
            facts[f"list of {name} labels"] = _digest(loader.index.labels, loader.index.ids)
    if loaders.statistics is not None:
        facts["mean image"] = _digest(loaders.statistics.mean, loaders.statistics.covariance)
    return facts


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:16]


def _same_images(recipe: Recipe, loaders: Loaders) -> None:
    """Raise InputError if a run resumes with other images than it began with."""
    note, index = unchanged.note_of_run(recipe.id), loaders.training.index
    unchanged.check_same(note, index, f"the run {recipe.id}")
    unchanged.begin(note, index)


def _check_images(recipe: Recipe, loaders: Loaders) -> None:
    """Raise InputError if the images are of one class, or too few for a minibatch."""
    if len(loaders.training.classes) < 2:
        raise InputError(
            f"{recipe.data.name} has one class, {printable(loaders.training.classes[0])}, and a net"
            " learns to tell classes apart: name images of two or more"
        )
    if not loaders.training.steps:
        count = len(loaders.training)
        raise InputError(
            f"a minibatch of {recipe.batch}, and {recipe.data.name} has"
            f" {counted(count, 'image')} to train on: lower batch"
        )


def _placed(net: nn.Module, devices: Sequence[torch.device]) -> nn.Module:
    if len(devices) == 1:
        return net.to(devices[0])
    if not isinstance(net, AlexNet):
        raise InputError(
            f"{len(devices)} devices: only a net of two towers can be spread; name one device"
        )
    return on_devices(net, devices)


def _silent(line: str) -> None:
    """Report nothing: only the main process does."""
