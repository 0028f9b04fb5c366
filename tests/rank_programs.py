"""What the processes of ``test_ranks`` run. Each program gets its place among the ranks and writes
what it found.
"""

import dataclasses
import multiprocessing
import os
import random
import threading
import time

import torch
from torch.nn import functional as F

from replication.base.errors import InputError, TrainingError
from replication.nets.alexnet import alexnet
from replication.nets.dropout import seed_masks
from replication.nets.towers import load_towers
from replication.recipe import AlexNetSpec
from replication.training.distributed import exchange
from replication.training.distributed.group import ProcessGroup
from replication.training.distributed.ranks import join
from replication.training.sgd import PaperSGD

SPEC = AlexNetSpec(side=24, width=1 / 8, classes=5)
BATCH, STEPS = 8, 5
LIMIT_SECONDS = 100  # generous: a loaded machine starts processes slowly


def make(dropout=True, seed=0):
    return alexnet(
        SPEC.model_copy(update={"dropout": dropout}), torch.Generator().manual_seed(seed)
    ).double()


def batches():
    generator = torch.Generator().manual_seed(7)
    for _ in range(STEPS):
        yield (
            60 * torch.randn(BATCH, 3, 24, 24, generator=generator).double(),
            torch.randint(5, (BATCH,), generator=generator),
        )


def train(net, part=slice(None), average=lambda: None, restless=None):
    """Five updates; returns the logits before each, and the gradients of the first.

    ``restless``: a number of random pauses, with the backward pass in a thread of its own, as
    autograd runs it on a GPU."""
    optimiser, logits, first = PaperSGD(net.parameters(), 0.01), [], None
    for step, (images, labels) in enumerate(batches()):
        seed_masks(net, seed=3, step=step)
        answer = net(images[part])
        optimiser.zero_grad()
        loss = F.cross_entropy(answer, labels[part].to(answer.device))
        if restless is None:
            loss.backward()
        else:
            time.sleep(restless.uniform(0, 0.2))
            backward = threading.Thread(target=loss.backward)
            backward.start()
            backward.join()
            time.sleep(restless.uniform(0, 0.2))
        average()
        optimiser.step()
        logits.append(answer.detach().cpu())
        first = first or {name: p.grad.clone() for name, p in net.named_parameters()}
    return torch.stack(logits), first, optimiser


def training(ranks, dropout, restless=False, staged=False):
    """Train this rank's tower, and bring weights, gradients and velocities together as a checkpoint
    would.
    """
    ranks = dataclasses.replace(ranks, staged=staged or ranks.staged)
    net = exchange.on_ranks(make(dropout), ranks)
    logits, first, optimiser = train(
        net,
        ranks.share(BATCH),
        lambda: exchange.average_gradients(net, ranks),
        random.Random(ranks.rank) if restless else None,
    )
    velocities = {name: optimiser.state[p]["velocity"] for name, p in net.named_parameters()}
    gathered = [
        exchange.gather(named, net, ranks) for named in (net.state_dict(), first, velocities)
    ]
    return {
        "logits": logits,
        "weights": gathered[0],
        "gradients": gathered[1],
        "velocities": gathered[2],
    }


def loading(ranks):
    """The logits of a net whose weights came from another placement's checkpoint."""
    net = exchange.on_ranks(make(seed=5), ranks)
    load_towers(net, make(seed=6).state_dict())
    with torch.no_grad():
        return {"logits": net.eval()(next(batches())[0])}


def losing(ranks, lost, how):
    """Rank ``lost`` leaves or falls silent before the second step; the others report how they
    ended.
    """
    net = exchange.on_ranks(make(), ranks)
    start = time.monotonic()
    try:
        for step, (images, labels) in enumerate(batches()):
            if step == 1 and ranks.rank == lost:
                if how == "silent":
                    time.sleep(600)
                raise SystemExit(9)
            F.cross_entropy(net(images[ranks.share(BATCH)]), labels[ranks.share(BATCH)]).backward()
            exchange.average_gradients(net, ranks)
    except TrainingError as error:
        return {"error": str(error), "seconds": time.monotonic() - start}
    return {"error": "", "seconds": 0.0}


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def comparing(ranks, other):
    """Compare what the ranks see; rank 1 sees ``other``."""
    group = ProcessGroup(ranks)
    alike = {"code": "a", "labels": "b"}
    group.compare(alike)
    try:
        group.compare(alike | (other if ranks.rank == 1 else {}))
    except InputError as error:
        return {"error": str(error)}
    return {"error": ""}


def saving(ranks, seconds):
    """Rank 0 is busy for longer than the loop's limit; the others then continue."""
    group = ProcessGroup(ranks)
    if group.is_main:
        time.sleep(seconds)
    group.wait()
    return {"every": group.every(ranks.rank != 1), "all": group.every(True)}


PROGRAMS = {
    "training": training,
    "loading": loading,
    "losing": losing,
    "comparing": comparing,
    "saving": saving,
}


def run(program, rank, world, folder, timeout, late, device, arguments):
    """Entry of a process. It ends with the one that started it, however that one ends. The last
    rank comes ``late`` seconds after the others.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    time.sleep(late if rank == world - 1 else 0)
    ranks = join(device, f"file://{folder}/meet", timeout, rank=rank, world_size=world)
    torch.save(PROGRAMS[program](ranks, **arguments), f"{folder}/{rank}.pt")


def launch(
    folder, world, program, waited_for=None, timeout=60.0, late=0.0, device="cpu", **arguments
):
    """Run ``program`` on ``world`` ranks; the results of the ranks ``waited_for`` (all), by
    rank.
    """
    context = multiprocessing.get_context("forkserver")
    # torch is imported once, then processes start at once
    context.set_forkserver_preload(["rank_programs"])
    waited_for = range(world) if waited_for is None else waited_for
    processes = [
        context.Process(
            target=run,
            args=(program, rank, world, str(folder), timeout, late, device, arguments),
            daemon=True,
        )
        for rank in range(world)
    ]
    try:
        for process in processes:
            process.start()
        end = time.monotonic() + LIMIT_SECONDS
        for rank in waited_for:
            processes[rank].join(max(0.0, end - time.monotonic()))
        codes = {rank: processes[rank].exitcode for rank in waited_for}
        assert set(codes.values()) == {0}, (
            f"exit codes by rank (None: still running after {LIMIT_SECONDS} s): {codes}"
        )
        return {rank: torch.load(folder / f"{rank}.pt", weights_only=True) for rank in waited_for}
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-10, atol=1e-13, msg=lambda m, name=name: f"{name}: {m}"
        )


def check_training(results, dropout, world):
    net = make(dropout)
    logits, gradients, optimiser = train(net)
    first, second = (
        torch.cat([results[rank]["logits"] for rank in range(tower, world, 2)], 1)
        for tower in (0, 1)
    )
    assert torch.equal(first, second)  # both towers are told the same logits
    torch.testing.assert_close(first, logits, rtol=1e-10, atol=1e-13)
    velocities = {name: optimiser.state[p]["velocity"] for name, p in net.named_parameters()}
    for rank in range(0, world, 2):
        assert_same(results[rank]["gradients"], gradients)
        assert_same(results[rank]["velocities"], velocities)
        assert_same(results[rank]["weights"], net.state_dict())
