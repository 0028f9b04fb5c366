"""Figure 2 and every arithmetic or structural claim about the net (abstract, sections 1, 3.2, 3.5,
4.1, 5), counted without training.

The numbers are read off the modules that are trained (``nets.summary``). The last part measures
what each structural difference between the paper and its released source does to an activation."""

from typing import Any, NamedTuple

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from replication.base.html_tables import html_table
from replication.base.models import Frozen
from replication.base.types import Profile
from replication.experiments.common.contract import store_tables
from replication.ledger.measurement import Measurement, checked
from replication.ledger.tables import number
from replication.nets.alexnet import (
    LRN_BETA,
    LRN_K,
    LRN_SIZE,
    NAMED,
    SOURCE_LRN_ALPHA,
    SOURCE_STD,
    STD,
    STEMS,
    AlexNet,
    Tower,
    alexnet,
    conv1_margin,
)
from replication.nets.normalisation import LocalResponseNorm
from replication.nets.summary import Row, Summary, summary
from replication.recipe import AlexNetSpec

EXPERIMENT = "architecture"
PAPER_SIZES = {  # figure 2's caption
    "input": 150_528,
    "conv1": 253_440,
    "conv2": 186_624,
    "conv3": 64_896,
    "conv4": 64_896,
    "conv5": 43_264,
    "fc6": 4096,
    "fc7": 4096,
    "fc8": 1000,
}
PAPER_PARAMETERS, PAPER_NEURONS = 60_000_000, 650_000  # abstract
SHARE_LIMIT = 0.01  # section 1
STORED_SIDE = 256  # section 2
PAPER_FACTOR = 2048  # section 4.1
EPOCHS, IMAGES, DAYS = 90, 1_200_000, (6, 5)  # section 5
DAY_SECONDS = 24 * 3600
PIXEL_STD = 74.0  # of a colour channel of ILSVRC, 0-255 (facts-2012, section 4)
GROWN = 10  # an example of how far kernels may grow while they are trained; not measured


class Settings(Frozen):
    """What the notebook's parameters say."""

    profile: Profile
    images: int = Field(ge=1)  # made for the comparison of paper and source
    seed: int = Field(ge=0)  # of those images and of the weights


class Outcome(NamedTuple):
    """All that the notebook shows."""

    net: Summary  # the paper's
    sizes: pd.DataFrame  # layer, paper, counted, agree
    variants: pd.DataFrame  # the named nets
    differences: pd.DataFrame  # paper against source
    measurements: list[Measurement]


def run(settings: Settings) -> Outcome:
    """Count, compare, and write the tables and measurements of this experiment."""
    net = summary(NAMED["alexnet"])
    outcome = Outcome(
        net,
        sizes(net),
        variants(),
        differences(settings.images, settings.seed),
        measure(net, settings.profile),
    )
    tables = {name: getattr(outcome, name) for name in ("sizes", "variants", "differences")}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def weighted(net: Summary) -> list[Row]:
    """The layers with weights, towers added up."""
    return [row for row in net.layers if row.parameters]


def sizes(net: Summary) -> pd.DataFrame:
    """The caption of figure 2 beside what the net has."""
    counted = {"input": 3 * NAMED["alexnet"].side ** 2} | {
        row.name: row.neurons for row in weighted(net)
    }
    rows = [
        {"layer": name, "paper": size, "counted": counted[name], "agree": size == counted[name]}
        for name, size in PAPER_SIZES.items()
    ]
    return pd.DataFrame(rows)


def variants() -> pd.DataFrame:
    """Totals of the named nets."""
    rows = []
    for name, spec in NAMED.items():
        total = summary(spec).total
        rows.append(
            {
                "net": name,
                "parameters": total.parameters,
                "neurons": total.neurons,
                "multiply-adds": total.multiply_adds,
            }
        )
        rows[-1]["bytes exchanged each way"] = total.received
    return pd.DataFrame(rows)


