"""Where data sets come from: the catalog, downloads, ILSVRC's archives, the synthetic set."""

from replication.data.sources.catalog import find, get, listing, names, open_index

__all__ = ["find", "get", "listing", "names", "open_index"]
