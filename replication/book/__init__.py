"""The book: execute the notebooks, build the pages, and the directives that the chapters use."""

KERNEL = "python3"  # the Jupyter kernel that the notebooks name
JUPYTER_BOOK = "1"  # version 2 reads neither _config.yml nor Sphinx extensions
SOCKET = 70  # characters of TMPDIR: a process's sockets there have names of at most 107
