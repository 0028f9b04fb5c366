"""A plan is packed at home and worked through on a bare machine, in one call or in several."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import BinaryIO, ClassVar

import pytest
import torch

from replication.base import paths
from replication.base.errors import InputError
from replication.base.types import PROFILES
from replication.book.notebooks import settings
from replication.experiments import EXPERIMENTS, lrn_cifar_nets
from replication.lease import drive, mps, pack, parity, processes
from replication.lease.__main__ import main
from replication.lease.images import pack_images, receive_images
from replication.lease.plan import Images, Plan, Step, Training, read_plan, write_plan
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.runs import provenance, seal
from replication.runs.store import Task, write_run

# what is installed here and may be missing on a bare machine
MISSING = [
    "pandas",
    "scipy",
    "statsmodels",
    "yaml",
    "safetensors",
    "tqdm",
    "requests",
    "pooch",
    "typer",
    "rich",
    "matplotlib",
    "seaborn",
    "papermill",
    "nbformat",
    "nbclient",
    "jupyter_client",
    "nvidia",
    "sphinx",
]
RECIPE = Recipe(
    data=Data(name="synthetic", count=100, validation=20, size=32, crop=24, augment=True),
    net=AlexNetSpec(side=24, width=1 / 16, init="same_variance", classes=10),
    update=Update(rate=0.001),
    batch=20,
    epochs=2,
)
HELLO = Step(name="hello", minutes=1, command=("-c", "print('a fact')"))
GPU_ONLY = Step(name="gpu-only", minutes=1, device="cuda", command=("-c", "raise SystemExit(1)"))
BAD = Step(name="bad", minutes=1, command=("-c", "import sys; sys.exit('why it failed')"))


def steps() -> list[Step]:
    tasks = [Task("quick", "x", "run", RECIPE, (("train", 1), ("test", 10)))]
    return [HELLO, GPU_ONLY, *pack.trainings(tasks, 2.0), BAD]


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment whose Python finds torch, numpy, Pillow and pydantic, and what they need."""
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "sitecustomize.py").write_text(
        "import sys\n"
        f"MISSING = {MISSING!r}\n"
        "class Bare:\n"
        "    def __init__(self, finder):\n"
        "        self.finder = finder\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        missing = name.split('.')[0] in MISSING\n"
        "        return None if missing else self.finder.find_spec(name, path, target)\n"
        "sys.meta_path[:] = [Bare(finder) for finder in sys.meta_path]\n"
    )
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "bare"), str(paths.ROOT)]),
        "OMP_NUM_THREADS": "1",
    }


def call(tmp_path: Path, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            *(sys.executable, "-m", "replication.lease", str(tmp_path / "packed" / "plan.json")),
            *(
                "--device",
                "cpu",
                "--state",
                str(tmp_path / "state"),
                "--out",
                str(tmp_path / "out"),
            ),
            *options,
        ],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
    )


def test_a_plan_is_done_on_a_bare_machine_and_its_facts_come_back(
    tmp_path: Path, bare: dict[str, str]
) -> None:
    plan = pack.pack(tmp_path / "packed", steps())
    training = plan.steps[2].name
    dry = call(tmp_path, bare, "--minutes", "3", "--dry-run")
    assert dry.returncode == 0 and not (tmp_path / "state").exists()
    assert f"{training}: at most 2 min, to do" in dry.stdout
    done = call(tmp_path, bare, "--minutes", "3")
    assert done.returncode == 1, done.stderr  # one step failed
    lines = done.stdout.splitlines()
    assert lines[0].startswith("cpu") and (plan.origin.commit or "") in lines[0]
    assert [line.split(",")[0] for line in lines[1:4]] == [
        "hello: done",
        f"{training}: done",
        "bad: status 1",
    ]
    with tarfile.open(tmp_path / "out" / drive.ARCHIVE) as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive}
    assert files["logs/hello.out"] == b"a fact\n" and b"why it failed" in files["logs/bad.log"]
    run = f"results/quick/x/run-{RECIPE.id}"
    provenance = json.loads(files[f"{run}/provenance.json"])
    assert provenance["commit"] == plan.origin.commit and provenance["code"] == plan.origin.code
    assert json.loads(files[f"{run}/evaluation.json"]).keys() == {"train/1", "test/10"}
    assert json.loads(files["lease.json"])["steps"]["gpu-only"] == "left out: it needs CUDA"
    # the facts are a result like any other, in the place that an experiment looks for it
    again = call(tmp_path, bare, "--minutes", "3")
    assert "hello" not in again.stdout and "bad: status 1" in again.stdout


