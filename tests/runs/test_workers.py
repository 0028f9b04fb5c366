"""Runs spread over processes and over a Dask cluster: each ends once, none is lost or doubled, even
when a worker is killed.
"""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from threading import Thread

import pytest
import torch

from replication.base.errors import InputError
from replication.recipe import CifarNetSpec, Data, Recipe, Update
from replication.runs import conduct, workers
from replication.runs.store import Task
from replication.runs.workers import SCHEDULER, Workers

EPOCHS = 12


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    return tmp_path


def _task(seed: int) -> Task:
    data = Data(name="synthetic", count=240, size=32, scale=1 / 64)
    net = CifarNetSpec(init="fan_in")
    return Task(
        "quick",
        "spread",
        f"seed{seed}",
        Recipe(data=data, net=net, update=Update(rate=0.001), batch=8, epochs=EPOCHS, seed=seed),
    )


def _lines(work: Path) -> int:
    log = work / "train.log"
    return log.read_text().count("\n") if log.is_file() else 0


def test_a_killed_worker_of_a_cluster_loses_and_doubles_no_run(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    conduct.run(_task(9))  # makes the embedded data set, and is then only read
    tasks = [_task(seed) for seed in range(4)]
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        monkeypatch.setenv(SCHEDULER, cluster.scheduler_address)
        victims = {name: worker.process.pid for name, worker in cluster.workers.items()}
        assert len(victims) == 2

        killed = []

        def killer() -> None:
            works = [folders / "runs" / task.recipe.id for task in tasks]
            while not any(1 <= _lines(work) < EPOCHS for work in works):
                time.sleep(0.005)
            os.kill(victims[0], signal.SIGKILL)
            killed.append(sum((task.folder).is_dir() for task in tasks))

        thread = Thread(target=killer, daemon=True)
        with Workers() as workers:
            thread.start()
            runs = workers.all(tasks)
            thread.join(10)
    assert killed and killed[0] < len(tasks), "no worker was killed while a run was under way"
    kept = sorted(path.name for path in (folders / "results" / "quick" / "spread").iterdir())
    assert kept == sorted(task.folder.name for task in [*tasks, _task(9)])
    assert [run.summary["epochs"] for run in runs] == [EPOCHS] * 4
    assert all(run.history["epoch"].tolist() == list(range(1, EPOCHS + 1)) for run in runs)


def test_two_processes_give_the_bits_of_one(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCHEDULER, raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(workers, "cpus", lambda: 2)
    try:
        alone = [conduct.run(_task(seed)).history for seed in (0, 1)]
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setenv("REPLICATION_RESULTS", str(folders / "again"))
    monkeypatch.setenv("REPLICATION_RUNS", str(folders / "runs-again"))
    conduct.run(_task(9))
    with Workers(2) as both:
        spread = [run.history for run in both.all([_task(0), _task(1)])]
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


def test_fewer_than_one_job_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        Workers(0)
