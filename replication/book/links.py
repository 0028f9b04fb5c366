"""Where the book's pages are, for links between them."""

PAGES = "experiments/"  # documents whose names begin so are executed notebooks


def up_to_root(docname: str) -> str:
    """Return the path from a page to the book's root: "../" for "paper/lrn"."""
    return "../" * docname.count("/")
