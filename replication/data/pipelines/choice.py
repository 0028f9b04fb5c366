"""The choice of a loader's pipeline, by its source, its device, and what is installed."""

import functools
import sys
from typing import Literal

import torch

from replication.base.errors import InputError
from replication.data.files.index import Index
from replication.data.pipelines import on_device
from replication.data.pipelines.pipeline import Pipeline
from replication.data.pipelines.reference import ReferencePipeline
from replication.data.pipelines.stored import RawPipeline, Transform
from replication.data.prepared.store import Store

Backend = Literal["auto", "raw", "reference", "dali", "dali-mixed", "device"]


@functools.cache
def has_dali() -> bool:
    """Return whether DALI can be imported; if it is installed but fails, log why once."""
    try:
        import nvidia.dali  # noqa: F401
    except ModuleNotFoundError:
        return False
    except (ImportError, OSError) as error:  # a library of the system that is missing or too old
        reason = str(error).partition("\n")[0]
        print(f"DALI does not load ({reason}): the reference pipeline is used", file=sys.stderr)
        return False
    return True


def pipeline(
    source: Store | Index,
    transform: Transform,
    device: torch.device,
    backend: Backend,
    workers: int = 0,
) -> Pipeline:
    """Return the pipeline that prepares the batches of ``source`` on ``device``.

    ``backend`` "auto": stored squares by "raw" on a CPU; files by "dali" if it is installed, else
    by "reference", with ``workers`` processes; on a GPU both by "dali", but a set of squares that
    fits there by "device". "dali-mixed" decodes files on the GPU. Raises InputError for a pipeline
    that cannot read this kind of source."""
    if backend == "auto":
        if device.type == "cpu" and isinstance(source, Store):
            backend = "raw"
        elif isinstance(source, Store) and on_device.fits(source):
            backend = "device"
        elif has_dali():
            backend = "dali"
        else:
            backend = "raw" if isinstance(source, Store) else "reference"
    if backend in ("dali", "dali-mixed"):
        from replication.data.pipelines.dali import DaliPipeline  # DALI exists for Linux only

        return DaliPipeline(source, transform, device, mixed=backend == "dali-mixed")
    if backend in ("raw", "device") and not isinstance(source, Store):
        raise InputError(
            f"the {backend} pipeline reads stored squares, and the recipe's data.files is"
            " 'encoded': use reference or dali"
        )
    if isinstance(source, Store):
        if backend == "reference":
            raise InputError(
                "the reference pipeline decodes files, and the recipe's data.files is 'raw': use"
                " raw or dali"
            )
        if backend == "device":
            return on_device.DevicePipeline(source, transform, device)
        return RawPipeline(source.images, transform)
    return ReferencePipeline(source, transform, workers)
