"""Working through a plan on the GPU machine until its time is up, and packing the facts.

Every step has a limit, and is interrupted in the way that leaves a checkpoint. Commands run alone,
each in a process of its own; trainings run side by side, because one of them leaves much of a GPU
unused, in processes that train one run after another, under NVIDIA's MPS if the machine has it.
What is done and what is under way is kept in a state folder, so the same command resumes where the
last one was stopped. After every step the facts are written again, so that none are lost if the
machine goes away during the next step."""

import io
import json
import os
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from replication.base import machine, paths
from replication.base.code import code_digest
from replication.base.devices import check_device, described, driver
from replication.base.errors import InputError
from replication.base.files import write_atomic, write_text
from replication.base.text import counted
from replication.lease import mps
from replication.lease.images import receive_images
from replication.lease.plan import Plan, Step
from replication.lease.processes import GRACE_SECONDS, INTERRUPTED, Process, Trainer
from replication.nets import compiling
from replication.runs import provenance, seal

ARCHIVE = "facts.tar.gz"
JOBS = 3  # trainings side by side on a GPU, never more than CPUs
# The same with MPS. On one H100, nets of section 3.3 in bf16 train at 115,000 images/s alone, at
# 290,000 as 6 and at 320,000 as 13 together (26 November 2026).
MPS_JOBS = 12
LEAST_SECONDS = 10.0  # a step that has less is not begun
LOG_BYTES = 20_000  # of each log's end that are brought back
LEFT = ("to do", "waits for images")  # of the states of a step
KEPT = (".json", ".jsonl", ".csv")  # of the results, and each run's seal

Say = Callable[[str], None]


