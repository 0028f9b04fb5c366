"""``python -m replication`` is the ``replication`` command; torchrun starts it that way."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line. An interrupt while it is still loading is one line, too."""
    try:
        from replication.cli.app import main as run

        run()
    except KeyboardInterrupt:
        print("replication: interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
