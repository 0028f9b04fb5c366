"""Runs spread over processes and over a Dask cluster: each ends once, none is lost or doubled, even
when a worker is killed.
"""

import io
import multiprocessing
import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
import torch

from replication.base.errors import InputError, TrainingError
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs import cluster, conduct, workers
from replication.runs.cluster import SCHEDULER
from replication.runs.store import Task
from replication.runs.workers import Workers

EPOCHS = 12
BEGUN = 2  # lines of a log: the run's own, and that of its first epoch


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    return tmp_path


def _task(seed: int, epochs: int = EPOCHS) -> Task:
    data = Data(name="synthetic", count=240, size=32, scale=1 / 64)
    net = CifarNetSpec(init="fan_in")
    return Task(
        "quick",
        "spread",
        f"seed{seed}",
        Recipe(data=data, net=net, update=Update(rate=0.001), batch=8, epochs=epochs, seed=seed),
    )


def _lines(work: Path) -> int:
    log = work / "train.log"
    return log.read_text().count("\n") if log.is_file() else 0


def test_a_killed_worker_of_a_cluster_loses_and_doubles_no_run(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    conduct.run(_task(9, epochs=1))  # makes the embedded data set, and is then only read
    tasks = [_task(seed) for seed in range(4)]
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as local:
        monkeypatch.setenv(SCHEDULER, local.scheduler_address)
        victims = {name: worker.process.pid for name, worker in local.workers.items()}
        assert len(victims) == 2

        killed = []

        def killer() -> None:
            works = [folders / "runs" / task.recipe.id for task in tasks]
            while not any(1 <= _lines(work) < EPOCHS for work in works):
                time.sleep(0.005)
            os.kill(victims[0], signal.SIGKILL)
            killed.append(sum((task.folder).is_dir() for task in tasks))

        thread = Thread(target=killer, daemon=True)
        with Workers() as spread:
            thread.start()
            runs = spread.all(tasks)
            thread.join(10)
    assert killed and killed[0] < len(tasks), "no worker was killed while a run was under way"
    kept = sorted(path.name for path in (folders / "results" / "quick" / "spread").iterdir())
    assert kept == sorted(task.folder.name for task in [*tasks, _task(9, epochs=1)])
    assert [run.summary["epochs"] for run in runs] == [EPOCHS] * 4
    assert all(run.history["epoch"].tolist() == list(range(1, EPOCHS + 1)) for run in runs)


def test_two_processes_give_the_bits_of_one(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCHEDULER, raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(workers, "cpus", lambda: 2)
    try:
        alone = [conduct.run(_task(seed, epochs=2)).history for seed in (0, 1)]
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setenv("REPLICATION_RESULTS", str(folders / "again"))
    monkeypatch.setenv("REPLICATION_RUNS", str(folders / "runs-again"))
    conduct.run(_task(9, epochs=1))
    with Workers(2) as both:
        spread = [run.history for run in both.all([_task(0, epochs=2), _task(1, epochs=2)])]
    for a, b in zip(alone, spread, strict=True):
        assert a.equals(b)


def test_a_scheduler_that_does_not_answer_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv(SCHEDULER, "nonsense://here")
    with pytest.raises(InputError, match="no Dask scheduler answers at nonsense://here"):
        Workers()


def test_workers_take_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert workers.gpus() == ("2", "5")
    turn, taken = multiprocessing.get_context("spawn").Value("i", 0), []
    for _ in range(3):
        workers._take_gpu(turn, ("2", "5"))
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert taken == ["2", "5", "2"]


def test_a_run_that_fails_beside_others_is_reported_while_they_are_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors, seen = io.StringIO(), []
    monkeypatch.setattr("sys.stderr", errors)

    def chain(number: int) -> None:
        if number < 2:
            raise InputError(f"run {number} has no images")
        deadline = time.monotonic() + 10
        while "has no images" not in errors.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(errors.getvalue())

    several = Workers()
    several._pool = ThreadPoolExecutor(1)  # the chains need no process here
    with several, pytest.raises(InputError, match="run 0 has no images"):
        several.chains(chain, range(3))
    (line,) = seen
    assert "has no images (reported now" in line and errors.getvalue().count("\n") == 1


def test_fewer_than_one_job_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        Workers(0)


@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "kill"])
def test_an_interrupt_ends_the_runs_under_way_with_a_checkpoint_and_starts_no_other(
    folders: Path, monkeypatch: pytest.MonkeyPatch, to_all: bool
) -> None:
    monkeypatch.delenv(SCHEDULER, raising=False)
    tasks = [_task(seed) for seed in range(4)]
    tasks = [replace(task, recipe=task.recipe.model_copy(update={"epochs": 500})) for task in tasks]
    works = [folders / "runs" / task.recipe.id for task in tasks]

    def interrupt() -> None:
        while sum(_lines(work) >= BEGUN for work in works) < 2:
            time.sleep(0.01)
        for child in multiprocessing.active_children() if to_all else ():
            os.kill(child.pid, signal.SIGINT)  # a terminal and ``replication run`` reach all
        os.kill(os.getpid(), signal.SIGINT)  # `kill -INT` reaches this process alone

    Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), Workers(2) as both:
        both.all(tasks)
    assert not any(task.folder.is_dir() for task in tasks)
    begun = [work for work in works if _lines(work)]
    assert len(begun) == 2
    assert all(list(work.glob("step-*.pt")) for work in begun)


