"""The cuda-convnet nets: parameter counts, clipped pools, the place of the activation."""

import pytest
import torch

from replication.nets.cifar import NETS, cifar_net
from replication.recipe import CifarNetSpec

PARAMETERS = {
    "80sec": 145_578,
    "19pct": 89_578,
    "18pct": 89_578,
    "conv-local-13pct": 1_116_490,
    "conv-local-11pct-earlier": 1_116_490,
    "conv-local-11pct": 2_112_970,
}


@pytest.mark.parametrize("name", NETS)
def test_the_released_nets_have_their_published_number_of_parameters(name: str) -> None:
    assert (
        sum(p.numel() for p in cifar_net(CifarNetSpec(name=name)).parameters()) == PARAMETERS[name]
    )


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "abs_tanh", "scaled_tanh"])
def test_moving_the_activation_behind_the_max_pool_changes_nothing(activation: str) -> None:
    net = cifar_net(
        CifarNetSpec(activation=activation, init="fan_in"),
        generator=torch.Generator().manual_seed(1),
    ).double()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    function = {
        "relu": torch.relu,
        "tanh": torch.tanh,
        "logistic": torch.sigmoid,
        "abs_tanh": lambda t: torch.tanh(t).abs(),
        "scaled_tanh": lambda t: 1.7159 * torch.tanh(2 / 3 * t),
    }[activation]
    y = net.pool1(function(net.conv1(x)))
    y = net.pool2(function(net.conv2(y)))
    y = net.pool3(function(net.conv3(y)))
    assert torch.equal(net(x), net.fc10(y.flatten(1)))


def test_the_released_initialisation_is_drawn_from_the_generator_alone() -> None:
    first, second = (
        cifar_net(CifarNetSpec(), generator=torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    assert first.conv1.weight.std().item() == pytest.approx(1e-4, rel=0.05)  # 2,400 draws
    assert first.conv2.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not first.conv1.bias.any()


def test_18pct_without_its_norms_is_the_net_19pct() -> None:
    specs = (CifarNetSpec(name="18pct", norms=False), CifarNetSpec(name="19pct"))
    first, second = (cifar_net(spec, generator=torch.Generator().manual_seed(7)) for spec in specs)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(first(x), second(x))
