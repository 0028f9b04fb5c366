"""What is done on a GPU that is available for some minutes, in the order of worth.

A plan is one JSON file. It holds whole recipes, so that the machine needs neither the notebooks nor
the experiments' modules, and the commit of the code, because the machine has no git."""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from replication.base.errors import InputError
from replication.base.files import write_text
from replication.base.models import Frozen, validated
from replication.recipe import Recipe
from replication.runs.store import Task

FILE = "plan.json"


class Origin(Frozen):
    """The code that a plan was made with."""

    commit: str | None = None
    dirty: bool | None = None
    code: str = ""  # ``base.code.code_digest``


class Images(Frozen):
    """A packed data set: a compressed archive of its folder, cut into parts."""

    name: str
    parts: tuple[str, ...]  # file names, beside the plan
    digest: str  # sha256 of all parts together


class Training(Frozen):
    """A run to train and to evaluate; the fields of ``runs.store.Task``."""

    profile: str
    experiment: str
    name: str
    recipe: Recipe
    evaluate: tuple[tuple[str, int], ...] = ()

    def task(self) -> Task:
        """Return it as the experiments know it."""
        return Task(self.profile, self.experiment, self.name, self.recipe, self.evaluate)


class Step(Frozen):
    """One entry of a plan: a training, or a command (python's arguments)."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    minutes: float = Field(gt=0)  # the most that it may take in one call
    device: Literal["cuda", "any"] = "any"
    needs: tuple[str, ...] = ()  # modules without which a command is left out
    command: tuple[str, ...] = ()
    training: Training | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Step":
        if bool(self.command) == (self.training is not None):
            raise ValueError("a step is a command or a training")
        return self


class Plan(Frozen):
    """Steps in the order of worth, and what they need."""

    origin: Origin = Origin()
    images: tuple[Images, ...] = ()
    steps: tuple[Step, ...]

    @model_validator(mode="after")
    def _names_differ(self) -> "Plan":
        names = [step.name for step in self.steps]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two steps are named {twice[0]}")
        return self


def read_plan(path: Path) -> Plan:
    """Read a plan. Raises InputError that names the file and the first fault."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; make a plan with python -m replication.lease.pack"
        ) from None
    except ValueError as error:
        raise InputError(f"{path}: not a plan ({error}); pack it again") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a plan; pack it again")
    return validated(Plan, str(path), values)


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan as JSON."""
    write_text(path, json.dumps(plan.model_dump(mode="json"), indent=1))
