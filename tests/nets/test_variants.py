"""Variants of the nets that serve as controls: one difference from the source at a time, constant
gains for normalisations, the whole net's initial spread, towers that read each other early."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from replication.base.errors import InputError
from replication.data.augment.draws import chunk, positions
from replication.data.pipelines.stored import Transform
from replication.nets.alexnet import alexnet
from replication.nets.cifar import cifar_net
from replication.nets.normalisation import Gain
from replication.recipe import SWITCHES, AlexNetSpec, CifarNetSpec, Data, Recipe, Update

SMALL = {"side": 24, "width": 1 / 16, "classes": 5}
IN_THE_NET = SWITCHES[:4]
PARAMETERS = {name: p for name, p in alexnet(AlexNetSpec(**SMALL)).named_parameters()}


def _logits(**changes: object) -> torch.Tensor:
    net = alexnet(AlexNetSpec(**SMALL | changes), torch.Generator().manual_seed(0)).eval()
    images = torch.randn(4, 3, 24, 24, generator=torch.Generator().manual_seed(1)) * 60
    with torch.no_grad():
        return net(images)


def _recipe(**net: object) -> Recipe:
    data = Data(name="synthetic", size=32, crop=24, augment=True, colour=0.1)
    return Recipe(data=data, net=AlexNetSpec(**SMALL | net), update=Update(rate=0.01), epochs=1)


def test_all_switches_together_make_the_source_of_the_paper_and_back() -> None:
    source = _logits(fidelity="source2012")
    assert torch.equal(_logits(switched=SWITCHES), source)
    assert torch.equal(_logits(fidelity="source2012", switched=SWITCHES), _logits())


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_switch_changes_the_net_or_its_images_and_nothing_else(switch: str) -> None:
    changed = not torch.equal(_logits(switched=(switch,)), _logits())
    assert changed == (switch in IN_THE_NET)
    paper, other = _recipe(), _recipe(switched=(switch,))
    found = {
        "shared-crops": chunk(paper) != chunk(other),
        "crop-places": positions(paper) != positions(other),
        "mean-place": Transform(paper, None).aligned != Transform(other, None).aligned,
        "colour-scale": Transform(paper, None).divisor != Transform(other, None).divisor,
    }
    assert [name for name, differs in found.items() if differs] == [
        name for name in found if name == switch
    ]


def test_switches_are_named_once_and_in_order() -> None:
    with pytest.raises(ValidationError, match="in the order"):
        AlexNetSpec(switched=("lrn-alpha", "relu-place"))


def test_gains_take_the_place_of_the_normalisations() -> None:
    net = cifar_net(CifarNetSpec(name="conv-local-11pct", gains=(0.5, 0.25)))
    assert [net.rnorm1.value, net.rnorm2.value] == [0.5, 0.25]
    plain = cifar_net(CifarNetSpec(name="conv-local-11pct", norms=False))
    ones = cifar_net(CifarNetSpec(name="conv-local-11pct", gains=(1.0, 1.0)))
    ones.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 24, 24)
    assert torch.equal(plain(images), ones(images))
    with pytest.raises(InputError, match="another number of norms"):
        cifar_net(CifarNetSpec(name="19pct", gains=(0.5,)))


def test_gains_of_the_paper_net_count_the_source_normalisation() -> None:
    net = alexnet(AlexNetSpec(**SMALL, fidelity="source2012", gains=(0.5, 0.25, 0.125)))
    found = [module.value for module in net.towers["1"].modules() if isinstance(module, Gain)]
    assert found == [0.5, 0.25, 0.125]
    with pytest.raises(ValidationError, match="2 gains"):
        AlexNetSpec(gains=(0.5,))


@pytest.mark.parametrize("variant", [{"towers": 1}, {"removed": "conv3"}])
def test_a_variant_can_start_as_spread_as_the_whole_net(variant: dict) -> None:
    whole = alexnet(AlexNetSpec(**SMALL, init="same_variance")).towers["0"]
    kept = alexnet(AlexNetSpec(**SMALL, init="as_whole", **variant)).towers["0"]
    scaled = alexnet(AlexNetSpec(**SMALL, init="same_variance", **variant)).towers["0"]
    names = [name for name, module in kept.named_modules() if hasattr(module, "initial")]
    initial = {name: kept.get_submodule(name).initial for name in names}
    assert initial == {name: whole.get_submodule(name).initial for name in names}
    assert initial != {name: scaled.get_submodule(name).initial for name in names}


def test_towers_that_read_each_other_from_conv2_on_have_wider_kernels_there() -> None:
    net = alexnet(AlexNetSpec(**SMALL, conv2_reads="both"), torch.Generator().manual_seed(0))
    changed = {
        name: tuple(p.shape)
        for name, p in net.named_parameters()
        if p.shape != PARAMETERS[name].shape
    }
    assert sorted(changed) == ["towers.0.conv2.weight", "towers.1.conv2.weight"]
    twice = 2 * PARAMETERS["towers.0.conv2.weight"].shape[1]
    assert {shape[1] for shape in changed.values()} == {twice}
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 60, (2, 3, 24, 24)).astype(np.float32))
    before = net.eval()(x)
    with torch.no_grad():
        net.towers["1"].conv1.weight.zero_()
    assert not torch.equal(net(x), before)