class Lease:
    """A plan on this machine: its folders, its device, and the end of its time."""

    def __init__(
        self,
        plan: Plan,
        packed: Path,
        state: Path,
        out: Path,
        minutes: float,
        device: str,
        jobs: int | None = None,
    ) -> None:
        self.plan, self.packed, self.state, self.out = plan, packed, state, out
        self.device = check_device(device)
        self.jobs = jobs or (min(JOBS, machine.cpus()) if self.device.type == "cuda" else 1)
        self._jobs_chosen = bool(jobs)
        self._mps: mps.Mps | None = None  # until the first trainings on a GPU
        self._writing = threading.Lock()  # the archive
        self._stopped = threading.Event()  # no further step
        self.waiting: set[str] = set()  # data sets that are not complete, or damaged
        self.end = time.monotonic() + 60 * minutes
        self.environment = os.environ | {
            "REPLICATION_DATA": str(state / "data"),
            "REPLICATION_RUNS": str(state / "runs"),
            "REPLICATION_RESULTS": str(state / "results"),
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")])
            ),
            "PYTHONUNBUFFERED": "1",
            # compiled once for all processes, in a folder that can be written
            "TRITON_CACHE_DIR": str(state / "compiled" / "triton"),
            "TORCHINDUCTOR_CACHE_DIR": str(state / "compiled" / "inductor"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",  # few kernels: no processes to compile them in
        }
        if self.device.type == "cpu":
            self.environment["CUDA_VISIBLE_DEVICES"] = ""
        if plan.origin.commit and plan.origin.code == code_digest():
            self.environment[provenance.COMMIT] = plan.origin.commit + (
                provenance.DIRTY if plan.origin.dirty else ""
            )

    @property
    def left(self) -> float:
        """Seconds that are left, less those for an interruption."""
        return self.end - time.monotonic() - GRACE_SECONDS

    def first_line(self) -> str:
        """Return a line that names the device, the driver and the code."""
        found = driver()
        release = f"driver {found.release or 'unknown'}" if found else "no driver"
        commit = self.environment.get(provenance.COMMIT)
        code = (
            f"commit {commit}" if commit else "a commit that is not known (other code than packed)"
        )
        lacking = compiling.missing()
        kernels = f"without compiled kernels ({lacking} is missing), " if lacking else ""
        steps = counted(len(self.plan.steps), "step")
        return f"{described(self.device)}, {release}, {kernels}{code}, {steps}"

    def status(self, step: Step) -> str:
        """Return "done", "left out: ...", "waits for images" or "to do"."""
        if (self.state / "done" / step.name).is_file():
            return "done"
        if step.device == "cuda" and self.device.type == "cpu":
            return "left out: it needs CUDA"
        if lacking := [name for name in step.needs if find_spec(name) is None]:
            return f"left out: {lacking[0]} is not installed"
        if step.training is not None and step.training.recipe.data.name in self.waiting:
            return "waits for images"
        return "to do"

    def run(self, say: Say) -> bool:
        """Work through the steps; return whether all that can be done here is done."""
        say(self.first_line())
        for images in self.plan.images:
            try:
                missing = receive_images(images, self.packed, self.state / "data")
            except InputError as error:  # the rest of the plan is still worth the machine's time
                self.waiting.add(images.name)
                say(str(error))
                continue
            if missing:
                self.waiting.add(images.name)
                say(f"{images.name} waits for {', '.join(missing)}, in this call or the next")
        with ExitStack() as until_the_end:
            for trainings, steps in groupby(
                (step for step in self.plan.steps if self.status(step) == "to do"),
                lambda step: step.training is not None,
            ):
                if trainings:
                    self._share(until_the_end, say)
                    self._side_by_side(iter(list(steps)), say)
                    continue
                for step in steps:
                    self._do(step, say, partial(self._command, step))
        if self._stopped.is_set():
            say("no time left")
        self.bring_back()
        return not any(self.status(step) in LEFT for step in self.plan.steps)

    def _share(self, until_the_end: ExitStack, say: Say) -> None:
        """Start MPS before the first trainings on a GPU, and say whether it is used."""
        if self.device.type == "cpu" or self._mps is not None or self._stopped.is_set():
            return
        if self._jobs_chosen and self.jobs == 1:  # it has the GPU to itself
            return
        self._mps = until_the_end.enter_context(
            mps.running(self.state / "mps", self._log("mps", "log"))
        )
        if self._mps.variables and not self._jobs_chosen:
            self.jobs = min(MPS_JOBS, machine.cpus())
        say(self._sharing())

    def _sharing(self) -> str:
        """Return a line that says whether MPS is used; "" before the first trainings on a GPU."""
        if self._mps is None:
            return ""
        jobs = counted(self.jobs, "training")
        if self._mps.variables:
            return f"with MPS, {jobs} at a time"
        return f"without MPS ({self._mps.reason}), {jobs} at a time"

    def _side_by_side(self, steps: Iterator[Step], say: Say) -> None:
        """Do trainings in as many processes as there are jobs, each taking the next one."""
        environment = self.environment | dict(self._mps.variables if self._mps else {})
        if self.jobs > 1:
            environment["OMP_NUM_THREADS"] = str(max(1, machine.cpus() // self.jobs))
        taking, running = threading.Lock(), {}

        def work(number: int) -> None:
            try:
                while not self._stopped.is_set():
                    with taking:
                        step = next(steps, None)
                    if step is None:
                        return
                    if number not in running or not running[number].is_alive():
                        running[number] = Trainer(environment)
                    self._do(step, say, partial(self._train, running[number], step))
            finally:
                if number in running:
                    running[number].close()

        with ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(work, number) for number in range(self.jobs)]
            try:
                for future in futures:
                    future.result()
            except BaseException:  # this program is interrupted: nothing is left behind
                self._stopped.set()
                # all at once: whoever ends this program does not wait long
                with ThreadPoolExecutor(self.jobs) as ending:
                    list(ending.map(lambda trainer: trainer.interrupt(), list(running.values())))
                raise

    def _do(self, step: Step, say: Say, work: Callable[[float], int]) -> None:
        """Do one step if there is time for it, and bring the facts back."""
        seconds = min(60 * step.minutes, self.left)
        if seconds < LEAST_SECONDS:
            self._stopped.set()
        if self._stopped.is_set():
            return
        begun = time.monotonic()
        code = work(seconds)
        if code == 0:
            write_text(self.state / "done" / step.name, "")
        ended = "done" if code == 0 else "interrupted" if code == INTERRUPTED else f"status {code}"
        say(f"{step.name}: {ended}, {time.monotonic() - begun:.0f} s")
        self.bring_back()

    def _command(self, step: Step, seconds: float) -> int:
        with (
            self._log(step.name, "out").open("ab") as out,
            self._log(step.name, "log").open("ab") as log,
        ):
            process = Process(step.command, self.environment, stdout=out, stderr=log)
            return process.wait(seconds)

    def _train(self, trainer: Trainer, step: Step, seconds: float) -> int:
        return trainer.train(step.training, self._log(step.name, "log"), seconds)

    def _log(self, name: str, kind: str) -> Path:
        folder = self.state / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.{kind}"

    def bring_back(self) -> Path:
        """Write the facts so far into one archive: results, ends of logs, and what is done."""
        path = self.out / ARCHIVE
        with self._writing:
            write_atomic(path, lambda file: file.write(_archive(self._facts())))
        return path

    def _facts(self) -> Iterator[tuple[str, bytes]]:
        status = {step.name: self.status(step) for step in self.plan.steps}
        origin = self.plan.origin.model_dump()
        facts = {
            "machine": self.first_line(),
            "trainings": self._sharing(),
            "origin": origin,
            "steps": status,
        }
        yield "lease.json", json.dumps(facts, indent=1).encode()
        for path in _finished(self.state / "results"):
            yield path.relative_to(self.state).as_posix(), path.read_bytes()
        for path in sorted((self.state / "logs").glob("*")):
            yield path.relative_to(self.state).as_posix(), path.read_bytes()[-LOG_BYTES:]


def default_state() -> Path:
    """Return the folder for state between calls on the same machine."""
    return Path(tempfile.gettempdir()) / "replication-lease"


def _finished(results: Path) -> Iterator[Path]:
    """Yield the files of the runs that have ended.

    Others are written meanwhile, under hidden names that go away."""
    for folder, folders, names in os.walk(results):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(folder) / name for name in sorted(names) if not name.startswith(".")):
            if path.suffix in KEPT or path.name == seal.FILE:
                yield path


def _archive(files: Iterator[tuple[str, bytes]]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()
