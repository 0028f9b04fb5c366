"""``python -m replication`` is the ``replication`` command; torchrun starts it that way."""

from replication.cli.app import main

if __name__ == "__main__":
    main()
