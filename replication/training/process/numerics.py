"""The precision of a run: float32, TF32 or bf16 products, and repeatable algorithms.

torch keeps these as settings of the process. They are set for the time of a run, then restored."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from replication.recipe import Recipe


def exact(recipe: Recipe) -> Recipe:
    """Return ``recipe`` for evaluation: float32 products, regardless of its training precision."""
    return recipe.model_copy(update={"precision": "float32"})


@contextmanager
def numerics(recipe: Recipe) -> Iterator[None]:
    """Compute products within the context as ``recipe.precision`` says.

    bf16 is left to autocast, and what stays float32 then is exact. With ``recipe.deterministic``,
    torch warns if a GPU has no repeatable algorithm, and the run continues."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    search = torch.backends.cudnn.benchmark
    repeatable = torch.are_deterministic_algorithms_enabled()
    tf32 = recipe.precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32  # torch's own default is on
    # one shape throughout: the search pays once
    torch.backends.cudnn.benchmark = not recipe.deterministic
    if recipe.deterministic:
        # cuBLAS asks for it, before its first use in the process
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = convolutions, search
        torch.use_deterministic_algorithms(repeatable)
