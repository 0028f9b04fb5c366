"""``python -m replication`` is the ``replication`` command; torchrun starts it that way."""

import sys

from replication.cli import INTERRUPTED, RESUME


def main() -> None:
    """Run the command line. An interrupt while it is still loading is one line, too."""
    try:
        from replication.cli.app import main as run

        run()
    except KeyboardInterrupt:
        print(f"replication: {RESUME}", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
