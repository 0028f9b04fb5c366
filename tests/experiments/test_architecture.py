"""Figure 2's experiment: the verdicts of the arithmetic, and what the drawing and the comparison
are made of.
"""

import pytest
import torch
from matplotlib.patches import FancyArrowPatch, Polygon

from replication.experiments import architecture
from replication.experiments.common import net_checks
from replication.figures.architecture import figure2
from replication.ledger.measurement import Measurement
from replication.nets.alexnet import NAMED
from replication.nets.summary import summary
from replication.paper import claims


def measure(name: str) -> dict[str, Measurement]:
    net = summary(NAMED[name])
    made = net_checks.measure(net, architecture.sizes(net), "quick")
    return {one.claim: one for one in made}


def test_each_claim_gets_the_verdict_that_the_arithmetic_gives():
    found = {name: (one.value, one.holds) for name, one in measure("alexnet").items()}
    assert found == {
        "params": (60_965_224, True),
        "neurons": (659_272, True),
        "layer-sizes": (
            "150,528 - 290,400 - 186,624 - 64,896 - 64,896 - 43,264 - 4,096 - 4,096 - 1,000",
            False,
        ),
        "conv-share": ("1.452% in conv3", False),
        "input-size": (55, True),
        "aug-factor": (2178, False),
        "relu-everywhere": ("all but conv1", False),
        "two-gpu-layout": ("conv3, fc6, fc7, fc8", True),
        "one-gpu-params": (59_798_312, True),
        "fc6-most": ("61.9% in fc6", True),
        "two-gpu-memory": ("1.96 GiB to 3.09 GiB", None),
        "throughput": ("34% of what the GPUs can do", True),
        "equal-rates": (
            "biases 0.02 and weights 0.01; conv1 cut after epoch 68 and frozen after 72 of 93",
            False,
        ),
        "std-everywhere": ("0.03 in conv3, 0.03 in conv4, 0.03 in conv5", False),
    }


def test_a_relu_that_writes_over_its_input_saves_the_outputs_of_all_neurons_but_the_last_layers():
    least, most = net_checks.memory(summary(NAMED["alexnet"]))
    # bytes, with their gradients, at a minibatch
    assert most.outputs - least.outputs == (659_272 - 1000) * 4 * 2 * 128
    assert (least.images, most.images) == (128 * 150_528 * 4, 1024 * 150_528 * 4)


@pytest.mark.parametrize(("gib", "holds"), [(1.9, True), (3, None), (3.2, None)])
def test_the_net_is_too_big_only_if_the_least_that_it_needs_is_more_than_the_gpu_has(
    monkeypatch: pytest.MonkeyPatch, gib: float, holds: bool | None
):
    monkeypatch.setattr(net_checks, "GPU_BYTES", int(gib * 2**30))
    assert measure("alexnet")["two-gpu-memory"].holds is holds


def test_every_check_is_of_a_claim_of_the_chapter():
    ours = {one.id for one in claims() if one.experiment == "architecture"}
    assert set(measure("alexnet")) == ours


def test_the_verdicts_follow_the_net_that_is_counted():
    one_gpu = measure("alexnet-one-gpu")
    assert not one_gpu["two-gpu-layout"].holds
    assert one_gpu["conv-share"].holds  # there no convolution has more than 1%
    assert not net_checks.late_relu(summary(NAMED["alexnet"]))  # as section 3.5 has it


def test_round_numbers_have_one_rule():
    assert net_checks.about(60_965_224, 60_000_000) and net_checks.about(659_272, 650_000)
    assert not net_checks.about(57_000_000 - 1, 60_000_000)
    assert not net_checks.about(63_000_001, 60_000_000)


def test_the_other_tower_first_notices_at_conv3():
    assert architecture.first_meeting() == "conv3"


def test_the_stand_ins_have_the_spectrum_and_the_contrast_of_photographs():
    side = 64
    fields = architecture.photograph_like(3, side, seed=1)
    assert fields.shape == (3, 3, side, side)
    assert fields.mean((2, 3)).abs().max() < 1e-3
    # brightness and colour overlap by chance
    assert fields.std().item() == pytest.approx(architecture.PIXEL_STD, rel=0.2)
    spectrum = torch.fft.fft2(fields.double())
    rows = torch.fft.fftfreq(side, dtype=torch.float64)
    frequency = (rows[:, None] ** 2 + rows**2).sqrt()
    inside = frequency > 0
    x, y = frequency[inside].log(), spectrum.abs().square().mean((0, 1))[inside].log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    # of power, so 1 / f in amplitude; the fit's standard error is about 0.03
    assert slope.item() == pytest.approx(-2, abs=0.1)
    white = (spectrum * frequency).flatten(2)
    products = torch.einsum("ncf,ndf->cd", white, white.conj()).real
    common = products[0, 1] / (products[0, 0] * products[1, 1]).sqrt()
    # brightness; the fields' own contrast moves it by some per cent
    assert common.item() == pytest.approx(0.75, abs=0.1)
    assert torch.equal(fields, architecture.photograph_like(3, side, seed=1))


def test_the_run_writes_its_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    outcome = architecture.run(architecture.Settings(profile="quick", images=1, seed=0))
    names = sorted(path.name for path in (tmp_path / "quick" / "architecture").iterdir())
    assert names == ["differences.csv", "measurements.json", "sizes.csv", "variants.csv"]
    effects = outcome.differences.set_index(["weights", "difference"])["change, %"]
    assert (effects > 0).all()
    alpha = "alpha divided by the window's size"
    assert effects["conv1 x 10", alpha] > effects["fresh weights", alpha]


@pytest.mark.parametrize(
    ("name", "boxes", "crossings"), [("alexnet", 16, 7), ("alexnet-6conv", 18, 9)]
)
def test_the_figure_draws_every_layer_of_every_tower_and_every_crossing(name, boxes, crossings):
    axis = figure2(summary(NAMED[name])).axes[0]
    # the image and the layers, three faces each
    assert len([patch for patch in axis.patches if isinstance(patch, Polygon)]) == 3 * boxes
    arrows = [patch for patch in axis.patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == boxes - 1 + crossings
