"""The contract of an experiment: what its module defines, and how its tables are stored.

A module of ``experiments/`` has

- ``Settings``: a frozen model of the notebook's parameters, ``profile`` among them;
- ``settings``: what the notebook calls to build one, ``settings_of(Settings, EXPERIMENT)``;
- ``tasks(settings)``: the training runs that it needs, if it needs any;
- ``run(settings)``: train or load them, measure, and call ``store_tables``;
- ``waits(settings)``, if its runs come from a campaign: why there is nothing to show yet.

Its name is that of its notebook, of its parameter files and of its folder of results.
"""

import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any

from replication.base import paths
from replication.base.errors import InputError, unknown
from replication.base.files import write_text
from replication.base.models import Frozen, Model, validated
from replication.base.types import Profile
from replication.ledger.measurement import Measurement, write_measurements

if TYPE_CHECKING:  # a list of experiments must not load torch
    import pandas as pd

    from replication.runs.store import Task


@dataclass(frozen=True)
class Experiment:
    """One experiment, as ``EXPERIMENTS`` lists it."""

    name: str
    uses_baseline: bool = False  # its notebook trains or loads the baseline of a profile
    reads_results: bool = False  # it trains nothing and shows what the others stored: it runs last

    @property
    def module(self) -> ModuleType:
        """The module of the experiment. A page that only reads results has none."""
        return importlib.import_module(f"replication.experiments.{self.name}")

    def settings(self, **parameters: Any) -> Frozen:
        """Return the parameters, checked. Raises InputError that names the first invalid one."""
        return validated(self.module.Settings, self.name, parameters)

    def tasks(self, settings: Frozen) -> "list[Task]":
        """Return the training runs that ``settings`` ask for, without running them."""
        list_tasks = getattr(self.module, "tasks", None)
        return list(list_tasks(settings)) if list_tasks is not None else []

    def waits(self, settings: Frozen) -> str:
        """Return why nothing can be shown yet, if runs of a campaign are missing; "" otherwise."""
        waits = None if self.reads_results else getattr(self.module, "waits", None)
        return "" if waits is None else waits(settings)


def settings_of(kind: type[Model], experiment: str) -> Callable[..., Model]:
    """Return the function that builds an experiment's ``Settings`` from its parameters."""

    def settings(**parameters: Any) -> Model:
        """Return the notebook's parameters, checked.

        Raises InputError that names the first invalid one, and for one that papermill was given
        and the notebook does not have."""
        for name in _injected():
            if name not in parameters:
                raise InputError(f"{experiment}: {unknown('parameter', name, parameters)}")
        return validated(kind, experiment, parameters)

    return settings


class Shown(Frozen):
    """The parameter of a notebook that only reads results."""

    profile: Profile


def shown_profile(page: str, profile: str) -> Profile:
    """Return the profile whose results ``page`` shows, checked as by ``settings_of``."""
    return settings_of(Shown, page)(profile=profile).profile


def _injected() -> list[str]:
    """Return the names that papermill gave a value in this notebook; [] elsewhere.

    Its cell follows the one with the notebook's parameters, of which ``profile`` is the first."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    cells = [] if shell is None else shell.user_ns.get("In", [])
    by_papermill = [
        cell
        for before, cell in pairwise(cells)
        if before.startswith("profile: ") and cell.startswith("# Parameters\n")
    ]
    # the last: a reader may have mended the cell and executed it again
    return re.findall(r"^(\w+) = ", by_papermill[-1], re.MULTILINE) if by_papermill else []


def store_tables(
    profile: str,
    experiment: str,
    tables: "Mapping[str, pd.DataFrame]",
    measurements: Sequence[Measurement] | None = None,
    float_format: str | None = None,
) -> None:
    """Write tables as ``results/<profile>/<experiment>/<name>.csv``, then the measurements."""
    folder = paths.experiment(profile, experiment)
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format=float_format)
        write_text(folder / f"{name}.csv", text)
    if measurements is not None:
        write_measurements(profile, experiment, measurements)
