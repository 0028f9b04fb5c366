"""Keeping freed memory instead of handing it back to the system after every step.

A training step on the CPU frees and takes the same few megabytes again and again. glibc's malloc
returns blocks of that size to the system at once, and each new one costs page faults: a quarter of
the step of a small net, and more than its arithmetic in a normalisation at 224 x 224, whose
activations are too large for malloc's own threshold."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
NEVER = 2**31 - 1  # bytes of free memory before any is returned


def keep_freed_memory() -> None:
    """Let this process reuse what it frees.

    Does nothing if the C library is not glibc. Results do not depend on it.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)  # no block has pages of its own, which would go back with it
        mallopt(M_TRIM_THRESHOLD, NEVER)
