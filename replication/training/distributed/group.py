"""The processes that train one net together: one loop for every placement.

``SingleProcess`` is one process with one or two devices. ``ProcessGroup`` is one rank of several
(``training.distributed.ranks``). Every method is a joint call of all processes and returns the same
on each of them, so that they go through the training loop in step."""

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn

from replication.base.errors import InputError
from replication.training.distributed import exchange
from replication.training.distributed.ranks import Ranks


class SingleProcess:
    """A group of one process."""

    size = 1  # processes
    is_main = True  # whether this process writes the checkpoints and results
    copy, copies = 0, 1  # data-parallel copies of the net, each with its share of every minibatch

    def all_sum(self, *values: float, in_loop: bool = False) -> list[float]:
        """Return each value's sum over the processes.

        ``in_loop``: no process is busy with anything but training, and a silent one is lost."""
        return list(values)

    def broadcast(self, content: bytes | None) -> bytes | None:
        """Return the content that the main process has."""
        return content

    def gather(self, named: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor] | None:
        """Return the whole net's tensors of those names; None in processes that write nothing.

        ``named`` has this process's tensors under the names of ``net``'s parameters."""
        return dict(named)

    def average_gradients(self, net: nn.Module) -> None:
        """Replace each gradient by its mean over the copies."""

    def compare(self, facts: Mapping[str, str]) -> None:
        """Raise InputError, in every process, unless all have the same ``facts``."""

    def wait(self) -> None:
        """Wait for the others, for as long as a checkpoint may take."""

    def all_count(self, *counts: int) -> list[int]:
        """Return counts over all copies; the processes of one copy count the same images."""
        return [round(total * self.copies / self.size) for total in self.all_sum(*counts)]

    def any(self, *flags: bool, in_loop: bool = False) -> list[bool]:
        """Return for each flag whether it is true in any process."""
        return [total > 0 for total in self.all_sum(*flags, in_loop=in_loop)]

    def every(self, flag: bool) -> bool:
        """Return whether the flag is true in every process."""
        return not self.any(not flag)[0]

    def main_decides(self, flag: bool) -> bool:
        """Return the main process's flag."""
        return self.any(flag and self.is_main)[0]


class ProcessGroup(SingleProcess):
    """One rank of several."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.size = 2 * ranks.copies
        self.is_main = ranks.rank == 0
        self.copy, self.copies = ranks.copy, ranks.copies

    def all_sum(self, *values: float, in_loop: bool = False) -> list[float]:
        total = torch.tensor(
            [float(value) for value in values], dtype=torch.float64, device=self.ranks.meeting
        )
        with self.ranks.communicating("comparing counts"):
            dist.all_reduce(total, group=self.ranks.loop if in_loop else None)
            return total.tolist()  # with NCCL the host waits here

    def broadcast(self, content: bytes | None) -> bytes | None:
        device = self.ranks.meeting
        size = torch.tensor(-1 if content is None else len(content), device=device)
        with self.ranks.communicating("passing on the checkpoint"):
            dist.broadcast(size, 0)
            if size.item() < 0:
                return None
            buffer = bytearray(content) if self.is_main else bytearray(int(size))
            data = torch.frombuffer(buffer, dtype=torch.uint8).to(device)
            dist.broadcast(data, 0)
        return data.cpu().numpy().tobytes()

    def gather(self, named: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor] | None:
        return exchange.gather(named, net, self.ranks) if self.copy == 0 else None

    def average_gradients(self, net: nn.Module) -> None:
        exchange.average_gradients(net, self.ranks)

    def compare(self, facts: Mapping[str, str]) -> None:
        every: list[dict[str, str]] = [{}] * self.size
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


def _short(fact: str | None) -> str:
    return "none" if fact is None else fact if len(fact) <= 40 else f"{fact[:37]}..."
