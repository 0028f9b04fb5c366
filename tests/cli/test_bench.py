"""The benchmarks run, say what they must, and their way of timing treats all cases alike. What they
measure is not tested.
"""

import json

import pytest
import torch

from replication.base import paths
from replication.base.benchmarks import benchmark
from replication.base.errors import InputError
from replication.cli import bench

CPU = torch.device("cpu")


def test_every_case_runs_as_often_and_each_turn_begins_with_another():
    timing = benchmark("timing")
    ran, now = [], iter(range(1000))
    cases = {name: lambda name=name: ran.append(name) for name in "abc"}
    seconds = timing.rounds(cases, 2, CPU, clock=lambda: float(next(now)))
    assert {name: ran.count(name) for name in cases} == dict.fromkeys("abc", 1 + 2 * timing.TURNS)
    assert "".join(ran[3:12]) == "abcbcacab"
    assert seconds == dict.fromkeys("abc", [1.0, 1.0])


def test_a_round_takes_the_least_of_its_turns_and_ratios_are_within_rounds():
    timing = benchmark("timing")
    # the first is not counted
    ticks = iter([0, 9, *(t for turn in (5, 3, 4, 2, 8, 6) for t in (0, turn))])
    assert timing.rounds({"a": lambda: None}, 2, CPU, clock=lambda: float(next(ticks))) == {
        "a": [3.0, 2.0]
    }
    assert timing.ratio({"a": [3.0, 2.0, 8.0], "b": [1.0, 2.0, 2.0]}, "a", "b") == {
        "median": 3.0,
        "low": 1.0,
        "high": 4.0,
    }


def test_a_short_case_is_repeated_until_its_measurement_is_long_enough():
    timing = benchmark("timing")
    now = [0.0]

    def case():
        now[0] += 0.004

    runs = timing.enough_runs(case, CPU, lambda: now[0], least=0.05)
    assert runs == 16 and timing._seconds(case, CPU, lambda: now[0], runs) == pytest.approx(0.004)
    assert timing.enough_runs(case, CPU, lambda: now[0], least=0.0) == 1


def test_rounds_end_when_the_time_for_them_is_over():
    timing = benchmark("timing")
    cases = {"a": lambda: None}
    assert len(timing.rounds(cases, 5, CPU, cap=0.0)["a"]) == 1
    assert timing.completed(timing.rounds(cases, 5, CPU, cap=0.0)) == 1  # what is printed
    assert len(timing.rounds(cases, 5, CPU, cap=60.0)["a"]) == 5


def test_with_one_thread_the_time_of_other_programs_is_left_out():
    timing = benchmark("timing")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert timing.machine(CPU, timing.clock(CPU))["time"] == "of the thread"
        torch.set_num_threads(2)
        assert timing.machine(CPU, timing.clock(CPU))["time"] == "on the wall"
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "ratios"),
    [
        (
            "lrn",
            {
                "torch over ours, layer",
                "copying over ours, layer",
                "step with ours over without",
                "step with torch's over without",
            },
        ),
        ("step", {"rate of ours over the matrix product's", "without normalisation, over ours"}),
    ],
)
def test_a_benchmark_prints_one_json_document_of_ratios_with_their_spread(
    name, ratios, capsys, monkeypatch
):
    monkeypatch.setattr(benchmark("timing"), "TURNS", 1)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # as every test leaves them
    bench.bench(name, device="cpu", batch=1, width=1 / 16, rounds=1, threads=1, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["benchmark"] == name and ratios <= found["ratios"].keys()
    assert all(
        value["low"] <= value["median"] <= value["high"] for value in found["ratios"].values()
    )
    assert found["settings"]["batch"] == 1 and found["machine"]["device"] == "cpu"


def test_outside_the_repository_one_line_says_that_the_benchmarks_are_missing(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    with pytest.raises(
        InputError, match=r"lrn.py does not exist; the benchmarks are in the repository"
    ):
        benchmark("lrn")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="no device 'cuda': .*use cpu"):
        bench.bench("lrn", device="cuda", batch=1, width=1 / 16, rounds=1, threads=None)


@pytest.mark.parametrize("batch", [64, 256, 512])
def test_the_photographs_fill_a_minibatch_of_any_size(batch: int) -> None:
    assert benchmark("loader").images_of_a_round(CPU, batch) >= batch


@pytest.mark.parametrize("option", [["--rounds", "0"], ["--width", "0"], ["--threads", "-1"]])
def test_a_benchmark_run_by_itself_refuses_what_it_cannot_time(option, capsys):
    with pytest.raises(SystemExit) as ended:
        benchmark("timing")._parser("x").parse_args(option)
    assert ended.value.code == 2 and "invalid" in capsys.readouterr().err


def test_fewer_rounds_than_asked_for_are_said(capsys):
    found = {"settings": {"rounds": 2}, "machine": {}, "seconds": {"a": {}}, "ratios": {}}
    benchmark("timing").show(found, True, 5)
    assert "2 of 5 rounds" in capsys.readouterr().err
    benchmark("timing").show(found, True, 2)
    assert not capsys.readouterr().err
