"""The book: execute the notebooks, build the pages, and the directives that the chapters use."""
