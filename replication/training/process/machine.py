"""The CPU side of a training process: how many threads it may use, and on which processor it is."""

from collections.abc import Callable
from pathlib import Path

import torch

from replication.base import machine
from replication.base.files import read_json, write_json

FILE = "machine.json"  # in a run's folder


def limit_threads() -> None:
    """Let torch use no more threads than this process has CPUs.

    torch counts by affinity and does not know a control group's quota; threads beyond it wait for
    one another."""
    if torch.get_num_threads() > machine.cpus():
        torch.set_num_threads(machine.cpus())


def note_machine(folder: Path, report: Callable[[str], None]) -> None:
    """Keep in a run's folder what its last bits depend on; report a change since it was begun."""
    now = {
        "processor": machine.processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
    path = folder / FILE
    if path.is_file():
        before = read_json(path)
        changed = [
            f"{key} {before.get(key)}, now {now[key]}" for key in now if before.get(key) != now[key]
        ]
        if changed:
            report(
                f"the run was begun on another machine ({'; '.join(changed)}): its last bits can"
                " differ from those of a run on one machine"
            )
    write_json(path, now)