def test_a_step_that_is_cut_off_resumes_in_the_next_call(tmp_path: Path) -> None:
    long = RECIPE.model_copy(update={"epochs": 100_000})
    [step] = pack.trainings([Task("quick", "x", "long", long)], 5.0)
    plan = Plan(steps=(step,))
    here = {"packed": tmp_path, "state": tmp_path / "state", "out": tmp_path / "out"}
    log = tmp_path / "state" / "runs" / long.id / "train.log"

    class Cut(processes.Trainer):
        """Its time is over once an epoch has been trained in this call."""

        def _answers(self, seconds: float) -> bool:
            begun = time.monotonic()
            epochs = log.read_text().count("epoch ") if log.is_file() else 0
            while not log.is_file() or log.read_text().count("epoch ") < epochs + 3:
                assert self.is_alive() and time.monotonic() < begun + 100
                time.sleep(0.1)
            return False

    for call_number in range(2):
        lease = drive.Lease(plan, **here, minutes=1.0, device="cpu")
        trainer = Cut(lease.environment)
        assert lease._train(trainer, step, 12.0) == 130 and not trainer.is_alive()
        trainer.close()
        assert log.read_text().count("resumed after epoch") == call_number
    assert lease.status(step) == "to do"


class Instant(processes.Process):
    """A trainer that notes what it is given; one run fails, and one ends the process."""

    started: ClassVar[list["Instant"]] = []
    together: ClassVar[int] = 0  # as many are started before any of them is done

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment, self.trained, self.ended = environment, [], False
        self.started.append(self)

    def is_alive(self) -> bool:
        return not self.ended

    def train(self, training: Training, log: Path, seconds: float) -> int:
        self.trained.append(training.name)
        begun = time.monotonic()
        while len(self.started) < self.together and time.monotonic() < begun + 30:
            time.sleep(0.01)
        time.sleep(0.01)
        self.ended = training.name == "run1"
        return {"run1": 1, "run2": 3}.get(training.name, 0)

    def close(self) -> None:
        self.ended = True

    def interrupt(self) -> None:
        self.ended = True


def test_trainings_run_side_by_side_and_a_process_that_dies_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Instant.started.clear()
    monkeypatch.setattr(drive, "Trainer", Instant)
    recipes = [RECIPE.model_copy(update={"seed": seed}) for seed in range(9)]
    tasks = [Task("quick", "x", f"run{i}", recipe) for i, recipe in enumerate(recipes)]
    plan = Plan(steps=tuple(pack.trainings(tasks, 1.0)))
    folders = (tmp_path, tmp_path / "state", tmp_path / "out")
    lease = drive.Lease(plan, *folders, 5.0, "cpu", jobs=3)
    lines: list[str] = []
    assert not lease.run(lines.append)
    ended = {line.split("-")[1]: line.split(": ")[1].split(",")[0] for line in lines[1:]}
    failed = {"run1": "status 1", "run2": "status 3"}
    assert ended == dict.fromkeys((f"run{i}" for i in range(9)), "done") | failed
    assert sorted(sum((one.trained for one in Instant.started), [])) == sorted(ended)
    assert len(Instant.started) == 4 and all(one.ended for one in Instant.started)


# MPS in its place: it writes down what it was started with, starts a server, and waits
FAKE_MPS = """#!/bin/sh
sleep 300 &
echo "$$ $!" > {folder}/processes
echo "$@" > {folder}/words
env > {folder}/environment
wait
"""


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pretended GPU and 16 CPUs; return the folder where MPS may be installed, on PATH."""
    Instant.started.clear()
    monkeypatch.setattr(drive, "Trainer", Instant)
    monkeypatch.setattr(drive, "check_device", torch.device)
    monkeypatch.setattr(drive, "described", str)
    monkeypatch.setattr(drive.machine, "cpus", lambda: 16)
    monkeypatch.setattr(mps, "PLACES", ())
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path / "bin"


def install(folder: Path, program: str) -> None:
    path = folder / mps.PROGRAM
    path.write_text(program.format(folder=shlex.quote(str(folder))))
    path.chmod(0o755)


def many(tmp_path: Path, jobs: int | None = None, first: tuple[Step, ...] = ()) -> drive.Lease:
    """A lease of a command and 20 trainings on the pretended GPU."""
    recipes = [RECIPE.model_copy(update={"seed": seed}) for seed in range(20)]
    trainings = pack.trainings([Task("quick", "x", f"r{r.seed}", r) for r in recipes], 1.0)
    plan = Plan(steps=(*first, *trainings))
    return drive.Lease(plan, tmp_path, tmp_path / "state", tmp_path / "out", 5.0, "cuda", jobs)


def running(folder: Path) -> list[int]:
    """Those of MPS's processes that run."""
    every = [int(word) for word in (folder / "processes").read_text().split()]
    stat = {pid: Path(f"/proc/{pid}/stat") for pid in every}
    return [pid for pid in every if stat[pid].is_file() and " Z " not in stat[pid].read_text()]


