"""What the ranks of ``training.distributed.ranks`` send each other.

A pair exchanges activations forward and gradients backward, at the net's crossings only. The copies
average their gradients, and a pair's tensors come together in its tower 0 for a checkpoint.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from replication.base.errors import InputError
from replication.nets.alexnet import AlexNet, Tower
from replication.nets.crossings import Parts
from replication.training.distributed.ranks import Ranks


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
