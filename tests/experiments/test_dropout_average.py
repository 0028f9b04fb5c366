"""The dropout analysis of section 4.2: exact where theory is exact, and the masked nets are the
ones that training samples.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor

from replication.base.errors import InputError
from replication.evaluation import dropout
from replication.evaluation.dropout import (
    average_distances,
    distances,
    halved_logits,
    sampled_logits,
)
from replication.nets.alexnet import alexnet
from replication.nets.dropout import seed_masks
from replication.recipe import AlexNetSpec

TINY = AlexNetSpec(classes=7, side=24, width=0.03)  # 61 hidden units a tower


def _net(spec: AlexNetSpec = TINY) -> torch.nn.Module:
    net = alexnet(spec, torch.Generator().manual_seed(1))
    # weights large enough that a mask changes the answer
    for name, parameter in net.named_parameters():
        if "fc" in name and name.endswith("weight"):
            parameter.data.mul_(30)
    return net


def _images(count: int) -> Tensor:
    return torch.randn(count, 3, 24, 24, generator=torch.Generator().manual_seed(2)) * 50


def _every_mask(units: int) -> Tensor:
    # (2^n, n)
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=units)), dtype=torch.float64)


def test_the_geometric_mean_over_all_masks_of_one_hidden_layer_is_the_halved_net() -> None:
    draws = torch.Generator().manual_seed(0)
    hidden = torch.randn(5, 8, generator=draws, dtype=torch.float64).relu() * 3
    weights, biases = (
        torch.randn(8, 4, generator=draws, dtype=torch.float64),
        torch.randn(4, generator=draws, dtype=torch.float64),
    )
    logits = (_every_mask(8)[:, None] * hidden) @ weights + biases  # (256, 5, 4)
    found = average_distances(hidden / 2 @ weights + biases, logits.split(100), 256)
    assert found.geometric == pytest.approx((0, 0), abs=1e-12)  # float64 rounding
    assert found.arithmetic.total_variation > 0.01 and found.single.total_variation > 0.1
    assert found.images == 5 and found.masks == 256


def test_a_second_hidden_layer_makes_it_an_approximation() -> None:
    draws = torch.Generator().manual_seed(0)
    first, second = (
        torch.randn(6, units, generator=draws, dtype=torch.float64) for units in (6, 3)
    )
    x = torch.rand(1, 6, generator=draws, dtype=torch.float64) * 4
    masks = _every_mask(12)
    logits = ((masks[:, :6] * x) @ first).relu() * masks[:, 6:] @ second
    found = average_distances(((x / 2) @ first).relu() / 2 @ second, [logits[:, None]], len(masks))
    assert 0.001 < found.geometric.total_variation < found.single.total_variation


def test_distances_of_known_distributions() -> None:
    uniform, certain = torch.zeros(1, 4), torch.tensor([[100.0, 0, 0, 0]])
    found = average_distances(uniform, [certain[None].repeat(2, 1, 1)], 2)
    assert found.arithmetic == pytest.approx(
        (0.75, math.log(4))
    ) and found.geometric == pytest.approx((0.75, math.log(4)))
    assert found.single == pytest.approx(
        (0.75, math.log(4))
    ) and found.geometric_floor == found.arithmetic_floor == (0, 0)


def test_the_two_halves_of_the_masks_are_the_first_and_the_second_however_they_come() -> None:
    pieces = torch.randn(10, 3, 4, generator=torch.Generator().manual_seed(3))
    whole = average_distances(torch.zeros(3, 4), [pieces], 10)
    for size in (1, 3, 4, 7):
        assert all(
            one == pytest.approx(other, abs=1e-12)
            for one, other in zip(
                average_distances(torch.zeros(3, 4), pieces.split(size), 10)[2:],
                whole[2:],
                strict=True,
            )
        )
    means = [half.double().mean(0).softmax(1) for half in pieces.split(5)]
    assert whole.geometric_floor.total_variation == pytest.approx(
        float((means[0] - means[1]).abs().sum(1).mean() / 2)
    )


@pytest.mark.parametrize(
    "spec", [TINY, TINY.model_copy(update={"towers": 1, "fidelity": "source2012"})]
)
def test_a_sampled_net_is_the_one_that_training_would_use_with_that_mask(spec: AlexNetSpec) -> None:
    net, images = _net(spec), _images(3)
    with torch.no_grad():
        halved, hidden = halved_logits(net, images)
        (sampled,) = sampled_logits(net, hidden, 1, seed=9)
        seed_masks(net, 9, 0)
        # float32, other sums of products
        assert torch.allclose(net.train()(images), sampled[0], rtol=1e-5, atol=1e-5)
        assert torch.equal(net.eval()(images), halved)
        assert not torch.allclose(halved, sampled[0], rtol=0.1)


def test_masks_differ_between_nets_images_and_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropout, "ROWS", 4)
    net, images = _net(), _images(1).repeat(2, 1, 1, 1)
    with torch.no_grad():
        sampled = torch.cat(list(sampled_logits(net, halved_logits(net, images)[1], 6)))
    assert sampled.shape == (6, 2, 7) and len(torch.unique(sampled.flatten(0, 1), dim=0)) == 12


def test_a_net_is_left_as_it_was_and_the_seed_decides_the_answer() -> None:
    net, images = _net().train(), _images(4)
    first = distances(net, images, 20, seed=1)
    assert (
        net.training
        and all(module.training for module in net.modules())
        and net.towers["0"].drop6.seed is None
    )
    assert distances(net, images, 20, seed=1) == first != distances(net, images, 20, seed=2)
    assert 0 < first.geometric.total_variation < 1 and 0 < first.geometric_floor.total_variation < 1


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(InputError, match="no dropout"):
        distances(_net(TINY.model_copy(update={"dropout": False})), _images(1))
    diverged = _net()
    diverged.towers["0"].fc8.bias.data[0] = math.nan
    with pytest.raises(InputError, match="diverged"):
        distances(diverged, _images(1))
    with pytest.raises(InputError, match="two halves"):
        distances(_net(), _images(1), masks=7)