def test_an_interrupt_of_the_one_who_waits_for_a_single_run_ends_it_with_a_checkpoint(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SCHEDULER, raising=False)
    task = _task(0, epochs=500)
    work = folders / "runs" / task.recipe.id

    def interrupt() -> None:
        while _lines(work) < BEGUN:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), Workers(2) as both:
        both.run(task)  # as the search for a rate does, run after run
    assert not task.folder.is_dir() and list(work.glob("step-*.pt"))


def test_a_worker_with_other_code_stores_nothing(folders: Path) -> None:
    with pytest.raises(InputError, match="other code"):
        workers.train_in_worker(_task(0), {}, "another digest")
    assert not (folders / "results").exists()


def test_a_timeout_of_a_run_on_a_cluster_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: Future[None] = Future()
    failed.set_exception(TimeoutError(110, "Connection timed out"))  # of a network drive

    def look(self: cluster.Cluster) -> None:
        raise AssertionError("waits on")

    monkeypatch.setattr(cluster.Cluster, "_look", look)
    pytest.importorskip("distributed")
    with pytest.raises(TimeoutError, match="timed out"):
        cluster.Cluster.wait(cluster.Cluster.__new__(cluster.Cluster), failed, None)


def test_a_cluster_without_workers_says_so(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "SECONDS", 0.2)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as empty,
        cluster.Cluster(empty.scheduler_address) as connected,
    ):
        future = connected.pool.submit(time.sleep, 0)
        waiter = Thread(target=lambda: connected.wait(future, _task(0)), daemon=True)
        waiter.start()
        waiter.join(2)
        assert waiter.is_alive()
        empty.scale(1)
        waiter.join(60)
    assert "no workers yet at" in capsys.readouterr().err


def _fail(path: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write("tried ")
    raise InputError("no such data set")


def test_a_run_that_fails_on_a_cluster_is_not_tried_again(folders: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, processes=False, dashboard_address=None, silence_logs=50
        ) as local,
        cluster.Cluster(local.scheduler_address) as connected,
    ):
        future = connected.pool.submit(_fail, str(folders / "tries"))
        with pytest.raises(InputError, match="no such data set"):
            connected.wait(future, _task(0))
    assert (folders / "tries").read_text() == "tried "


def test_the_workers_that_died_under_a_run_are_counted() -> None:
    distributed = pytest.importorskip("distributed")
    failed: Future[None] = Future()
    failed.set_exception(distributed.KilledWorker("run", None, 3))
    lost = cluster.Cluster.__new__(cluster.Cluster)
    lost.address = "tcp://here"
    with pytest.raises(TrainingError, match="seed0: 4 workers at tcp://here died"):
        lost.wait(failed, _task(0))
