"""The arithmetic and structural claims about the net, counted without training.

They come from the abstract and from sections 1, 3.2, 3.5, 4.1 and 5, and are counted on the modules
that are trained. A claim about what the authors ran is checked on their released net and logs
(``fidelity`` source2012), a claim about the described net on that of the paper. One rule for round
numbers: a number that the paper prints rounded, or calls about the same, is true if the count is
within 5% of it.
"""

from typing import Any, NamedTuple

import pandas as pd
import torch

from replication.base.types import Profile
from replication.ledger.measurement import Measurement, checked
from replication.nets.alexnet import NAMED, STD, STEMS, Initial, alexnet, conv1_margin
from replication.nets.summary import FLOAT_BYTES, Row, Summary, summary
from replication.recipes import named
from replication.training.schedule import LOGS

SOURCE, ONE_GPU = "alexnet-2012", "alexnet-one-gpu"
PAPER_PARAMETERS, PAPER_NEURONS = 60_000_000, 650_000  # abstract
ROUND = 0.05  # how far a count may be from a round number
SHARE_LIMIT = 0.01  # section 1
STORED_SIDE = 256  # section 2
PAPER_FACTOR = 2048  # section 4.1
EPOCHS, IMAGES, DAYS = 90, 1_200_000, (6, 5)  # section 5
DAY_SECONDS = 24 * 3600
BATCH = 128  # section 5
GPU_BYTES = 3 * 2**30  # section 3.2: 3 GB
FILE_IMAGES = 1024  # in a file of training images of 2012
# a GTX 580 as its maker describes it: multiply-adds per second, one per core and cycle
GPUS, GPU_CORES, GPU_CLOCK = 2, 512, 1.544e9
PASSES = 3  # forward, and backward to the inputs and to the weights
LOG = "145-2010"  # the run of Table 1


def measure(net: Summary, sizes: pd.DataFrame, profile: Profile) -> list[Measurement]:
    """Return the checks of every arithmetic and structural claim about the net.

    ``net``: the counted net of the paper. ``sizes``: columns layer, paper, counted, agree."""
    checks = [
        *_abstract(net, sizes),
        *_two_gpus(net),
        *_layers(net, sizes),
        *_learning(net),
    ]
    return [checked(profile=profile, **one) for one in checks]


def weighted(net: Summary) -> list[Row]:
    """Return the layers that have weights, towers added up."""
    return [row for row in net.layers if row.parameters]


def about(count: float, printed: float) -> bool:
    """Return whether a count agrees with a number that the paper prints rounded."""
    return abs(count / printed - 1) <= ROUND


def _away(count: float, printed: float) -> str:
    return f"{abs(count / printed - 1):.1%} away; a round number is true within {ROUND:.0%}"


def _abstract(net: Summary, sizes: pd.DataFrame) -> list[dict[str, Any]]:
    parameters, neurons = net.total.parameters, net.total.neurons
    caption = sizes["paper"][1:].sum()
    return [
        {
            "claim": "params",
            "value": parameters,
            "expected": PAPER_PARAMETERS,
            "holds": about(parameters, PAPER_PARAMETERS),
            "reason": _away(parameters, PAPER_PARAMETERS),
        },
        {
            "claim": "neurons",
            "value": neurons,
            "expected": PAPER_NEURONS,
            "holds": about(neurons, PAPER_NEURONS),
            "reason": (
                f"{_away(neurons, PAPER_NEURONS)}; the sizes in the caption of figure 2 add up to"
                f" {caption:,}"
            ),
        },
    ]


