"""The errors of a net on a whole split during training: exact training and validation."""

import torch
from torch import nn

from replication.data.loader import CROPS, Loader
from replication.training.distributed.group import SingleProcess
from replication.training.process.interrupt import Interrupt
from replication.training.step import mistakes

TOPS = (1, 5)  # section 6


class Stopped(Exception):
    """A signal ended an evaluation pass."""


def error_rates(
    net: nn.Module, loader: Loader, group: SingleProcess, interrupt: Interrupt
) -> list[float]:
    """Return the top-1 and top-5 error of ``net`` on all images of ``loader`` that can be read.

    One pass in evaluation mode, in which each copy of the net takes its shard of the images. Raises
    Stopped if a signal came to any process."""
    # Every process checks for signals this often; a shard may have one more batch than others.
    checks = len(loader) // group.copies // CROPS
    seen, counts = 0, [0] * len(TOPS)
    was_training = net.training
    net.eval()
    try:
        with torch.inference_mode():
            for number, batch in enumerate(loader.once()):
                joint = group.size == 1 or number < checks
                if joint and group.any(interrupt.requested)[0]:
                    raise Stopped
                logits = net(batch.images)
                wrong = torch.stack([mistakes(logits, batch.labels, k) for k in TOPS])
                # one wait for a GPU per batch; it also keeps the images until they are read
                counts = [a + b for a, b in zip(counts, wrong.tolist(), strict=True)]
                seen += len(batch.labels)
    finally:
        net.train(was_training)
    images, *wrong = group.all_count(seen, *counts)
    return [count / images for count in wrong]