def ends(folder: Path) -> bool:
    """Return whether none of MPS's processes runs; one that was killed may take a moment."""
    deadline = time.monotonic() + 10
    while running(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(folder)


def test_trainings_on_a_gpu_share_it_by_mps_which_ends_with_them(
    tmp_path: Path, gpu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(gpu, FAKE_MPS)
    monkeypatch.setattr(Instant, "together", 12)
    names = "print([name for name in __import__('os').environ if 'MPS' in name])"
    step = Step(name="alone", minutes=1, command=("-c", names))
    lease = many(tmp_path, first=(step,))
    lines: list[str] = []
    alive: list[int] = []
    assert lease.run(lambda line: (lines.append(line), alive.append(len(running_or_none(gpu)))))
    assert lines[1].startswith("alone: done") and alive[1] == 0  # not before the trainings
    assert lines[2] == "with MPS, 12 trainings at a time" and set(alive[2:]) == {2}
    assert len(Instant.started) == 12 and ends(gpu)
    assert (gpu / "words").read_text() == "-f\n"
    given = dict(line.split("=", 1) for line in (gpu / "environment").read_text().splitlines())
    variables = {name: value for name, value in given.items() if name.startswith("CUDA_MPS_")}
    assert variables.keys() == {"CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"}
    for place in map(Path, variables.values()):
        assert place.is_dir() and place.is_relative_to(tmp_path / "state")
    for one in Instant.started:
        assert variables.items() <= one.environment.items()
        assert one.environment["OMP_NUM_THREADS"] == "1"
    assert (tmp_path / "state" / "logs" / "alone.out").read_text() == "[]\n"


def running_or_none(folder: Path) -> list[int]:
    return running(folder) if (folder / "processes").is_file() else []


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (None, "nvidia-cuda-mps-control is not on PATH"),
        ("#!/bin/sh\nexit 3\n", "nvidia-cuda-mps-control ended with status 3"),
        ("#!/no/such/shell\n", "No such file or directory"),
    ],
)
def test_without_mps_fewer_trainings_share_the_gpu(
    tmp_path: Path,
    gpu: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str | None,
    reason: str,
) -> None:
    monkeypatch.setattr(Instant, "together", 3)
    if program:
        install(gpu, program)
    lines: list[str] = []
    assert many(tmp_path).run(lines.append)
    assert lines[1].endswith(f"{reason}), 3 trainings at a time") and len(Instant.started) == 3
    assert not any("CUDA_MPS_PIPE_DIRECTORY" in one.environment for one in Instant.started)
    with tarfile.open(tmp_path / "out" / drive.ARCHIVE) as archive:
        assert json.load(archive.extractfile("lease.json"))["trainings"] == lines[1]


@pytest.mark.parametrize(("cpus", "jobs", "processes"), [(2, None, 2), (16, 5, 5), (16, 1, 1)])
def test_there_are_as_many_trainings_as_requested_or_at_most_one_per_cpu(
    tmp_path: Path,
    gpu: Path,
    monkeypatch: pytest.MonkeyPatch,
    cpus: int,
    jobs: int | None,
    processes: int,
) -> None:
    install(gpu, FAKE_MPS)
    monkeypatch.setattr(drive.machine, "cpus", lambda: cpus)
    monkeypatch.setattr(Instant, "together", processes)
    assert many(tmp_path, jobs).run(lambda line: None)
    assert len(Instant.started) == processes
    assert (gpu / "words").is_file() == (processes > 1)  # a single one has the GPU to itself


