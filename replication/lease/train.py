"""One training of a plan, in a process of its own: trained from its last checkpoint, evaluated."""

import os
import sys

from replication.base.errors import InputError, TrainingError
from replication.lease.plan import Training
from replication.runs.conduct import run


def main() -> int:
    """Run the training that REPLICATION_LEASED describes; return the exit status of a command."""
    training = Training.model_validate_json(os.environ["REPLICATION_LEASED"])
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
