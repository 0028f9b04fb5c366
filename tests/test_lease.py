"""A plan is packed at home and worked through on a bare machine, in one call or in several."""

import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import torch

from replication.base import paths
from replication.base.errors import InputError
from replication.lease import drive, pack
from replication.lease.__main__ import main
from replication.lease.images import pack_images, receive_images
from replication.lease.plan import Images, Plan, Step, Training, read_plan, write_plan
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.runs.store import Task

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


def test_a_step_that_is_cut_off_goes_on_in_the_next_call(tmp_path: Path) -> None:
    long = RECIPE.model_copy(update={"epochs": 100_000})
    [step] = pack.trainings([Task("quick", "x", "long", long)], 5.0)
    plan = Plan(steps=(step,))
    here = {"packed": tmp_path, "state": tmp_path / "state", "out": tmp_path / "out"}
    log = tmp_path / "state" / "runs" / long.id / "train.log"

    class Cut(drive.Lease):
        """Its time is over once an epoch has been trained in this call."""

        def _wait(self, process: subprocess.Popen, seconds: float) -> int:
            begun = time.monotonic()
            epochs = log.read_text().count("epoch ") if log.is_file() else 0
            while not log.is_file() or log.read_text().count("epoch ") < epochs + 3:
                assert process.poll() is None and time.monotonic() < begun + 100
                time.sleep(0.1)
            raise subprocess.TimeoutExpired(process.args, seconds)

    for call_number in range(2):
        lease = Cut(plan, **here, minutes=1.0, device="cpu")
        assert lease._run(step, 12.0) == 130
        assert log.read_text().count("resumed after epoch") == call_number
    assert lease.status(step) == "to do"


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


def test_a_training_whose_images_are_not_there_yet_waits(tmp_path: Path) -> None:
    images = Images(name="synthetic", parts=("a", "b"), digest="0" * 64)
    plan = Plan(images=(images,), steps=tuple(steps()[2:3]))
    lease = drive.Lease(plan, tmp_path, tmp_path / "state", tmp_path / "out", 5.0, "cpu")
    lines: list[str] = []
    assert not lease.run(lines.append) and lines[1].startswith("synthetic waits for a, b")


def test_other_code_than_was_packed_is_not_given_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = pack.pack(tmp_path, [HELLO])
    monkeypatch.setattr(drive, "code_digest", lambda: "other")
    lease = drive.Lease(plan, tmp_path, tmp_path / "s", tmp_path / "o", 1.0, "cpu")
    assert "a commit that is not known" in lease.first_line()


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