def _layers(net: Summary, sizes: pd.DataFrame) -> list[dict[str, Any]]:
    layers = weighted(net)
    wrong = sizes[~sizes["agree"]]
    convolutions = [row for row in layers if row.kind == "Conv2d"]
    largest = max(convolutions, key=lambda row: row.share)
    above = [f"{row.name} {row.share:.3%}" for row in convolutions if row.share > SHARE_LIMIT]
    conv1, side = layers[0].shape, NAMED["alexnet"].side
    stem = STEMS[side]
    without = 1 + (side - stem.kernel) // stem.stride
    positions = STORED_SIDE - side + 1
    late = late_relu(summary(NAMED[SOURCE]))
    return [
        {
            "claim": "layer-sizes",
            "value": " - ".join(f"{size:,}" for size in sizes["counted"]),
            "expected": " - ".join(f"{size:,}" for size in sizes["paper"]),
            "holds": wrong.empty,
            "reason": (
                "; ".join(
                    f"{row.layer} has {row.counted:,} = {' x '.join(map(str, conv1))}"
                    for row in wrong.itertuples()
                )
                + f"; the paper's entry is 2 x 55 x 48 x 48 = {2 * 55 * 48 * 48:,}"
            ),
        },
        {
            "claim": "conv-share",
            "value": f"{largest.share:.3%} in {largest.name}",
            "expected": f"at most {SHARE_LIMIT:.0%}",
            "holds": not above,
            "reason": f"above it: {', '.join(above) or 'none'}",
        },
        {
            "claim": "input-size",
            "value": conv1[1],
            "expected": 55,
            "holds": conv1[1:] == (55, 55),
            "reason": (
                f"with {conv1_margin(NAMED['alexnet'])} rows and columns of zeros at the bottom and"
                f" the right; {without} without"
            ),
        },
        {
            "claim": "aug-factor",
            "value": positions**2 * 2,
            "expected": PAPER_FACTOR,
            "holds": positions**2 * 2 == PAPER_FACTOR,
            "reason": (
                f"a crop of {side} has {positions} places along a side of {STORED_SIDE}; "
                "2048 is 32 x 32 x 2, right only if the last place is never taken"
            ),
        },
        {
            "claim": "relu-everywhere",
            "value": f"all but {', '.join(late)}" if late else "every layer",
            "expected": "every layer",
            "holds": not late,
            "reason": "in the released net; fc8 has a softmax instead",
        },
    ]


def late_relu(net: Summary) -> list[str]:
    """Return the layers with weights that no ReLU follows directly, without the last one."""
    rows = net.layers
    return [
        row.name
        for row, following in zip(rows, rows[1:], strict=False)
        if row.parameters and following.kind != "ReLU"
    ]


def _two_gpus(net: Summary) -> list[dict[str, Any]]:
    layers = weighted(net)
    crossings = [row.name for row in layers if row.received]
    alone = summary(NAMED[ONE_GPU]).total.parameters
    largest = max(layers, key=lambda row: row.parameters)
    least, most = memory(net)
    return [
        {
            "claim": "two-gpu-layout",
            "value": ", ".join(crossings),
            "expected": "conv3 and the fully-connected layers",
            "holds": crossings == ["conv3", "fc6", "fc7", "fc8"],
            "reason": "the layers that receive bytes from the other tower",
        },
        {
            "claim": "one-gpu-params",
            "value": alone,
            "expected": net.total.parameters,
            "holds": about(alone, net.total.parameters),
            "reason": _away(alone, net.total.parameters),
        },
        {
            "claim": "fc6-most",
            "value": f"{largest.share:.1%} in {largest.name}",
            "expected": "most in fc6",
            "holds": largest.name == "fc6" and largest.share > 1 / 2,
        },
        {
            "claim": "two-gpu-memory",
            "value": f"{_gib(least.all)} to {_gib(most.all)}",
            "expected": "more than 3 GiB",
            "holds": True if least.all > GPU_BYTES else None,  # a part is not on record
            "reason": (
                f"{_gib(least.parameters)} for weights, gradients and velocities;"
                f" {_gib(most.outputs)} for the outputs of all layers and their gradients at a"
                f" batch of {BATCH}, or {_gib(least.outputs)} if a ReLU writes over its input, as"
                f" in cuda-convnet; {_gib(least.images)} for a minibatch of images, or"
                f" {_gib(most.images)} for a file of {FILE_IMAGES:,}; the working memory of the"
                " GPU's functions is not on record"
            ),
        },
    ]


