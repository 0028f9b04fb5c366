"""The speed of loading images, by batch size (section 4.1).

Decoding alone, DALI, the reference, and torch's DataLoader with Pillow. The paper's augmentation is
free only while the loader keeps up with the net. The timed code is in ``benchmarks/loader.py``,
beside the package in the repository. All cases take turns within a round, so that a slow moment of
the machine affects all of them equally.
"""

from typing import Any, NamedTuple

import pandas as pd
import torch
from pydantic import Field

from replication.base import paths
from replication.base.benchmarks import benchmark
from replication.base.files import write_json, write_text
from replication.base.html_tables import html_table
from replication.base.models import Frozen
from replication.base.text import counted
from replication.base.types import Device, Profile
from replication.data.sources.photographs import open_photographs
from replication.experiments.common.contract import settings_of

EXPERIMENT = "loading_speed"
RATES = "images per second"
TITLES = {  # column of a stored table -> what a page calls it
    "batch": "minibatch",
    "name": "what is timed",
    "low": "lowest",
    "high": "highest",
    "per core": "median per core",
}


class Settings(Frozen):
    """The notebook's parameters."""

    profile: Profile
    photographs: str  # a data set of the catalog (one class of it), or a folder of REPLICATION_DATA
    batches: tuple[int, ...] = Field(min_length=1)  # sizes of a minibatch
    rounds: int = Field(ge=1)
    device: Device = "cpu"  # to which the batches are delivered


settings = settings_of(Settings, EXPERIMENT)


class Outcome(NamedTuple):
    """What the notebook shows."""

    machine: dict[str, Any]
    photographs: int  # number of different ones
    images: int  # in a pass
    rates: pd.DataFrame  # batch, name, median, low, high (images per second), per core (median)
    ratios: pd.DataFrame  # batch, name, median, low, high


def run(settings: Settings) -> Outcome:
    """Time every case at every batch size, and write the tables."""
    measure, place, device = (
        benchmark("loader").measure,
        open_photographs(settings.photographs),
        torch.device(settings.device),
    )
    results = {
        batch: measure(device, batch, 1.0, settings.rounds, place) for batch in settings.batches
    }
    first = next(iter(results.values()))
    outcome = Outcome(
        first["machine"],
        first["settings"]["photographs"],
        first["settings"]["images"],
        _table(results, RATES),
        _table(results, "ratios"),
    )
    outcome.rates["per core"] = outcome.rates["median"] / first["machine"]["cores"]
    kept = paths.experiment(settings.profile, EXPERIMENT)
    write_text(kept / "rates.csv", outcome.rates.to_csv(index=False))
    write_text(kept / "ratios.csv", outcome.ratios.to_csv(index=False))
    write_json(
        kept / "machine.json",
        outcome.machine | {"photographs": outcome.photographs, "rounds": settings.rounds},
    )
    return outcome


def _table(results: dict[int, dict[str, Any]], part: str) -> pd.DataFrame:
    rows = [
        {"batch": batch, "name": name} | spread
        for batch, one in results.items()
        for name, spread in one[part].items()
    ]
    return pd.DataFrame(rows)


def machine_text(outcome: Outcome) -> str:
    """Describe the machine and the images that the numbers belong to."""
    machine = ", ".join(f"{name} {value}" for name, value in outcome.machine.items())
    return (
        f"{machine}\n{counted(outcome.photographs, 'photograph')},"
        f" {counted(outcome.images, 'image')} in a pass"
    )


def html(table: pd.DataFrame, digits: str = ",.0f") -> str:
    """Render a table for the page, its numbers formatted by ``digits``."""
    formats = {
        column: f"{{:{digits}}}".format for column, kind in table.dtypes.items() if kind.kind == "f"
    }
    formats = {TITLES.get(column, column): form for column, form in formats.items()}
    return html_table(table.rename(columns=TITLES), formats)
