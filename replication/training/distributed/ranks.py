"""Two ranks as the two GPUs of section 3.2, and 2n ranks as n copies of that pair.

They run on one or several machines (torchrun). Rank 2i is tower 0 of copy i, rank 2i + 1 its tower
1, so that the two of a pair are neighbours on a machine. A pair exchanges activations forward and
gradients backward, at the net's crossings only; the copies average their gradients, each having
seen its share of the minibatch.

A lost rank ends the others: a closed connection at once, a silent one after ``LOOP_SECONDS`` in the
loop, and after ``PATIENT_SECONDS`` where a rank may be busy for long: joining, preparing images,
reading or writing a checkpoint. With NCCL it is torch's watchdog that ends them, with a message of
its own. Two ranks on one card talk through the CPU's memory, because NCCL refuses them.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from replication.base.devices import check_device
from replication.base.errors import InputError, TrainingError
from replication.nets.alexnet import AlexNet, Tower
from replication.nets.crossings import Parts

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

        Its message says which rank failed which.
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
    patience: float = PATIENT_SECONDS,
    **place: int,
) -> Ranks:
    """Join the other ranks that torchrun started; blocks until all have joined.

    Call ``leave`` at the end. ``device``: "cuda", one GPU per rank of this machine; "cuda:0", the
    same card for all of them; "cpu"; None: CUDA if this machine has a GPU, else the CPU.
    ``timeout``: for a silent rank in the loop; ``patience``: for one that joins, prepares or saves,
    both in seconds. ``rendezvous``, and ``rank`` and ``world_size`` in ``place``, replace
    torchrun's environment. Raises InputError for an odd number of ranks, and for fewer GPUs than
    ranks.
    """
    world = place.get("world_size") or world_size()
    if world < 2 or world % 2:
        raise InputError(
            f"{world} ranks cannot be pairs of towers; start an even number with torchrun"
            " --nproc-per-node"
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
        dist.init_process_group(
            backend, init_method=rendezvous, timeout=timedelta(seconds=patience), **place
        )
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
            f"{ranks_here} ranks on this machine, and it has {cards} GPUs: start as many ranks as"
            " GPUs, or use --devices cuda:0 (all on one card) or --devices cpu"
        )
    return torch.device("cuda", local), False


def leave() -> None:
    """Part from the other ranks."""
    dist.destroy_process_group()


class Link:
    """The connection between the two towers of a pair; tensors travel as they are in memory.

    ``patient``: with the long limit, for what is outside the loop."""

    def __init__(self, ranks: Ranks, patient: bool = False) -> None:
        self.ranks = ranks
        self.group = None if patient else ranks.loop

    def swap(self, mine: Tensor) -> Tensor:
        """Send ``mine``, and return the other tower's tensor of the same shape."""
        mine = self._on_the_way(mine)
        theirs = torch.empty_like(mine)
        self._wait("exchanging activations", (dist.isend, mine), (dist.irecv, theirs))
        return theirs.to(self.ranks.device)

    def send(self, mine: Tensor) -> None:
        """Send a tensor whose shape and type the other tower knows."""
        self._wait("sending", (dist.isend, self._on_the_way(mine)))

    def receive(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Return what the other tower sends, on this rank's device."""
        theirs = torch.empty(shape, dtype=dtype, device=self.ranks.meeting)
        self._wait("receiving", (dist.irecv, theirs))
        return theirs.to(self.ranks.device)

    def _on_the_way(self, mine: Tensor) -> Tensor:
        return mine.contiguous().to(self.ranks.meeting)

    def _wait(self, what: str, *operations: tuple[Callable[..., Any], Tensor]) -> None:
        with self.ranks.communicating(f"{what}, rank {self.ranks.peer}"):
            works = dist.batch_isend_irecv(
                [
                    dist.P2POp(kind, tensor, self.ranks.peer, self.group)
                    for kind, tensor in operations
                ]
            )
            for work in works:
                work.wait()


def _maps_last(t: Tensor) -> Tensor:
    return (t.permute(0, 2, 3, 1) if t.ndim == 4 else t).contiguous()


def _maps_second(t: Tensor) -> Tensor:
    return t.permute(0, 3, 1, 2) if t.ndim == 4 else t


def _in_order(tower: int, mine: Tensor, theirs: Tensor) -> Tensor:
    return torch.cat((mine, theirs) if tower == 0 else (theirs, mine), -1)


class _Exchange(torch.autograd.Function):
    """Each tower reads both. Backward, each returns to the other the gradient of what it read."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, link: Link) -> Tensor:
        ctx.link = link
        mine = _maps_last(mine)
        return _maps_second(_in_order(link.ranks.tower, mine, link.swap(mine)))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        halves = _maps_last(g).chunk(2, -1)
        tower = ctx.link.ranks.tower
        return _maps_second(halves[tower] + ctx.link.swap(halves[1 - tower])), None


class _ReadBoth(torch.autograd.Function):
    """Tower 0 before fc8: reads both towers, and returns to tower 1 the gradient of its part."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, link: Link) -> Tensor:
        ctx.link = link
        return _in_order(0, mine, link.receive(*mine.shape, dtype=mine.dtype))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        mine, theirs = g.chunk(2, -1)
        ctx.link.send(theirs)
        return mine, None


class _SendUnits(torch.autograd.Function):
    """Tower 1 before fc8: sends its units to tower 0 and receives the logits.

    Both ranks can then compute the loss and the errors, and run the same loop. The gradient that
    returns is tower 0's; tower 1's own gradient of the logits is the same and not used."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, link: Link, classes: int) -> Tensor:
        ctx.link, ctx.shape = link, mine.shape
        link.send(mine)
        return link.receive(len(mine), classes, dtype=mine.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return ctx.link.receive(*ctx.shape, dtype=g.dtype), None, None


class RankExchange:
    """The crossings of a net whose other tower is on another rank.

    See ``nets.crossings.OneDevice``.
    """

    def __init__(self, ranks: Ranks, classes: int) -> None:
        self.ranks, self.classes = ranks, classes
        self.link = Link(ranks)

    def cross(self, parts: Parts) -> Parts:
        return {index: _Exchange.apply(part, self.link) for index, part in parts.items()}

    def output(self, parts: Parts, head: Callable[[Tensor], Tensor]) -> Tensor:
        if self.ranks.tower == 1:
            return _SendUnits.apply(parts[1], self.link, self.classes)
        logits = head(_ReadBoth.apply(parts[0], self.link))
        self.link.send(logits.detach())
        return logits


def on_ranks(net: AlexNet, ranks: Ranks) -> AlexNet:
    """Return this rank's tower of ``net``, a two-tower net with the same weights on every rank.

    Its forward pass is a joint call of the pair. Raises InputError for a net of one tower."""
    if len(net.towers) != 2:
        raise InputError(
            f"the net has {len(net.towers)} tower; ranks need a net of two (towers: 2)"
        )
    tower = net.towers[str(ranks.tower)].to(ranks.device)
    return AlexNet(net.spec, {ranks.tower: tower}, RankExchange(ranks, net.spec.classes))


def average_gradients(net: AlexNet, ranks: Ranks) -> None:
    """Replace each gradient by its mean over the copies, after ``backward``.

    The loss of a copy is the mean over its own share.
    """
    if ranks.copies == 1:
        return
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    sums = [g.to(ranks.meeting) for g in gradients]  # themselves, unless they are staged
    with ranks.communicating("averaging gradients"):
        works = [dist.all_reduce(g, group=ranks.same_tower, async_op=True) for g in sums]
        for work in works:
            work.wait()
    if ranks.staged:
        torch._foreach_copy_(gradients, sums)
    torch._foreach_div_(gradients, ranks.copies)


def gather(named: Mapping[str, Tensor], net: AlexNet, ranks: Ranks) -> dict[str, Tensor] | None:
    """Bring the pair's tensors together in tower 0 of each pair, on the CPU; None in tower 1.

    ``named`` has this rank's tensors under the names of ``net``'s parameters: ``net.state_dict()``,
    or an optimiser's velocities. The result is the state of the whole net, the same as any other
    placement would write."""
    link = Link(ranks, patient=True)
    if ranks.tower == 1:
        for name in sorted(named):
            link.send(named[name])
        return None
    with torch.device("meta"):
        other = Tower(net.spec, 1)
    shapes = {f"towers.1.{name}": value.shape for name, value in other.state_dict().items()}
    mine = {name: value.detach().cpu() for name, value in named.items()}
    dtype = next(iter(named.values())).dtype
    return mine | {name: link.receive(*shapes[name], dtype=dtype).cpu() for name in sorted(shapes)}