def test_an_interruption_leaves_neither_trainings_nor_mps(
    tmp_path: Path, gpu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(gpu, FAKE_MPS)
    seen: list[int] = []

    def interrupted(self: Instant, training: Training, log: Path, seconds: float) -> int:
        seen.extend(running(gpu))
        raise KeyboardInterrupt

    monkeypatch.setattr(Instant, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        many(tmp_path).run(lambda line: None)
    assert seen and ends(gpu) and all(one.ended for one in Instant.started)


def test_a_signal_leaves_neither_trainings_nor_mps(tmp_path: Path, gpu: Path) -> None:
    install(gpu, FAKE_MPS)
    recipes = [RECIPE.model_copy(update={"seed": seed, "epochs": 100_000}) for seed in (0, 1)]
    tasks = [Task("quick", "x", f"r{recipe.seed}", recipe) for recipe in recipes]
    write_plan(tmp_path / "plan.json", Plan(steps=tuple(pack.trainings(tasks, 5.0))))
    options = ["--minutes", "9", "--state", str(tmp_path / "s"), "--out", str(tmp_path / "o")]
    program = (
        "import sys, torch\n"
        "from replication.lease import __main__, drive, mps\n"
        "drive.check_device, drive.described, mps.PLACES = torch.device, str, ()\n"
        "drive.machine.cpus = lambda: 2\n"
        f"sys.exit(__main__.main({[str(tmp_path / 'plan.json'), *options]!r}))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
    lease = subprocess.Popen([sys.executable, "-c", program], env=environment)
    logs = [tmp_path / "s" / "runs" / recipe.id / "train.log" for recipe in recipes]
    begun = time.monotonic()
    try:
        while not all(log.is_file() and "epoch " in log.read_text() for log in logs):
            assert lease.poll() is None and time.monotonic() < begun + 100
            time.sleep(0.1)
        assert len(running(gpu)) == 2
    finally:
        lease.terminate()
    assert lease.wait(60) == 130 and ends(gpu)
    ended = [log.read_text() for log in logs]
    time.sleep(1)
    assert [log.read_text() for log in logs] == ended


def test_the_threads_of_a_single_training_are_left_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Instant.started.clear()
    monkeypatch.setattr(drive, "Trainer", Instant)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    plan = Plan(steps=tuple(steps()[2:3]))
    folders = (tmp_path, tmp_path / "state", tmp_path / "out")
    assert drive.Lease(plan, *folders, 5.0, "cpu").run(lambda line: None)
    assert [one.environment["OMP_NUM_THREADS"] for one in Instant.started] == ["7"]


def test_no_step_is_begun_without_time_for_it(tmp_path: Path) -> None:
    lease = drive.Lease(
        Plan(steps=(HELLO,)), tmp_path, tmp_path / "state", tmp_path / "out", 0.5, "cpu"
    )
    lines: list[str] = []
    assert not lease.run(lines.append)
    assert lines[1:] == ["no time left"] and (tmp_path / "out" / drive.ARCHIVE).is_file()


def test_images_travel_in_parts_and_arrive_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "data" / "cifar10-jpeg"
    for split in ("train", "test"):
        for key in ("cat", "dog"):
            (folder / split / key).mkdir(parents=True)
            (folder / split / key / "0.jpg").write_bytes(os.urandom(3000))
    (tmp_path / "packed").mkdir()
    images = pack_images("cifar10", tmp_path / "packed", part_bytes=5000)
    first, *others = images.parts
    assert others
    (tmp_path / "later").mkdir()
    for part in others:  # they do not fit into the first call
        (tmp_path / "packed" / part).rename(tmp_path / "later" / part)
    assert receive_images(images, tmp_path / "packed", tmp_path / "there") == others
    assert receive_images(images, tmp_path / "later", tmp_path / "there") == []
    for path in folder.rglob("*.jpg"):
        there = tmp_path / "there" / path.relative_to(tmp_path / "data")
        assert there.read_bytes() == path.read_bytes()
    (tmp_path / "packed" / first).rename(tmp_path / "later" / first)
    (tmp_path / "later" / first).write_bytes(b"something else")
    with pytest.raises(InputError, match="cifar10 are damaged; pack them again"):
        receive_images(images, tmp_path / "later", tmp_path / "elsewhere")


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Images:
    """A data set in two parts, each in a folder of its own: what one call can bring."""
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    for split in ("train", "test"):
        for key in ("cat", "dog"):
            folder = tmp_path / "data" / "cifar10-jpeg" / split / key
            folder.mkdir(parents=True)
            (folder / "0.jpg").write_bytes(os.urandom(2000))
    (tmp_path / "packed").mkdir()
    images = pack_images("cifar10", tmp_path / "packed", part_bytes=5000)
    assert len(images.parts) == 2
    for call, part in enumerate(images.parts):
        (tmp_path / f"call-{call}").mkdir()
        (tmp_path / "packed" / part).rename(tmp_path / f"call-{call}" / part)
    return images


def test_a_part_whose_copy_was_cut_off_is_still_missing(
    packed: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(source: BinaryIO, target: BinaryIO) -> None:
        target.write(source.read(100))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copyfileobj", cut_off)
        receive_images(packed, tmp_path / "call-0", tmp_path / "there")
    assert receive_images(packed, tmp_path / "call-1", tmp_path / "there") == [packed.parts[0]]
    assert receive_images(packed, tmp_path / "call-0", tmp_path / "there") == []


def test_parts_of_an_earlier_packing_are_not_taken_for_those_of_this_one(
    packed: Images, tmp_path: Path
) -> None:
    older = packed.model_copy(update={"digest": "0" * 64})
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / packed.parts[1]).write_bytes(b"of other images")
    receive_images(older, tmp_path / "older", tmp_path / "there")
    assert receive_images(packed, tmp_path / "call-0", tmp_path / "there") == [packed.parts[1]]
    assert receive_images(packed, tmp_path / "call-1", tmp_path / "there") == []


def test_a_data_set_behind_links_is_packed_with_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    for split in ("train", "test"):
        for key in ("cat", "dog"):
            (tmp_path / "disk" / split / key).mkdir(parents=True)
            (tmp_path / "disk" / split / key / "0.jpg").write_bytes(key.encode())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cifar10-jpeg").symlink_to(tmp_path / "disk")  # on a larger disk
    (tmp_path / "packed").mkdir()
    images = pack_images("cifar10", tmp_path / "packed")
    assert receive_images(images, tmp_path / "packed", tmp_path / "there") == []
    there = tmp_path / "there" / "cifar10-jpeg" / "train" / "cat" / "0.jpg"
    assert there.read_bytes() == b"cat" and not there.parents[2].is_symlink()


def test_facts_that_come_back_are_whole_runs_that_a_sealed_experiment_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "state" / "results"
    monkeypatch.setenv("REPLICATION_RESULTS", str(results))
    write_run(Task("paper", "x", "run", RECIPE), [], [], {"epochs": 1}, {})
    under_way = results / "paper" / "x" / ".other-0123456789.abcd1234"  # by another trainer
    under_way.mkdir()
    (under_way / "recipe.json").write_text("{}")
    plan = Plan(steps=(HELLO,))
    lease = drive.Lease(plan, tmp_path, tmp_path / "state", tmp_path / "out", 5.0, "cpu")
    with tarfile.open(lease.bring_back()) as archive:
        archive.extractall(tmp_path / "home", filter="data")
    home = tmp_path / "home" / "results" / "paper" / "x"
    assert [path.name for path in home.iterdir()] == [f"run-{RECIPE.id}"]
    published = tmp_path / "published"
    published.mkdir()
    (published / "table.csv").write_text("error\n0.5\n")
    seal.seal(published)
    shutil.copytree(home, published, dirs_exist_ok=True)
    seal.check_unchanged(published)


def test_a_training_whose_images_are_not_there_yet_waits(tmp_path: Path) -> None:
    images = Images(name="synthetic", parts=("a", "b"), digest="0" * 64)
    plan = Plan(images=(images,), steps=tuple(steps()[2:3]))
    lease = drive.Lease(plan, tmp_path, tmp_path / "state", tmp_path / "out", 5.0, "cpu")
    lines: list[str] = []
    assert not lease.run(lines.append) and lines[1].startswith("synthetic waits for a, b")


def test_a_damaged_data_set_costs_its_own_steps_alone(tmp_path: Path) -> None:
    images = Images(name="cifar10", parts=("a",), digest="0" * 64)
    (tmp_path / "a").write_bytes(b"damaged")
    training = steps()[2]
    recipe = RECIPE.model_copy(update={"data": Data(name="cifar10")})
    waiting = training.model_copy(
        update={"training": training.training.model_copy(update={"recipe": recipe})}
    )
    plan = Plan(images=(images,), steps=(waiting, HELLO))
    lease = drive.Lease(plan, tmp_path, tmp_path / "state", tmp_path / "out", 5.0, "cpu")
    lines: list[str] = []
    assert not lease.run(lines.append)
    assert lines[1] == "the parts of cifar10 are damaged; pack them again"
    assert lease.status(HELLO) == "done" and lease.status(waiting) == "waits for images"


def test_other_code_than_was_packed_is_not_given_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = pack.pack(tmp_path, [HELLO])
    monkeypatch.setattr(drive, "code_digest", lambda: "other")
    lease = drive.Lease(plan, tmp_path, tmp_path / "s", tmp_path / "o", 1.0, "cpu")
    assert "a commit that is not known" in lease.first_line()


def test_a_plan_is_packed_outside_a_clone_too_without_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_clone(*words: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", "git")

    monkeypatch.setattr(provenance, "_git", no_clone)
    monkeypatch.delenv(provenance.COMMIT, raising=False)
    assert pack.pack(tmp_path, [HELLO]).origin.commit is None


def test_a_run_that_experiments_share_is_evaluated_for_all_of_them() -> None:
    tasks = [
        Task("quick", "x", "run", RECIPE, evaluate)
        for evaluate in ((("test", 1),), (("test", 10), ("test", 1)))
    ]
    [step] = pack.trainings(tasks, 1.0)
    assert step.training.evaluate == (("test", 1), ("test", 10))


def test_the_plan_for_thirty_minutes_begins_with_parity_and_knows_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))  # nothing is stored
    order = pack.read_order()
    assert order.part[0].checks == ("parity",) and order.minutes < 30
    known = {experiment.name for experiment in EXPERIMENTS}
    for part in order.part:
        assert set(part.experiments) <= known and part.profile in (None, *PROFILES)
        assert part.minutes >= 2  # compiling alone takes most of one
        if part.checks:
            assert not pack.check(part.checks[0], part.minutes).training
    checks = [one for part in order.part for one in part.checks]
    assert sorted(checks) == sorted(pack.CHECKS)
    plan = Plan(steps=tuple(pack.steps_of(order)))  # which checks that the names differ
    assert {step.training.profile for step in plan.steps if step.training} == {"gpu", "paper"}


@pytest.mark.parametrize("name", sorted(set(pack.CHECKS) - {"tests"}))
def test_every_check_starts_on_a_bare_machine(name: str, bare: dict[str, str]) -> None:
    words = [sys.executable, *pack.CHECKS[name][:2], "--help"]
    done = subprocess.run(words, env=bare, cwd=paths.ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "--device" in done.stdout, done.stderr


def test_runs_that_are_stored_are_left_out_of_the_next_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = [Task("gpu", "x", f"run{i}", RECIPE.model_copy(update={"seed": i})) for i in (0, 1)]
    monkeypatch.setattr(pack, "experiment_tasks", lambda profile, names: tasks)
    monkeypatch.setattr(Task, "is_stored", lambda self: self.name == "run0")
    part = pack.Part(experiments=("x",), minutes=1, publishes="")
    order = pack.Order(profile="gpu", minutes=1, part=(part, part))
    assert [step.training.name for step in pack.steps_of(order)] == ["run1"]


def test_a_part_may_have_a_profile_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr(
        pack, "experiment_tasks", lambda profile, names: asked.append((profile, names)) or []
    )
    parts = tuple(
        pack.Part(experiments=("x",), minutes=1, publishes="", profile=profile)
        for profile in ("paper", None)
    )
    assert pack.steps_of(pack.Order(profile="gpu", minutes=1, part=parts)) == []
    assert asked == [("paper", ("x",)), ("gpu", ("x",))]


def test_runs_whose_recipes_wait_for_results_are_not_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    # a search: its first run only, because the others depend on it
    first = pack.experiment_tasks("gpu", ("relu_vs_tanh",))
    assert len(first) == 2 * 5 and all(task.name.startswith("select-") for task in first)
    # constants that are measured in a net: no placeholder, and no net whose weights are needed
    norms = settings("lrn_cifar", "paper")
    assert norms.only_stored  # of the notebook: the runs are packed nevertheless
    packed = pack.experiment_tasks("paper", ("lrn_cifar",))
    every = lrn_cifar_nets.tasks(norms)
    # nor a training that begins with the weights of another one, nor that one
    parents = {task.recipe.init_from for task in every if task.recipe.init_from}
    wanted = [task for task in every if not task.recipe.init_from and task.recipe.id not in parents]
    assert (
        parents
        and packed
        and {task.recipe.id for task in packed}
        == {
            task.recipe.id
            for task in wanted
            if not task.recipe.net.gains and task.recipe.seed != norms.gain_seed
        }
    )
    gains = (0.9, 0.8)
    monkeypatch.setattr(lrn_cifar_nets, "stored_gains", lambda settings: gains)
    packed = pack.experiment_tasks("paper", ("lrn_cifar",))
    assert len(packed) == len(wanted) and {task.recipe.net.gains for task in packed} == {(), gains}


def test_an_order_with_an_unknown_check_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "order.toml"
    part = '[[part]]\nchecks = ["speed"]\nminutes = 1\npublishes = "x"\n'
    path.write_text('profile = "gpu"\nminutes = 5\n' + part)
    with pytest.raises(InputError, match="no check 'speed'; use parity"):
        pack.read_order(path)


def test_every_comparison_of_the_parity_step_holds_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path))
    assert parity.main(["--device", "cpu"]) == 0
    first, *lines = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["device"].startswith("cpu")
    assert len(lines) > 20 and all(line["difference"] <= line["most"] for line in lines)
    # where there is nothing else to compare with, it is the same form: no difference at all
    same = [line for line in lines if "CUDA graph" in line["what"] or "fused" in line["what"]]
    assert len(same) == 3 and all(line["difference"] == 0 for line in same)
    assert not parity.Compared("", float("nan"), 1.0).holds


def test_the_first_seed_of_every_run_comes_before_the_second_of_any() -> None:
    tasks = [
        Task("quick", "x", name, RECIPE.model_copy(update={"seed": seed, "epochs": epochs}))
        for name, epochs in (("a", 1), ("b", 2))
        for seed in (0, 1)
    ]
    ordered = pack.trainings([*tasks, tasks[0]], 1.0)
    assert [(step.training.name, step.training.recipe.seed) for step in ordered] == [
        ("a", 0),
        ("b", 0),
        ("a", 1),
        ("b", 1),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "No such file.*replication.lease.pack"),
        ("{", "not a plan"),
        ('{"steps": [{"name": "a b", "minutes": 1, "command": ["x"]}]}', "steps.0.name"),
        ('{"steps": [{"name": "a", "minutes": 1}]}', "a command or a training"),
    ],
)
def test_a_faulty_plan_is_one_line(tmp_path: Path, text: str | None, line: str) -> None:
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=line):
        read_plan(tmp_path / "plan.json")


