"""Image files on disk: layouts, the index, decoding, and whether files are unchanged."""

from replication.data.files.decode import POLICY, Unreachable, Unreadable, picture
from replication.data.files.index import Index, index_cifar, index_folder, read_image

__all__ = [
    "POLICY",
    "Index",
    "Unreachable",
    "Unreadable",
    "index_cifar",
    "index_folder",
    "picture",
    "read_image",
]
