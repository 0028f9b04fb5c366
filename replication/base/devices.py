"""Where torch computes unless it is told otherwise."""

import torch


def best_device() -> str:
    """The first CUDA device, or the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"
