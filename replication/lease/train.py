"""The trainings of a plan, one after another in one process, each with its evaluation.

A training resumes from its last checkpoint. Libraries, the GPU and compiled kernels take longer to
get ready than a short run takes. Each line of standard input is a job, and each line of the answer
an exit status."""

import json
import os
import sys
from typing import TextIO

from replication.base.errors import InputError, TrainingError
from replication.lease.plan import Training
from replication.runs.conduct import run


def main() -> int:
    """Work through the jobs; return the exit status of a command, 130 after an interruption.

    An error that is no fault of the input or the training ends the process with a traceback: after
    some of them a GPU takes no further work from it."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what others print is no answer
    for line in sys.stdin:
        job = json.loads(line)
        with open(job["log"], "a", encoding="utf-8", buffering=1) as log:
            status = _train(Training.model_validate(job["training"]), log)
        if status == 130:
            return status
        print(status, file=answers)
    return 0


def _train(training: Training, log: TextIO) -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log.fileno(), stream.fileno())
    try:
        run(training.task())
    except (InputError, TrainingError) as error:
        print(f"replication.lease: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 3
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
