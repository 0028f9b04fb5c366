"""A pool of processes of which one is ended from outside: nobody waits for it for ever."""

import multiprocessing
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest
from processes import ended

from replication.base import pools


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_work_of_a_pool_that_lost_a_process_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "SECONDS", 0.2)
    pool = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))
    futures = [pool.submit(time.sleep, 0.3) for _ in range(8)]
    assert pools.wait_for(futures[0], pool) is None
    cancelled = [future.cancel() for future in futures]
    assert any(cancelled)  # of these the pool's own thread dies in Python 3.11
    processes = pools.processes(pool)
    processes[0].kill()
    with pytest.raises(BrokenProcessPool):
        pools.wait_for(pool.submit(time.sleep, 0.1), pool)
    pools.kill(pool)
    assert len(processes) == 2 and ended(processes)


def test_a_pool_is_ended_where_its_processes_ignore_sigterm() -> None:
    # as under nohup and some CI runners; the pool's own ending would wait for ever
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        pool = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))
        futures = [pool.submit(time.sleep, seconds) for seconds in (0.0, 600.0)]
        assert pools.wait_for(futures[0], pool) is None
    finally:
        signal.signal(signal.SIGTERM, before)
    processes = pools.processes(pool)
    start = time.monotonic()
    pools.kill(pool)
    assert time.monotonic() - start < 300
    assert len(processes) == 2 and ended(processes)


def test_a_pool_that_another_thread_has_ended_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "SECONDS", 0.2)
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    assert pools.wait_for(pool.submit(time.sleep, 0.0), pool) is None
    lost: Future[None] = Future()  # as the pool's thread leaves them, if it ends with an error
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            pools.wait_for(lost, pool)
        except BrokenProcessPool as error:
            errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.1)  # so that it waits
    pools.kill(pool)
    thread.join(60)
    assert len(errors) == 1


def test_a_timeout_of_the_work_itself_is_its_own() -> None:
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.raises(TimeoutError, match="of the work"),
    ):
        pools.wait_for(pool.submit(_late), pool)


def _late() -> None:
    raise TimeoutError("of the work")
