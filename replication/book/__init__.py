"""The book: execute the notebooks, build the pages, and the directives that the chapters use."""

KERNEL = "python3"  # the Jupyter kernel that the notebooks name