def measure(net: Summary, profile: Profile) -> list[Measurement]:
    """The checks of this chapter's claims."""
    layers = weighted(net)
    table = sizes(net)
    params, neurons = (
        as_printed(net.total.parameters, PAPER_PARAMETERS),
        as_printed(net.total.neurons, PAPER_NEURONS),
    )
    caption = table["paper"][1:].sum()
    wrong = table[~table["agree"]]
    largest = max((row for row in layers if row.kind == "Conv2d"), key=lambda row: row.share)
    above = [
        f"{row.name} {row.share:.3%}"
        for row in layers
        if row.kind == "Conv2d" and row.share > SHARE_LIMIT
    ]
    conv1 = layers[0].shape
    stem, side = STEMS[NAMED["alexnet"].side], NAMED["alexnet"].side
    without = 1 + (side - stem.kernel) // stem.stride
    positions = STORED_SIDE - side + 1
    slow, fast = (EPOCHS * IMAGES / (days * DAY_SECONDS) for days in DAYS)
    crossings = [row.name for row in layers if row.received]
    found: list[dict[str, Any]] = [
        {
            "claim": "params",
            "value": net.total.parameters,
            "expected": PAPER_PARAMETERS,
            "holds": params == PAPER_PARAMETERS,
            "reason": f"rounded as the paper prints it: {params:,}",
        },
        {
            "claim": "neurons",
            "value": net.total.neurons,
            "expected": PAPER_NEURONS,
            "holds": neurons == PAPER_NEURONS,
            "reason": (
                f"rounded as the paper prints it: {neurons:,},"
                f" {abs(net.total.neurons / PAPER_NEURONS - 1):.1%} away; the sizes in the caption"
                f" of figure 2 add up to {caption:,}"
            ),
        },
        {
            "claim": "layer-sizes",
            "value": " - ".join(f"{size:,}" for size in table["counted"]),
            "expected": " - ".join(f"{size:,}" for size in table["paper"]),
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
            "claim": "throughput",
            "value": f"{slow:.0f} to {fast:.0f} images/s",
            "expected": "208 to 250 images/s",
            "holds": (round(slow), round(fast)) == (208, 250),
            "reason": f"{EPOCHS} x {IMAGES:,} images in {DAYS[1]} to {DAYS[0]} days",
        },
        {
            "claim": "two-gpu-layout",
            "value": ", ".join(crossings),
            "expected": "conv3 and the fully-connected layers",
            "holds": crossings == ["conv3", "fc6", "fc7", "fc8"],
            "reason": "the layers that receive bytes from the other tower",
        },
    ]
    return [checked(profile=profile, **one) for one in found]


