"""What the training loop asks of the other processes, if there are any: one loop for every
placement.

``Alone`` is one process, whatever its devices; ``Together`` is one rank among several
(``training.distributed.ranks``). Both answer the same questions, and every answer is the same on
every rank, so that all ranks go through the loop in step."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from replication.base.errors import InputError
from replication.training.distributed.ranks import Ranks, average_gradients, gather


class Notes(NamedTuple):
    """What the ranks tell each other before an update."""

    loss: float  # mean over the minibatch
    mistakes: int  # in it
    stop: bool = False  # somebody was interrupted
    save: bool = False  # a checkpoint is due


class Alone:
    """One process: nobody to ask."""

    first = True  # whether this process writes the checkpoints and results
    copy, copies = 0, 1  # of the net, each with its share of every minibatch

    def agree(self, notes: Notes) -> Notes:
        """The notes of all, put together."""
        return notes

    def sums(self, *values: int) -> list[int]:
        """Counts of each copy's share, added over the copies."""
        return list(values)

    def told(self, flag: bool) -> bool:
        """What the first rank says."""
        return flag

    def content(self, content: bytes | None) -> bytes | None:
        """What the first rank has read."""
        return content

    def every(self, flag: bool) -> bool:
        """Whether it is true of every rank."""
        return flag

    def compare(self, facts: Mapping[str, str]) -> None:
        """Raise InputError, on every rank, unless all see the same ``facts``."""

    def wait(self) -> None:
        """Wait for the others, for as long as a checkpoint may take."""

    def average_gradients(self, net: nn.Module) -> None:
        """Replace each gradient by its mean over the copies."""

    def whole(self, named: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor] | None:
        """Tensors named as ``net``'s parameters, of the whole net; None for a rank that does not
        write them.
        """
        return dict(named)


class Together(Alone):
    """One rank of several."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.first = ranks.rank == 0
        self.copy, self.copies = ranks.copy, ranks.copies

    def agree(self, notes: Notes) -> Notes:
        loss, mistakes, stop, save = self._add(
            notes.loss, notes.mistakes, notes.stop, notes.save and self.first, group=self.ranks.loop
        )
        # both towers of a pair say the same, and each copy the mean over its share
        return Notes(loss / (2 * self.copies), round(mistakes / 2), stop > 0, save > 0)

    def sums(self, *values: int) -> list[int]:
        # both towers of a pair have counted
        return [round(total / 2) for total in self._add(*values)]

    def told(self, flag: bool) -> bool:
        return self._add(flag and self.first)[0] > 0

    def content(self, content: bytes | None) -> bytes | None:
        device = self.ranks.meeting
        size = torch.tensor(-1 if content is None else len(content), device=device)
        with self.ranks.communicating("passing on the checkpoint"):
            dist.broadcast(size, 0)
            if size.item() < 0:
                return None
            mine = bytearray(content) if self.first else bytearray(int(size))
            data = torch.frombuffer(mine, dtype=torch.uint8).to(device)
            dist.broadcast(data, 0)
        return data.cpu().numpy().tobytes()

    def every(self, flag: bool) -> bool:
        return self._add(not flag)[0] == 0

    def compare(self, facts: Mapping[str, str]) -> None:
        every: list[dict[str, str]] = [{}] * (2 * self.copies)
        with self.ranks.communicating("comparing what the ranks see"):
            dist.all_gather_object(every, dict(facts))
        for rank, theirs in enumerate(every):
            for name in sorted(every[0].keys() | theirs.keys()):
                if every[0].get(name) != theirs.get(name):
                    raise InputError(
                        f"rank {rank} has another {name} than rank 0 ({_short(theirs.get(name))}"
                        f" and {_short(every[0].get(name))}): give all ranks the same code, recipe"
                        " and images"
                    )

    def wait(self) -> None:
        with self.ranks.communicating("waiting for a checkpoint"):
            dist.barrier()

    def average_gradients(self, net: nn.Module) -> None:
        average_gradients(net, self.ranks)

    def whole(self, named: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor] | None:
        return gather(named, net, self.ranks) if self.copy == 0 else None

    def _add(self, *values: float, group: dist.ProcessGroup | None = None) -> list[float]:
        """Each value's sum over the ranks; ``group`` None: with the long limit."""
        total = torch.tensor(
            [float(value) for value in values], dtype=torch.float64, device=self.ranks.meeting
        )
        with self.ranks.communicating("comparing counts"):
            dist.all_reduce(total, group=group)
            return total.tolist()  # with NCCL it is here that the host waits


def _short(fact: str | None) -> str:
    return "none" if fact is None else fact if len(fact) <= 40 else f"{fact[:37]}..."
