"""The first convolution by blocks of pixels is the convolution itself."""

import pytest
import torch
from torch.nn import functional as F

from replication.nets.alexnet import alexnet
from replication.nets.first_convolution import FirstConv2d, block_conv2d
from replication.recipe import AlexNetSpec


@pytest.mark.parametrize(
    ("side", "kernel", "stride"), [(227, 11, 4), (57, 5, 2), (56, 5, 2), (30, 4, 4), (25, 3, 1)]
)
def test_blocks_give_the_numbers_and_gradients_of_the_convolution(side, kernel, stride):
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((2, 3, side, side), (6, 3, kernel, kernel), (6,))
    )
    wanted = F.conv2d(x, weight, bias, stride)
    g = torch.randn(wanted.shape, generator=generator, dtype=torch.float64)
    found = block_conv2d(x, weight, bias, stride)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(found, (x, weight, bias), g),
        torch.autograd.grad(wanted, (x, weight, bias), g),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_the_net_has_it_under_the_old_name_and_a_cpu_computes_as_before():
    net = alexnet(AlexNetSpec(width=1 / 16), torch.Generator().manual_seed(0))
    conv1 = net.towers["0"].conv1
    assert type(conv1) is FirstConv2d and "towers.0.conv1.weight" in net.state_dict()
    x = torch.randn(1, 3, 227, 227)
    assert torch.equal(conv1(x), F.conv2d(x, conv1.weight, conv1.bias, 4))
