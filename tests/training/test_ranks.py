"""Two ranks, and two pairs of ranks, train as one device does; and a lost rank ends the others.

Each test starts its processes with a limit on time and ends them all, regardless of what happens.
"""

import pytest
import rank_programs
import torch
from rank_programs import check_training, launch

from replication.base.errors import InputError
from replication.training.distributed.ranks import ENVIRONMENT, _own_device, join, world_size
from replication.training.session import is_first, is_rank


def test_two_ranks_train_as_one_device_does(tmp_path):
    check_training(launch(tmp_path, 2, "training", dropout=True), dropout=True, world=2)


def test_pauses_and_a_backward_pass_in_another_thread_change_nothing(tmp_path):
    results = launch(tmp_path, 2, "training", dropout=True, restless=True, staged=True)
    check_training(results, dropout=True, world=2)


def test_a_late_rank_is_waited_for_longer_than_a_silent_one_in_the_loop(tmp_path):
    results = launch(tmp_path, 2, "saving", timeout=2.0, late=4.0, seconds=4.0)
    # one rank's answer is every rank's
    assert all(result == {"every": False, "all": True} for result in results.values())


@pytest.mark.parametrize("name", ["code", "labels"])
def test_ranks_that_see_different_things_stop_before_the_first_step(tmp_path, name):
    results = launch(tmp_path, 2, "comparing", other={name: "z"})
    for result in results.values():
        assert result["error"].startswith(f"rank 1 has another {name} than rank 0 (z and ")


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


RANK = {"RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture
def environment(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    return lambda values: [monkeypatch.setenv(name, value) for name, value in values.items()]


@pytest.mark.parametrize("left_over", ["4", "2", "abc", ""])
def test_a_world_size_left_in_a_plain_shell_makes_no_rank(environment, left_over):
    environment({"WORLD_SIZE": left_over})
    assert world_size() == 1 and not is_rank() and is_first()


@pytest.mark.parametrize(("size", "ranks"), [("4", 4), ("", 1)])
def test_the_number_of_ranks_is_torchruns(environment, size, ranks):
    environment(RANK | {"WORLD_SIZE": size})
    assert world_size() == ranks


@pytest.mark.parametrize("size", ["abc", "-2", "2.0"])
def test_a_world_size_that_is_no_number_is_one_line(environment, size):
    environment(RANK | {"WORLD_SIZE": size})
    with pytest.raises(InputError, match=f"WORLD_SIZE is '{size}', which is no number; start"):
        world_size()


def test_fewer_cards_than_ranks_are_refused_with_both_ways_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="2 ranks on this machine, and it has 1 GPU:.*cuda:0"):
        join("cuda", rank=0, world_size=2)
    assert _own_device("cuda:0", 1, 2) == (torch.device("cuda:0"), True)
    assert _own_device("cuda", 0, 1) == (torch.device("cuda:0"), False)
