"""Facts that need the weights of trained nets, beside the results of their experiment.

Weights are not published, so these facts are stored: the published numbers can be read without
them. A file has one entry per key, which names the recipes it was computed from; ``training`` in it
is a hash of their trainings, so that a run that is trained again does not keep the facts of before.
What an execution computed before it failed is kept in a hidden file of the same folder, and the
next execution takes it from there."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from replication.base import paths
from replication.base.errors import InputError, check
from replication.base.files import write_json
from replication.runs.store import Run, read_if_present, trained_again

AVERAGES = "averages.json"  # errors of averages of nets
DROPOUT = "dropout.json"  # distances to the mean of the nets that dropout samples
GAINS = "gains.json"  # mean gains of the normalisations of a trained net
MEASURES = "first_layers.json"  # measures of the kernels of each net's first layer
FILES = (AVERAGES, DROPOUT, GAINS, MEASURES)


def kept(
    path: Path, key: str, make: Callable[[], dict[str, Any]], runs: Sequence[Run] = ()
) -> dict[str, Any]:
    """Return the stored value of ``key`` in ``path``, or build it with ``make`` and add it.

    ``path``: one of ``FILES`` in the folder of an experiment. ``runs``: those that the value was
    computed from; a stored one of other trainings is replaced. If a net here was trained again,
    with other numbers than the stored result, its value is returned and not added."""
    check(path.name in FILES, f"{path.name} is not listed in FILES: a failure would lose its facts")
    values, training = _stored(path), _training(runs)
    if not _is_of(values.get(key), training):
        left = _read(_hidden(path)).get(key)
        if not _is_of(left, training) and any(map(trained_again, runs)):
            return make()
        named = {"training": training} if training else {}
        values[key] = left if _is_of(left, training) else make() | named
        write_json(path, dict(sorted(values.items())))
    return values[key]


def is_known(path: Path, key: str, runs: Sequence[Run]) -> bool:
    """Return whether ``kept`` can return the value of ``key`` without its ``make``."""
    training = _training(runs)
    return any(_is_of(of.get(key), training) for of in (_stored(path), _read(_hidden(path))))


def known(path: Path) -> dict[str, Any]:
    """Return every value that ``kept`` can return without its ``make``, by key."""
    return _read(_hidden(path)) | _stored(path)


def take_back(path: Path, before: Path) -> None:
    """Remove ``path``, of an execution that failed, and hide what it has beyond ``before``.

    Only ``kept`` and ``known`` find it there."""
    published = read_if_present(before)
    if new := {key: value for key, value in read_if_present(path).items() if key not in published}:
        write_json(_hidden(path), read_if_present(_hidden(path)) | new)
    path.unlink()


def forget(folder: Path) -> None:
    """Remove what ``take_back`` has hidden in ``folder``, after an execution that succeeded."""
    for name in FILES:
        _hidden(folder / name).unlink(missing_ok=True)


def _is_of(value: dict[str, Any] | None, training: str) -> bool:
    """Return whether a value exists and is not known to come from other trainings."""
    return value is not None and (not training or value.get("training", training) == training)


def _training(runs: Sequence[Run]) -> str:
    """Return a hash of the histories of ``runs``; "" without runs."""
    text = "".join(run.history.to_json(orient="values") for run in runs)
    return hashlib.sha256(text.encode()).hexdigest()[:10] if runs else ""


def _stored(path: Path) -> dict[str, Any]:
    profile, experiment = path.parts[-3:-1]
    return _read(path if path.is_file() else paths.stored(profile, experiment, path.name))


def _read(path: Path) -> dict[str, Any]:
    """Return the facts in a file; {} if there is none. Raises InputError if it is damaged."""
    try:
        facts = read_if_present(path)
    except ValueError as error:
        raise InputError(
            f"{path} is not JSON ({error}); delete it and run the experiment"
        ) from error
    if not isinstance(facts, dict) or not all(isinstance(one, dict) for one in facts.values()):
        raise InputError(f"{path} should be an object of objects; delete it and run the experiment")
    return facts


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}")
