"""Two ranks, and two pairs of ranks, train as one device does; and a lost rank ends the others.

Each test starts its processes with a limit on time and ends them all, whatever happens.
"""

import multiprocessing
import time

import pytest
import rank_programs
import torch

from replication.base.errors import InputError
from replication.training.distributed.ranks import join

LIMIT_SECONDS = 100  # generous: a loaded machine starts processes slowly


def launch(folder, world, program, waited_for=None, timeout=60.0, **arguments):
    """Run ``program`` on ``world`` ranks; the results of the ranks ``waited_for`` (all), by
    rank.
    """
    context = multiprocessing.get_context("forkserver")
    # torch is imported once, then processes start at once
    context.set_forkserver_preload(["rank_programs"])
    waited_for = range(world) if waited_for is None else waited_for
    processes = [
        context.Process(
            target=rank_programs.run,
            args=(program, rank, world, str(folder), timeout, arguments),
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
    net = rank_programs.make(dropout)
    logits, gradients, optimiser = rank_programs.train(net)
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


def test_two_ranks_train_as_one_device_does(tmp_path):
    check_training(launch(tmp_path, 2, "training", dropout=True), dropout=True, world=2)


def test_two_pairs_train_on_halves_of_the_minibatch_as_one_device_on_the_whole(tmp_path):
    results = launch(tmp_path, 4, "training", dropout=False)
    check_training(results, dropout=False, world=4)
    assert all(
        torch.equal(value, results[2]["weights"][name])
        for name, value in results[0]["weights"].items()
    )


def test_ranks_load_the_checkpoint_of_one_device(tmp_path):
    results = launch(tmp_path, 2, "loading")
    wanted = rank_programs.make(seed=6).eval()(next(rank_programs.batches())[0])
    for result in results.values():
        torch.testing.assert_close(result["logits"], wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("world", "lost", "how"), [(2, 1, "leaves"), (2, 0, "silent"), (4, 3, "leaves")]
)
def test_a_lost_rank_ends_the_others_with_a_clear_message(tmp_path, world, lost, how):
    others = [rank for rank in range(world) if rank != lost]
    timeout = 10.0 if how == "silent" else 60.0  # a closed connection must end them without it
    results = launch(tmp_path, world, "losing", others, timeout, lost=lost, how=how)
    for rank, result in results.items():
        assert result["error"].startswith(
            f"rank {rank} (copy {rank // 2}, tower {rank % 2}): another rank is lost or silent"
        )
        assert "start all ranks again" in result["error"]
        assert result["seconds"] < 40


def test_an_odd_number_of_ranks_is_refused():
    with pytest.raises(InputError, match="3 ranks cannot be pairs"):
        join("cpu", rank=0, world_size=3)
