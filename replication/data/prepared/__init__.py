"""What is prepared from a data set once: stored images, statistics, verification."""

from replication.data.prepared.statistics import Statistics, streamed_statistics
from replication.data.prepared.store import Store, prepare, prepare_jpeg
from replication.data.prepared.verify import Report, readable

__all__ = [
    "Report",
    "Statistics",
    "Store",
    "prepare",
    "prepare_jpeg",
    "readable",
    "streamed_statistics",
]
