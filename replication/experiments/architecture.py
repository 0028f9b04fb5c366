"""Figure 2 and all arithmetic or structural claims about the net, counted on its modules.

The claims are from the abstract and from sections 1, 3.2, 3.5, 4.1 and 5. The numbers are read off
the modules that are trained (``nets.summary``, ``common.net_checks``). The last part measures how
each structural difference between the paper and its released source changes an activation.
"""

from typing import NamedTuple

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from replication.base.html_tables import html_table
from replication.base.models import Frozen
from replication.base.types import Profile
from replication.experiments.common import net_checks
from replication.experiments.common.contract import settings_of, store_tables
from replication.ledger.measurement import Measurement
from replication.ledger.tables import number
from replication.nets.alexnet import (
    LRN_BETA,
    LRN_K,
    LRN_SIZE,
    NAMED,
    SOURCE_LRN_ALPHA,
    SOURCE_STD,
    STD,
    AlexNet,
    Tower,
    alexnet,
    conv1_margin,
)
from replication.nets.normalisation import LocalResponseNorm
from replication.nets.summary import Summary, summary
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
PIXEL_STD = 74.0  # of a colour channel of ILSVRC, 0-255
GROWN = 10  # an example of how far kernels may grow while they are trained; not measured


class Settings(Frozen):
    """The notebook's parameters."""

    profile: Profile
    images: int = Field(ge=1)  # generated for the comparison of paper and source
    seed: int = Field(ge=0, lt=2**64)  # of those images and of the weights


settings = settings_of(Settings, EXPERIMENT)


class Outcome(NamedTuple):
    """What the notebook shows."""

    net: Summary  # the paper's
    sizes: pd.DataFrame  # layer, paper, counted, agree
    variants: pd.DataFrame  # the named nets
    differences: pd.DataFrame  # paper against source
    measurements: list[Measurement]


def run(settings: Settings) -> Outcome:
    """Count, compare, and write the tables and measurements of this experiment."""
    net = summary(NAMED["alexnet"])
    counted = sizes(net)
    outcome = Outcome(
        net,
        counted,
        variants(),
        differences(settings.images, settings.seed),
        net_checks.measure(net, counted, settings.profile),
    )
    tables = {name: getattr(outcome, name) for name in ("sizes", "variants", "differences")}
    store_tables(settings.profile, EXPERIMENT, tables, outcome.measurements)
    return outcome


def sizes(net: Summary) -> pd.DataFrame:
    """Return the sizes in the caption of Figure 2 beside those of the net."""
    counted = {"input": 3 * NAMED["alexnet"].side ** 2} | {
        row.name: row.neurons for row in net_checks.weighted(net)
    }
    rows = [
        {"layer": name, "paper": size, "counted": counted[name], "agree": size == counted[name]}
        for name, size in PAPER_SIZES.items()
    ]
    return pd.DataFrame(rows)


def variants() -> pd.DataFrame:
    """Return the totals of the named nets, one row per net."""
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


def photograph_like(count: int, side: int, seed: int) -> Tensor:
    """Return random colour fields with the 1/f spectrum and the contrast of photographs.

    Shape (count, 3, side, side), each field's mean subtracted. Three quarters of the variance is
    brightness, common to the channels. They replace photographs, which are not in the project.
    """
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
    """Measure how each difference that ``fidelity`` switches changes the activation behind it.

    ``change``: the distance of the two activations over the length of the paper's, in per cent.
    ``size``: root mean square of the source's activation over the paper's. The weights are fresh
    and the same in both, except for the initial standard deviation itself; then the same with
    conv1's kernels ``GROWN`` times as large, because a larger input is normalised more strongly.
    """
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
    """Return (difference, layer, the paper's activation, the source's) in tower 0."""
    paper, source = (
        alexnet(AlexNetSpec(fidelity=one, classes=2), torch.Generator().manual_seed(seed))
        for one in ("paper", "source2012")
    )
    for net in (paper, source):
        for one in net.towers.values():
            one.conv1.weight.mul_(scale)
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
    """Return the output of one layer of tower 0."""
    kept: list[Tensor] = []
    handle = (
        net.towers["0"].get_submodule(layer).register_forward_hook(lambda _m, _x, y: kept.append(y))
    )
    net.eval()(images)
    handle.remove()
    return kept[0]


def _with_deviations(net: AlexNet, images: Tensor, deviations: tuple[float, float]) -> list[Tensor]:
    """Return conv5's output in tower 0 for each initial deviation of conv3, conv4 and conv5.

    The weights were drawn with the first deviation and are scaled to the others.
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
    """Return the first layer of tower 1 that a change of conv1's output in tower 0 reaches."""
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
    """Return the rows of ``differences`` about ``layer``."""
    table = outcome.differences
    return table[table["layer"] == layer].drop(columns="difference")


def html(table: pd.DataFrame) -> str:
    """Render a table for the page: thousands separated, effects to three digits, yes and no."""
    shown = {"b": lambda value: "yes" if value else "no", "i": "{:,}".format, "f": number}
    formats = {
        column: shown[kind.kind] for column, kind in table.dtypes.items() if kind.kind in shown
    }
    return html_table(table, formats)
