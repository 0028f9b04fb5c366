"""How every benchmark here times: all cases in turn, so that what slows the machine slows all of
them alike.

A round is ``TURNS`` turns, each running every case once and beginning with another one; a case's
time in a round is the least of its turns, as other programs can only add to it. Ratios are taken
within a round and reported as median and range over the rounds. A time alone says little on a
shared machine.

On a GPU a case is repeated until ``LEAST_SECONDS`` are over, because the host needs as long for one
launch as a kernel takes. That is the time on the wall; ``busy`` is the GPU's own, of a replayed
CUDA graph, without the gaps between launches."""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from replication.base.devices import best_device
from replication.training.process.allocator import keep_freed_memory

ROUNDS = 5
TURNS = 3
LEAST_SECONDS = 0.05  # of one measurement on a GPU
MOST_RUNS = 4096  # of a case in one measurement
CAP_SECONDS = 120.0  # for all rounds of one benchmark; at least one round is complete
WARM_UPS = 3  # runs before a graph is captured
REPLAYS = 20

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
    cases: dict[str, Case],
    count: int,
    device: torch.device,
    clock: Clock = time.perf_counter,
    cap: float = CAP_SECONDS,
) -> dict[str, list[float]]:
    """Return each case's seconds in each of ``count`` rounds, after a turn that is not counted.

    Fewer rounds if ``cap`` seconds are over. Memory is kept as the trainer keeps it. On a GPU
    float32 is float32, and cuDNN looks for the fastest algorithm, as in the trainer."""
    keep_freed_memory()
    begun = time.monotonic()
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = False, True
    names = list(cases)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    least = LEAST_SECONDS if device.type == "cuda" else 0.0
    runs = {}
    for name in names:
        _seconds(cases[name], device, clock)
        runs[name] = enough_runs(cases[name], device, clock, least)
    for number in range(count):
        if number and time.monotonic() - begun > cap:
            break
        best = dict.fromkeys(names, float("inf"))
        for turn in range(TURNS):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                best[name] = min(best[name], _seconds(cases[name], device, clock, runs[name]))
        for name in names:
            seconds[name].append(best[name])
    return seconds


def enough_runs(case: Case, device: torch.device, clock: Clock, least: float) -> int:
    """Return how often a case runs in one measurement, so that it takes ``least`` seconds."""
    runs = 1
    while least and runs < MOST_RUNS and runs * _seconds(case, device, clock, runs) < least:
        runs *= 2
    return runs


def busy(case: Case, device: torch.device) -> float | None:
    """Return the seconds that a GPU computes for one run of ``case``; None on a CPU.

    The case must be one that a CUDA graph can hold: fixed shapes, and no number that the host
    reads."""
    if device.type != "cuda":
        return None
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            case()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        case()
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    graph.replay()
    first.record()
    for _ in range(REPLAYS):
        graph.replay()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) / 1000 / REPLAYS


def all_busy(cases: dict[str, Case], device: torch.device) -> dict[str, float]:
    """Return ``busy`` of every case; empty on a CPU."""
    found = {name: busy(case, device) for name, case in cases.items()}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def _seconds(case: Case, device: torch.device, clock: Clock, runs: int = 1) -> float:
    """Seconds of one of ``runs`` runs that follow each other."""
    _finish(device)
    start = clock()
    for _ in range(runs):
        case()
    _finish(device)
    return (clock() - start) / runs


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def spread(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def completed(seconds: dict[str, list[float]]) -> int:
    """The number of rounds that were measured: fewer than asked for if the time was over."""
    return min(len(values) for values in seconds.values())


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
    found = measure(torch.device(options.device), options.batch, options.width, options.rounds)
    show(found, options.json, options.rounds)


def _parser(description: str) -> argparse.ArgumentParser:
    """The options all benchmarks have."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--device", default=best_device(), choices=["cpu", "cuda"])
    options.add_argument("--batch", type=positive_int, default=64)
    options.add_argument(
        "--width", type=positive, default=1.0, help="of the net; below 1 only to try the benchmark"
    )
    options.add_argument("--rounds", type=positive_int, default=ROUNDS)
    options.add_argument(
        "--threads", type=positive_int, default=None, help="CPU threads; default all cores"
    )
    options.add_argument("--json", action="store_true", help="print one JSON document")
    return options


def positive_int(text: str) -> int:
    """A whole number of at least one."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def positive(text: str) -> float:
    """A positive number."""
    if not float(text) > 0:
        raise ValueError(text)
    return float(text)


def show(found: dict[str, Any], as_json: bool, asked: int) -> None:
    """Print a benchmark's result: one JSON document, or a table of times and of ratios with median
    and range. If the time was over before ``asked`` rounds, say so on standard error.
    """
    done = found["settings"]["rounds"]
    if done < asked:
        print(
            f"stopped after {done} of {asked} rounds: {CAP_SECONDS:g} s had passed", file=sys.stderr
        )
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
    for name, value in found.get("busy seconds", {}).items():
        print(f"{name:{width}}  {1e3 * value:9.2f} ms  busy")
    for name, value in found["ratios"].items():
        print(
            f"{name:{width}}  {value['median']:9.3f}     ({value['low']:.3f} to"
            f" {value['high']:.3f})"
        )
