"""Two ranks as the two GPUs of section 3.2, and 2n ranks as n copies of that pair, over one or
several machines (torchrun).

The ranks form a mesh, data x tower. Along the tower axis a pair exchanges activations forward and
gradients backward, at the net's crossings only; along the data axis the copies average their
gradients, each having seen its share of the minibatch. Rank 2i is tower 0 of copy i, rank 2i + 1
its tower 1, so that the two of a pair are neighbours on a machine.

A lost rank ends the others: a closed connection at once, a silent one after ``TIMEOUT_SECONDS``.
With NCCL it is torch's watchdog that ends them after that time, with a message of its own."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from replication.base.errors import InputError, TrainingError
from replication.nets.alexnet import AlexNet, Tower
from replication.nets.crossings import Parts

TIMEOUT_SECONDS = 40.0  # how long a rank waits for a silent one


@dataclass(frozen=True)
class Ranks:
    """This process's place among the ranks."""

    mesh: DeviceMesh  # axes "data" and "tower"
    rank: int  # of all
    copies: int  # pairs
    copy: int  # which pair this rank belongs to
    tower: int  # which tower of it this rank is
    peer: int  # the rank of the other tower
    device: torch.device

    def share(self, images: int) -> slice:
        """Which of a minibatch's ``images`` this copy sees. Raises InputError if they cannot be
        divided evenly.
        """
        if images % self.copies:
            raise InputError(
                f"a minibatch of {images} does not divide among {self.copies} pairs of ranks; use a"
                f" multiple of {self.copies}"
            )
        size = images // self.copies
        return slice(self.copy * size, (self.copy + 1) * size)

    @contextmanager
    def talking(self, what: str) -> Iterator[None]:
        """Turn the failure of a collective operation into a TrainingError that says who failed
        whom.
        """
        try:
            yield
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:200]
            raise TrainingError(
                f"rank {self.rank} (copy {self.copy}, tower {self.tower}): another rank is lost or"
                f" silent ({what}: {reason}); start all ranks again, training goes on from the last"
                " checkpoint"
            ) from error


