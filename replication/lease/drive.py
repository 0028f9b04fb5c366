"""On the machine: work through a plan until the minutes are over, and bring small facts back.

Every step runs in a process of its own with a limit, and is interrupted in the way that leaves a
checkpoint. What is done and what is under way is kept in a state folder, so the same command goes
on where the last one was stopped. After every step the facts are written anew, so that they come
back even if the machine is taken away in the middle of the next one."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from replication.base import paths
from replication.base.code import code_digest
from replication.base.devices import check_device, described, driver
from replication.base.files import write_atomic, write_text
from replication.lease.images import receive_images
from replication.lease.plan import Plan, Step
from replication.runs import provenance

ARCHIVE = "facts.tar.gz"
LEAST_SECONDS = 10.0  # a step that has less is not begun
GRACE_SECONDS = 30.0  # from the interruption to the kill: a checkpoint is written in it
LOG_BYTES = 20_000  # of each log's end that are brought back
LEFT = ("to do", "waits for images")  # of the states of a step
KEPT = (".json", ".jsonl", ".csv")  # of the results

Say = Callable[[str], None]


class Lease:
    """A plan on this machine: its folders, its device, and the end of its time."""

    def __init__(
        self, plan: Plan, packed: Path, state: Path, out: Path, minutes: float, device: str
    ) -> None:
        self.plan, self.packed, self.state, self.out = plan, packed, state, out
        self.device = check_device(device)
        self.waiting: set[str] = set()  # data sets that are not complete
        self.end = time.monotonic() + 60 * minutes
        self.environment = os.environ | {
            "REPLICATION_DATA": str(state / "data"),
            "REPLICATION_RUNS": str(state / "runs"),
            "REPLICATION_RESULTS": str(state / "results"),
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")])
            ),
            "PYTHONUNBUFFERED": "1",
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
        return f"{described(self.device)}, {release}, {code}, {len(self.plan.steps)} steps"

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
            if missing := receive_images(images, self.packed, self.state / "data"):
                self.waiting.add(images.name)
                say(f"{images.name} waits for {', '.join(missing)}, in this call or the next")
        for step in self.plan.steps:
            if self.status(step) != "to do":
                continue
            seconds = min(60 * step.minutes, self.left)
            if seconds < LEAST_SECONDS:
                say("no time left")
                break
            begun = time.monotonic()
            code = self._run(step, seconds)
            if code == 0:
                write_text(self.state / "done" / step.name, "")
            ended = "done" if code == 0 else "interrupted" if code == 130 else f"status {code}"
            say(f"{step.name}: {ended}, {time.monotonic() - begun:.0f} s")
            self.bring_back()
        self.bring_back()
        return not any(self.status(step) in LEFT for step in self.plan.steps)

    def _run(self, step: Step, seconds: float) -> int:
        """Run one step for so long at most; return its exit status, 130 if it was interrupted."""
        logs = self.state / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        command = step.command or ("-m", "replication.lease.train", step.name)
        environment = self.environment
        if step.training is not None:
            text = step.training.model_dump_json()
            environment = environment | {"REPLICATION_LEASED": text}
        with (
            (logs / f"{step.name}.out").open("ab") as out,
            (logs / f"{step.name}.log").open("ab") as log,
        ):
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=paths.ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
            try:
                return self._wait(process, seconds)
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGTERM)
                try:
                    process.wait(GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    _signal(process, signal.SIGKILL)
                    process.wait()
                return 130
            except BaseException:  # this program is interrupted: nothing is left behind
                _signal(process, signal.SIGTERM)
                process.wait(GRACE_SECONDS)
                raise

    def _wait(self, process: subprocess.Popen, seconds: float) -> int:
        return process.wait(seconds)

    def bring_back(self) -> Path:
        """Write the facts so far into one archive: results, ends of logs, and what is done."""
        path = self.out / ARCHIVE
        write_atomic(path, lambda file: file.write(_archive(self._facts())))
        return path

    def _facts(self) -> Iterator[tuple[str, bytes]]:
        status = {step.name: self.status(step) for step in self.plan.steps}
        origin = self.plan.origin.model_dump()
        facts = {"machine": self.first_line(), "origin": origin, "steps": status}
        yield "lease.json", json.dumps(facts, indent=1).encode()
        for path in sorted((self.state / "results").rglob("*")):
            if path.is_file() and path.suffix in KEPT:
                yield path.relative_to(self.state).as_posix(), path.read_bytes()
        for path in sorted((self.state / "logs").glob("*")):
            yield path.relative_to(self.state).as_posix(), path.read_bytes()[-LOG_BYTES:]


def default_state() -> Path:
    """Return the folder whose content outlasts one call, but not the machine."""
    return Path(tempfile.gettempdir()) / "replication-lease"


def _signal(process: subprocess.Popen, number: int) -> None:
    """Send a signal to a step and to what it started."""
    if process.poll() is None:
        os.killpg(process.pid, number)


def _archive(files: Iterator[tuple[str, bytes]]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()