def as_printed(count: int, printed: int) -> int:
    """``count`` rounded to the digits that ``printed`` has before the zeros that end it: 659,272
    beside 650,000 is 660,000.
    """
    digits = len(str(printed).rstrip("0"))
    unit = 10 ** max(0, len(str(count)) - digits)
    return (count + unit // 2) // unit * unit


def photograph_like(count: int, side: int, seed: int) -> Tensor:
    """``count`` random colour fields (N, 3, side, side) with the 1/f spectrum and the contrast of
    photographs, their mean taken off.

    Three quarters of the variance is brightness, common to the channels. They stand in for
    photographs, which are not in the project."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (
        torch.fft.fftfreq(side, dtype=torch.float64),
        torch.fft.rfftfreq(side, dtype=torch.float64),
    )
    frequency = (rows[:, None] ** 2 + columns**2).sqrt().clamp_min(1 / side)
    white = torch.randn(count, 4, side, side, generator=generator, dtype=torch.float64)
    fields = torch.fft.irfft2(torch.fft.rfft2(white) / frequency, s=(side, side))
    fields = fields - fields.mean((2, 3), keepdim=True)
    fields = fields / fields.std((2, 3), keepdim=True)
    return (PIXEL_STD * (0.75**0.5 * fields[:, :1] + 0.5 * fields[:, 1:])).float()


@torch.no_grad()
def differences(count: int, seed: int) -> pd.DataFrame:
    """What each difference that ``fidelity`` switches does to the activation behind it.

    ``change``: the distance of the two activations over the length of the paper's, in per cent.
    ``size``: root mean square of the source's activation over the paper's. Fresh weights, the same
    in both but for the initial standard deviation itself; then the same with conv1's kernels
    ``GROWN`` times as large, because the normalisation acts the more the larger its input is."""
    rows = []
    images = photograph_like(count, 224, seed)
    for scale, label in ((1, "fresh weights"), (GROWN, f"conv1 x {GROWN}")):
        for difference, layer, paper, source in _pairs(images, seed, scale):
            change, size = (source - paper).norm() / paper.norm(), source.norm() / paper.norm()
            rows.append(
                {
                    "weights": label,
                    "difference": difference,
                    "layer": layer,
                    "change, %": 100 * change.item(),
                    "size": size.item(),
                }
            )
    return pd.DataFrame(rows)


def _pairs(images: Tensor, seed: int, scale: int) -> list[tuple[str, str, Tensor, Tensor]]:
    """(difference, layer, the paper's activation, the source's) in tower 0."""
    paper, source = (
        alexnet(AlexNetSpec(fidelity=one, classes=2), torch.Generator().manual_seed(seed))
        for one in ("paper", "source2012")
    )
    for net in (paper, source):
        for tower in net.towers.values():
            tower.conv1.weight.mul_(scale)
    tower: Tower = paper.towers["0"]
    margin = conv1_margin(paper.spec)
    signed = tower.conv1(F.pad(images, (0, margin, 0, margin)))
    rectified = F.relu(signed)
    divided = LocalResponseNorm(LRN_SIZE, SOURCE_LRN_ALPHA, LRN_BETA, LRN_K)
    pooled = tower.pool1(tower.rnorm1(rectified))
    normed = tower.rnorm2(tower.conv2_relu(tower.conv2(pooled)))
    return [
        (
            "alpha divided by the window's size",
            "rnorm1",
            tower.rnorm1(rectified),
            divided(rectified),
        ),
        (
            "ReLU after pool1 instead of before rnorm1",
            "pool1",
            pooled,
            F.relu(tower.pool1(tower.rnorm1(signed))),
        ),
        (
            "normalisation inside each map (cnorm2)",
            "cnorm2",
            normed,
            source.towers["0"].cnorm2(normed),
        ),
        (
            "initial deviation 0.03 in conv3 to conv5",
            "conv5",
            *_with_deviations(paper, images, (STD, SOURCE_STD)),
        ),
        ("all of them", "pool3", _output(paper, "pool3", images), _output(source, "pool3", images)),
    ]


def _output(net: AlexNet, layer: str, images: Tensor) -> Tensor:
    """What one layer of tower 0 gives."""
    kept: list[Tensor] = []
    handle = (
        net.towers["0"].get_submodule(layer).register_forward_hook(lambda _m, _x, y: kept.append(y))
    )
    net.eval()(images)
    handle.remove()
    return kept[0]


def _with_deviations(net: AlexNet, images: Tensor, deviations: tuple[float, float]) -> list[Tensor]:
    """conv5's output in tower 0 with the weights of conv3, conv4 and conv5, which were drawn with
    the first deviation, in each.
    """
    kernels = [
        tower.get_submodule(name).weight
        for tower in net.towers.values()
        for name in ("conv3", "conv4", "conv5")
    ]
    outputs = []
    for deviation in deviations:
        factor = deviation / deviations[0]
        torch._foreach_mul_(kernels, factor)
        outputs.append(_output(net, "conv5_relu", images))
        torch._foreach_div_(kernels, factor)
    return outputs


@torch.no_grad()
def first_meeting(seed: int = 0) -> str:
    """The first layer of tower 1 that notices a change of conv1's output in tower 0."""
    net = alexnet(AlexNetSpec(width=1 / 8), torch.Generator().manual_seed(seed)).eval()
    images = photograph_like(1, 224, seed)
    seen: dict[str, list[Tensor]] = {}
    for name, module in net.towers["1"].named_children():
        module.register_forward_hook(
            lambda _m, _x, y, name=name: seen.setdefault(name, []).append(y)
        )
    net(images)
    net.towers["0"].conv1.register_forward_hook(lambda _m, _x, y: y + 100)
    net(images)
    return next(name for name, (before, after) in seen.items() if not torch.equal(before, after))


def effect(outcome: Outcome, layer: str) -> pd.DataFrame:
    """The rows of ``differences`` that look at ``layer``."""
    table = outcome.differences
    return table[table["layer"] == layer].drop(columns="difference")


def html(table: pd.DataFrame) -> str:
    """A table for the page: thousands separated, three digits of a measured effect, yes and no for
    truth.
    """
    shown = {"b": lambda value: "yes" if value else "no", "i": "{:,}".format, "f": number}
    formats = {
        column: shown[kind.kind] for column, kind in table.dtypes.items() if kind.kind in shown
    }
    return html_table(table, formats)
