"""Two ranks as the two GPUs of section 3.2, and 2n ranks as n copies of that pair.

They run on one or several machines (torchrun). Rank 2i is tower 0 of copy i, rank 2i + 1 its tower
1, so that the two of a pair are neighbours on a machine. Each copy sees its share of the minibatch.
What the ranks send each other is in ``training.distributed.exchange``.

A lost rank ends the others: a closed connection at once, a silent one after ``LOOP_SECONDS`` in the
loop, and after ``PATIENT_SECONDS`` where a rank may be busy for long: joining, preparing images,
reading or writing a checkpoint. With NCCL it is torch's watchdog that ends them, with a message of
its own. Two ranks on one card talk through the CPU's memory, because NCCL refuses them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from replication.base.devices import check_device
from replication.base.errors import InputError, TrainingError
from replication.base.text import counted

LOOP_SECONDS = 40.0
PATIENT_SECONDS = 1800.0
# what torchrun, and whoever takes its place, tells a rank
ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def world_size() -> int:
    """Return how many ranks were started together; 1 for a process that is no rank.

    A variable that is left over in a plain shell makes no rank: all of ``ENVIRONMENT`` must be set.
    Raises InputError for a number of ranks that is none."""
    if not all(os.environ.get(name) for name in ENVIRONMENT):
        return 1
    return _number("WORLD_SIZE")


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name) or (None if default is None else str(default))
    if text is None or not text.isdecimal():
        raise InputError(
            f"{name} is {text!r}, which is no number; start the ranks with torchrun, or unset"
            f" {', '.join(ENVIRONMENT)}"
        )
    return int(text)


@dataclass(frozen=True)
class Ranks:
    """This process's place among the ranks."""

    rank: int  # of all
    copies: int  # pairs
    device: torch.device
    staged: bool  # tensors travel through the CPU's memory
    loop: dist.ProcessGroup  # all ranks, with the short limit
    same_tower: dist.ProcessGroup  # the ranks that hold the same tower, with the short limit

    @property
    def copy(self) -> int:
        """Which pair this rank belongs to."""
        return self.rank // 2

    @property
    def tower(self) -> int:
        """Which tower of its pair this rank is."""
        return self.rank % 2

    @property
    def peer(self) -> int:
        """The rank of the other tower."""
        return self.rank ^ 1

    @property
    def meeting(self) -> torch.device:
        """Where tensors are when they travel."""
        return torch.device("cpu") if self.staged else self.device

    def share(self, images: int) -> slice:
        """Return the slice of a minibatch's ``images`` that this copy sees.

        Raises InputError if they cannot be divided evenly.
        """
        if images % self.copies:
            raise InputError(
                f"a minibatch of {images} does not divide among {self.copies} pairs of ranks; use a"
                f" multiple of {self.copies}"
            )
        size = images // self.copies
        return slice(self.copy * size, (self.copy + 1) * size)

    @contextmanager
    def communicating(self, what: str) -> Iterator[None]:
        """Turn the failure of a collective operation into a TrainingError.

        Its message names the rank and the operation that failed.
        """
        try:
            yield
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:200]
            raise TrainingError(
                f"rank {self.rank} (copy {self.copy}, tower {self.tower}): another rank is lost or"
                f" silent ({what}: {reason}); start all ranks again, training resumes from the last"
                " checkpoint"
            ) from error


def join(
    device: str | None = None,
    rendezvous: str = "env://",
    timeout: float = LOOP_SECONDS,
    **place: int,
) -> Ranks:
    """Join the other ranks that torchrun started; blocks until all have joined.

    Call ``leave`` at the end. ``device``: "cuda", one GPU per rank of this machine; "cuda:0", the
    same card for all of them; "cpu"; None: CUDA if this machine has a GPU, else the CPU.
    ``timeout``: seconds for a silent rank in the loop. ``rendezvous``, and ``rank`` and
    ``world_size`` in ``place``, replace torchrun's environment. Raises InputError for an odd number
    of ranks, and for fewer GPUs than ranks.
    """
    world = place.get("world_size") or world_size()
    if world < 2 or world % 2:
        raise InputError(
            f"{counted(world, 'rank')} cannot be pairs of towers; start an even number with"
            " torchrun --nproc-per-node"
        )
    here, staged = _own_device(
        device or ("cuda" if torch.cuda.device_count() else "cpu"),
        _number("LOCAL_RANK", place.get("rank", 0)),
        _number("LOCAL_WORLD_SIZE", world),
    )
    if here.type == "cuda":
        torch.cuda.set_device(here)
    backend = "nccl" if here.type == "cuda" and not staged else "gloo"
    try:
        patient = timedelta(seconds=PATIENT_SECONDS)
        dist.init_process_group(backend, init_method=rendezvous, timeout=patient, **place)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"this rank cannot join the {world} ranks ({str(error).splitlines()[0][:200]}); start"
            " all of them with torchrun, with one address and port"
        ) from error
    short = timedelta(seconds=timeout)
    loop = dist.new_group(list(range(world)), timeout=short, backend=backend)
    rank, towers = dist.get_rank(), []
    for tower in range(2):  # every rank takes part in the founding of every group
        towers.append(dist.new_group(list(range(tower, world, 2)), timeout=short, backend=backend))
    return Ranks(rank, world // 2, here, staged, loop, towers[rank % 2])


def _own_device(name: str, local: int, ranks_here: int) -> tuple[torch.device, bool]:
    """Return the device of this machine's ``local``-th rank, and whether ranks share one card."""
    device = check_device(name)
    if device.type == "cpu":
        return torch.device("cpu"), False
    if device.index is not None:
        return device, ranks_here > 1
    cards = torch.cuda.device_count()
    if cards < ranks_here:
        raise InputError(
            f"{counted(ranks_here, 'rank')} on this machine, and it has {counted(cards, 'GPU')}:"
            " start as many ranks as GPUs, or use --devices cuda:0 (all on one card) or --devices"
            " cpu"
        )
    return torch.device("cuda", local), False


def leave() -> None:
    """Part from the other ranks."""
    dist.destroy_process_group()
