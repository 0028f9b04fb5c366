"""The convolution with unshared weights against torch's own, and its gradient."""

import torch
from torch.nn import functional as F

from replication.nets.locally_connected import LocallyConnected2d


def activations(*shape, seed=0, dtype=torch.float32):
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype)


def test_unshared_weights_all_alike_are_a_convolution():
    layer = LocallyConnected2d(3, 4, 3, 6, 5, padding=1).double()
    kernel = activations(4, 3, 3, 3, dtype=torch.float64)
    layer.weight.data.copy_(kernel.flatten(1).T.expand_as(layer.weight))
    x = activations(2, 3, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(x), F.conv2d(x, kernel, padding=1))


def test_unshared_weights_belong_to_one_position_each():
    layer = LocallyConnected2d(2, 3, 3, 4, 5)
    x = activations(1, 2, 4, 5)
    before = layer(x)
    with torch.no_grad():
        layer.weight[4] += 1  # row 1, column 1 of the 2 x 3 output
        layer.bias[2, 0, 2] += 1
    changed = (layer(x) - before).abs() > 1e-6
    wanted = torch.zeros(1, 3, 2, 3, dtype=torch.bool)
    wanted[:, :, 1, 1] = True
    wanted[:, 2, 0, 2] = True
    assert torch.equal(changed, wanted)


def test_unshared_weights_have_the_right_gradient():
    layer = LocallyConnected2d(2, 3, 3, 3, 4, padding=1).double()
    x = activations(2, 2, 3, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, layer.weight, layer.bias))


def test_unshared_weights_take_a_batch_without_images():
    layer = LocallyConnected2d(3, 4, 3, 5, 6, padding=1)
    assert layer(torch.zeros(0, 3, 5, 6)).shape == (0, 4, 5, 6)
