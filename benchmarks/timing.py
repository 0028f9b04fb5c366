"""How every benchmark here times: all cases in turn, so that what slows the machine slows all of
them alike.

A round is ``TURNS`` turns, each running every case once and beginning with another one; a case's
time in a round is the least of its turns, as other programs can only add to it. Ratios are taken
within a round and reported as median and range over the rounds. A time alone says little on a
shared machine."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from replication.base.devices import best_device
from replication.training.process.allocator import keep_freed_memory

ROUNDS = 5
TURNS = 3

Case = Callable[[], object]
Clock = Callable[[], float]


def clock(device: torch.device) -> Clock:
    """For cases that compute in this thread alone, with one thread on a CPU, the time that the
    thread was running, which leaves out what other programs take; otherwise the time on the
    wall."""
    return (
        time.thread_time
        if device.type == "cpu" and torch.get_num_threads() == 1
        else time.perf_counter
    )


def rounds(
    cases: dict[str, Case], count: int, device: torch.device, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each case in each of ``count`` rounds, after one turn that is not counted. Memory
    is kept as the trainer keeps it.

    On a GPU float32 is float32, and cuDNN looks for the fastest algorithm, as in the trainer.
    """
    keep_freed_memory()
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = False, True
    names = list(cases)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        _seconds(cases[name], device, clock)
    for _ in range(count):
        best = dict.fromkeys(names, float("inf"))
        for turn in range(TURNS):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                best[name] = min(best[name], _seconds(cases[name], device, clock))
        for name in names:
            seconds[name].append(best[name])
    return seconds


def _seconds(case: Case, device: torch.device, clock: Clock) -> float:
    _finish(device)
    start = clock()
    case()
    _finish(device)
    return clock() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def spread(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def ratio(seconds: dict[str, list[float]], above: str, below: str) -> dict[str, float]:
    """Time of one case over another's, round by round."""
    return spread([a / b for a, b in zip(seconds[above], seconds[below], strict=True)])


def machine(device: torch.device, clock: Clock = time.perf_counter) -> dict[str, Any]:
    """What the numbers belong to."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    measured = "of the thread" if clock is time.thread_time else "on the wall"
    return {
        "device": device.type,
        "name": name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "time": measured,
    }


def main(
    description: str, measure: Callable[[torch.device, int, float, int], dict[str, Any]]
) -> None:
    """The command of one benchmark: read the options, ``measure(device, batch, width, rounds)``,
    show what it found.
    """
    options = _parser(description).parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    show(
        measure(torch.device(options.device), options.batch, options.width, options.rounds),
        options.json,
    )


def _parser(description: str) -> argparse.ArgumentParser:
    """The options all benchmarks have."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--device", default=best_device(), choices=["cpu", "cuda"])
    options.add_argument("--batch", type=int, default=64)
    options.add_argument(
        "--width", type=float, default=1.0, help="of the net; below 1 only to try the benchmark"
    )
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--threads", type=int, default=None, help="CPU threads; default all cores")
    options.add_argument("--json", action="store_true", help="print one JSON document")
    return options


def show(found: dict[str, Any], as_json: bool) -> None:
    """Print a benchmark's result: one JSON document, or a table of times and of ratios with median
    and range.
    """
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print(
        ", ".join(
            f"{name} {value}" for name, value in (found["machine"] | found["settings"]).items()
        )
    )
    width = max(map(len, [*found["seconds"], *found["ratios"]]))
    for name, value in found["seconds"].items():
        print(
            f"{name:{width}}  {1e3 * value['median']:9.2f} ms  ({1e3 * value['low']:.2f} to"
            f" {1e3 * value['high']:.2f})"
        )
    for name, value in found["ratios"].items():
        print(
            f"{name:{width}}  {value['median']:9.3f}     ({value['low']:.3f} to"
            f" {value['high']:.3f})"
        )