class Memory(NamedTuple):
    """The bytes that one training step needs, without the working memory of its functions."""

    parameters: int  # weights, gradients and velocities
    outputs: int  # of layers at a minibatch, with their gradients
    images: int

    @property
    def all(self) -> int:
        """All of them."""
        return sum(self)


def memory(net: Summary) -> tuple[Memory, Memory]:
    """Return the least and the most bytes of a training step, as far as the source leaves it open.

    Least: a ReLU writes over its input, and a minibatch of images is on the GPU. Most: every layer
    keeps its outputs, and a whole file of images is there."""
    sizes = [(row.kind, torch.Size(row.shape).numel()) for row in net.layers]
    each, image = 2 * FLOAT_BYTES * BATCH, 3 * NAMED["alexnet"].side ** 2 * FLOAT_BYTES
    parameters = 3 * FLOAT_BYTES * net.total.parameters
    whole = each * sum(size for _, size in sizes)
    relus = each * sum(size for kind, size in sizes if kind == "ReLU")
    return (
        Memory(parameters, whole - relus, BATCH * image),
        Memory(parameters, whole, FILE_IMAGES * image),
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"


def _learning(net: Summary) -> list[dict[str, Any]]:
    slow, fast = (EPOCHS * IMAGES / (days * DAY_SECONDS) for days in DAYS)
    peak = GPUS * GPU_CORES * GPU_CLOCK
    share = fast * PASSES * net.total.multiply_adds / peak
    update, log = named(SOURCE, "paper").update, LOGS[LOG]
    unequal = []
    if update.bias_rate_factor != 1:
        bias = update.rate * update.bias_rate_factor
        unequal.append(f"biases {bias:g} and weights {update.rate:g}")
    if log.conv1_cut < log.third or log.conv1_frozen < log.stop:
        unequal.append(
            f"conv1 cut after epoch {log.conv1_cut} and frozen after {log.conv1_frozen} of"
            f" {log.stop}"
        )
    wider = {name: std for name, std in initial_deviations().items() if std != STD}
    return [
        {
            "claim": "throughput",
            "value": f"{share:.0%} of what the GPUs can do",
            "expected": "at most 100%",
            "holds": share <= 1,
            "reason": (
                f"{EPOCHS} x {IMAGES:,} images in {DAYS[1]} to {DAYS[0]} days are {slow:.0f} to"
                f" {fast:.0f} images/s; {PASSES} x {net.total.multiply_adds:,} multiply-adds each,"
                f" of {peak:.3g} per second"
            ),
        },
        {
            "claim": "equal-rates",
            "value": "; ".join(unequal) or "equal",
            "expected": "equal",
            "holds": not unequal,
            "reason": f"the released parameters and the log of run {LOG}",
        },
        {
            "claim": "std-everywhere",
            "value": ", ".join(f"{std:g} in {name}" for name, std in wider.items()) or f"{STD:g}",
            "expected": f"{STD:g} in each layer",
            "holds": not wider,
            "reason": "of the weights drawn for the released net; the other layers have 0.01",
        },
    ]


def initial_deviations() -> dict[str, float]:
    """Return the standard deviation of each layer's initial weights in the released net.

    Each is rounded to one digit.
    """
    spec = NAMED[SOURCE].model_copy(update={"width": 1 / 8})  # enough weights to tell
    net = alexnet(spec, torch.Generator().manual_seed(0))
    drawn: dict[str, list[torch.Tensor]] = {}
    for path, module in net.named_modules():
        if isinstance(getattr(module, "initial", None), Initial):
            drawn.setdefault(path.split(".")[-1], []).append(module.weight.detach().flatten())
    return {name: float(f"{torch.cat(parts).std().item():.1g}") for name, parts in drawn.items()}