def test_a_plan_keeps_whole_recipes(tmp_path: Path) -> None:
    training = Training(profile="quick", experiment="x", name="run", recipe=RECIPE)
    plan = Plan(steps=(Step(name="one", minutes=1, training=training),))
    write_plan(tmp_path / "plan.json", plan)
    assert read_plan(tmp_path / "plan.json").steps[0].training.recipe.id == RECIPE.id


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_not_there_is_refused(tmp_path: Path, capsys) -> None:
    write_plan(tmp_path / "plan.json", Plan(steps=(HELLO,)))
    assert main([str(tmp_path / "plan.json"), "--minutes", "1"]) == 2
    assert "no device 'cuda'" in capsys.readouterr().err


def test_the_plain_safetensors_are_the_librarys(tmp_path: Path) -> None:

    from safetensors.torch import load_file, save

    from replication.training import plain_safetensors as plain

    tensors = {"b.weight": torch.randn(3, 2), "a": torch.randn(5), "empty": torch.empty(0, 2)}
    content = plain.save(tensors)
    assert content == save(tensors)
    (tmp_path / "x.safetensors").write_bytes(content)
    with plain.safe_open(tmp_path / "x.safetensors") as file:
        assert all(torch.equal(file.get_tensor(name), tensors[name]) for name in tensors)
    assert load_file(tmp_path / "x.safetensors").keys() == tensors.keys()
    (tmp_path / "x.safetensors").write_bytes(content[:-1])
    with pytest.raises(plain.SafetensorError, match="bytes of"):
        plain.safe_open(tmp_path / "x.safetensors")