def join(
    device: str | None = None,
    rendezvous: str = "env://",
    timeout: float = TIMEOUT_SECONDS,
    **place: int,
) -> Ranks:
    """Join the other ranks that torchrun started; blocks until all are there. Call ``leave`` at the
    end.

    ``device``: "cuda" (NCCL) or "cpu" (gloo); default CUDA where this machine has a GPU for each of
    its ranks. ``rendezvous``, and ``rank`` and ``world_size`` in ``place``, replace torchrun's
    environment. Raises InputError for an odd number of ranks."""
    world = place.get("world_size") or int(os.environ.get("WORLD_SIZE", "1"))
    if world < 2 or world % 2:
        raise InputError(
            f"{world} ranks cannot be pairs of towers; start an even number with torchrun"
            " --nproc-per-node"
        )
    local = int(os.environ.get("LOCAL_RANK", place.get("rank", 0)))
    if device is None:
        device = (
            "cuda"
            if torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", world))
            else "cpu"
        )
    here = torch.device(device, local) if device == "cuda" else torch.device("cpu")
    if device == "cuda":
        torch.cuda.set_device(here)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(
        backend, init_method=rendezvous, timeout=timedelta(seconds=timeout), **place
    )
    mesh = init_device_mesh(device, (world // 2, 2), mesh_dim_names=("data", "tower"))
    copy, tower = mesh.get_local_rank("data"), mesh.get_local_rank("tower")
    return Ranks(
        mesh, dist.get_rank(), world // 2, copy, tower, int(mesh.mesh[copy, 1 - tower]), here
    )


def leave() -> None:
    """Part from the other ranks."""
    dist.destroy_process_group()


class Link:
    """The line between the two towers of a pair. Tensors travel with the maps last, the way they
    lie in memory.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def swap(self, mine: Tensor) -> Tensor:
        """Send ``mine`` and receive as much."""
        theirs = torch.empty_like(mine)
        self._wait("exchanging activations", (dist.isend, mine), (dist.irecv, theirs))
        return theirs

    def send(self, mine: Tensor) -> None:
        self._wait("sending", (dist.isend, mine))

    def receive(self, *shape: int, like: Tensor) -> Tensor:
        theirs = like.new_empty(shape)
        self._wait("receiving", (dist.irecv, theirs))
        return theirs

    def _wait(self, what: str, *operations: tuple[Callable[..., Any], Tensor]) -> None:
        with self.ranks.talking(f"{what}, rank {self.ranks.peer}"):
            works = dist.batch_isend_irecv(
                [dist.P2POp(kind, tensor, self.ranks.peer) for kind, tensor in operations]
            )
            for work in works:
                work.wait()


def _maps_last(t: Tensor) -> Tensor:
    return (t.permute(0, 2, 3, 1) if t.ndim == 4 else t).contiguous()


def _maps_second(t: Tensor) -> Tensor:
    return t.permute(0, 3, 1, 2) if t.ndim == 4 else t


def _in_order(tower: int, mine: Tensor, theirs: Tensor) -> Tensor:
    return torch.cat((mine, theirs) if tower == 0 else (theirs, mine), -1)


class _Both(torch.autograd.Function):
    """Both towers read both. Backward, each returns the gradient of what it was lent."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, link: Link) -> Tensor:
        ctx.link = link
        mine = _maps_last(mine)
        return _maps_second(_in_order(link.ranks.tower, mine, link.swap(mine)))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        halves = _maps_last(g).chunk(2, -1)
        tower = ctx.link.ranks.tower
        return _maps_second(halves[tower] + ctx.link.swap(halves[1 - tower].contiguous())), None


class _Collect(torch.autograd.Function):
    """Tower 0 before fc8: it reads both towers, and returns the gradient of what tower 1 lent."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, link: Link) -> Tensor:
        ctx.link = link
        return _in_order(0, mine, link.receive(*mine.shape, like=mine))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        mine, theirs = g.chunk(2, -1)
        ctx.link.send(theirs.contiguous())
        return mine, None


class _Lend(torch.autograd.Function):
    """Tower 1 before fc8: it lends its units to tower 0 and is told the logits.

    Both ranks can then compute the loss and the errors, and run the same loop. What comes back as
    gradient is tower 0's; the gradient that tower 1 computes of its copy of the logits is the same
    and not used."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, link: Link, classes: int) -> Tensor:
        ctx.link, ctx.shape = link, mine.shape
        link.send(mine.contiguous())
        return link.receive(len(mine), classes, like=mine)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return ctx.link.receive(*ctx.shape, like=g), None, None


class RankExchange:
    """The crossings of a net whose other tower is on another rank (see
    ``nets.crossings.OneDevice``).
    """

    def __init__(self, ranks: Ranks, classes: int) -> None:
        self.ranks, self.classes = ranks, classes
        self.link = Link(ranks)

    def cross(self, parts: Parts) -> Parts:
        return {index: _Both.apply(part, self.link) for index, part in parts.items()}

    def output(self, parts: Parts, head: Callable[[Tensor], Tensor]) -> Tensor:
        if self.ranks.tower == 1:
            return _Lend.apply(parts[1], self.link, self.classes)
        logits = head(_Collect.apply(parts[0], self.link))
        self.link.send(logits.detach().contiguous())
        return logits


def on_ranks(net: AlexNet, ranks: Ranks) -> AlexNet:
    """This rank's tower of ``net``, a whole two-tower net with the same weights on every rank. Its
    forward is a joint act of the pair.
    """
    if len(net.towers) != 2:
        raise InputError(
            f"the net has {len(net.towers)} tower; ranks need a net of two (towers: 2)"
        )
    tower = net.towers[str(ranks.tower)].to(ranks.device)
    return AlexNet(net.spec, {ranks.tower: tower}, RankExchange(ranks, net.spec.classes))


def average_gradients(net: AlexNet, ranks: Ranks) -> None:
    """After ``backward``: replace each gradient by its mean over the copies, whose loss is the mean
    over their own share.
    """
    if ranks.copies == 1:
        return
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    with ranks.talking("averaging gradients"):
        works = [
            dist.all_reduce(g, group=ranks.mesh.get_group("data"), async_op=True) for g in gradients
        ]
        for work in works:
            work.wait()
    torch._foreach_div_(gradients, ranks.copies)


def gather(named: Mapping[str, Tensor], net: AlexNet, ranks: Ranks) -> dict[str, Tensor] | None:
    """Bring the pair's tensors together in tower 0 of each pair, on the CPU; None in tower 1.

    ``named`` has this rank's tensors under the names of ``net``'s parameters: ``net.state_dict()``,
    or an optimiser's velocities. The result is the state of the whole net, the same as any other
    placement would write."""
    link = Link(ranks)
    if ranks.tower == 1:
        for name in sorted(named):
            link.send(named[name].contiguous())
        return None
    with torch.device("meta"):
        other = Tower(net.spec, 1)
    shapes = {f"towers.1.{name}": value.shape for name, value in other.state_dict().items()}
    mine = {name: value.detach().cpu() for name, value in named.items()}
    like = next(iter(named.values()))
    return mine | {name: link.receive(*shapes[name], like=like).cpu() for name in sorted(shapes)}
