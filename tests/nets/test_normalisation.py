"""Response normalisations against their definitions, written as plain loops in float64."""

import re
import threading
from functools import partial

import pytest
import torch
from compilers import interpreted, needs_compiler, needs_triton
from torch import nn
from torch._dynamo.utils import counters
from torch._inductor.utils import run_and_get_code

from replication.nets import normalisation_blockwise, normalisation_compiled
from replication.nets.normalisation import (
    LocalResponseNorm,
    SameMapNorm,
    response_norm,
    sum_over_maps,
)

PAPER = {"alpha": 1e-4, "beta": 0.75, "k": 2.0}  # section 3.3


def activations(*shape, seed=0, scale=60.0, dtype=torch.float32):
    """Values of the size that conv1 gives for a 0-255 image, where the normalisation matters."""
    return scale * torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype)


def cross_map_loop(x, size, alpha, beta, k):
    y = torch.empty_like(x)
    last = x.shape[1] - 1
    for i in range(last + 1):
        total = sum(
            x[:, j] ** 2 for j in range(max(0, i - size // 2), min(last, i + size // 2) + 1)
        )
        y[:, i] = x[:, i] / (k + alpha * total) ** beta
    return y


def same_map_loop(x, size, alpha, beta, k):
    y = torch.empty_like(x)
    half = size // 2
    for r in range(x.shape[2]):
        for c in range(x.shape[3]):
            total = (
                x[:, :, max(0, r - half) : r + half + 1, max(0, c - half) : c + half + 1] ** 2
            ).sum((2, 3))
            y[:, :, r, c] = x[:, :, r, c] / (k + alpha * total) ** beta
    return y


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("alpha", [1e-4, 1e-4 / 5], ids=["paper", "source2012"])
@pytest.mark.parametrize("channels", [96, 48, 7, 2])
def test_cross_map_norm_is_the_formula_at_every_map(channels, alpha, layout):
    x = activations(3, channels, 4, 5).to(memory_format=layout)
    wanted = cross_map_loop(x.double(), 5, alpha, 0.75, 2.0)
    torch.testing.assert_close(
        LocalResponseNorm(5, alpha, 0.75, 2.0)(x).double(), wanted, rtol=2e-6, atol=0
    )


def test_cross_map_norm_is_torchs_with_alpha_divided_forward_and_backward():
    # more than one block
    x = activations(40, 48, 13, 13).to(memory_format=torch.channels_last).requires_grad_()
    reference = x.detach().double().requires_grad_()
    g = activations(40, 48, 13, 13, seed=1)  # in another layout than x
    LocalResponseNorm(5, 1e-4 / 5, 0.75, 2.0)(x).backward(g)
    nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)(reference).backward(g.double())
    torch.testing.assert_close(x.grad.double(), reference.grad, rtol=1e-5, atol=1e-5)
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [1, 3, 5, 7, 9, 11])
@pytest.mark.parametrize("beta", [0.75, 0.5])
def test_cross_map_norm_takes_any_window_and_power(size, beta):
    x = activations(2, 9, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(
        LocalResponseNorm(size, 1e-4, beta, 2.0)(x), cross_map_loop(x, size, 1e-4, beta, 2.0)
    )


@pytest.mark.parametrize("make", [LocalResponseNorm, SameMapNorm])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_fast_form_gives_the_numbers_of_the_plain_formula(make, layout):
    x = activations(5, 12, 7, 6, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    plain = x.detach().clone().requires_grad_()
    layer, g = make(5, **PAPER), activations(5, 12, 7, 6, seed=1, dtype=torch.float64)
    y, wanted = layer(x), response_norm(plain, layer.window, **PAPER)
    y.backward(g)
    wanted.backward(g)
    torch.testing.assert_close((y, x.grad), (wanted, plain.grad), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [LocalResponseNorm, SameMapNorm])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_computing_in_blocks_with_a_shorter_last_one_changes_nothing(make, layout, monkeypatch):
    x = activations(5, 6, 4, 3, dtype=torch.float64).to(memory_format=layout)
    g = activations(5, 6, 4, 3, seed=1, dtype=torch.float64).to(memory_format=layout)

    def both_ways():
        leaf = x.clone().requires_grad_()
        y = make(5, **PAPER)(leaf)
        y.backward(g)
        return y.detach(), leaf.grad

    whole = both_ways()
    # no number of rows that divides the images
    monkeypatch.setattr(normalisation_blockwise, "BLOCK", 2 * x[0].numel() - 1)
    torch.testing.assert_close(both_ways(), whole, rtol=0, atol=0)


def test_a_view_and_a_tensor_without_a_gradient_give_the_same_numbers():
    x = activations(3, 20, 8, 5, dtype=torch.float64)
    view = x[:, 4:16, ::2].transpose(2, 3)  # neither contiguous nor channels_last
    leaf = view.detach().requires_grad_()
    y = LocalResponseNorm(5, **PAPER)(leaf)
    y.backward(torch.ones_like(y))
    dense = view.contiguous().requires_grad_()
    wanted = LocalResponseNorm(5, **PAPER)(dense)
    wanted.backward(torch.ones_like(wanted))
    torch.testing.assert_close((y.detach(), leaf.grad), (wanted.detach(), dense.grad))
    with torch.no_grad():
        torch.testing.assert_close(LocalResponseNorm(5, **PAPER)(view), y.detach())


def test_one_map_at_an_infinite_value_leaves_the_other_images_alone():
    x = activations(2, 8, 2, 2).to(memory_format=torch.channels_last)
    spoilt = x.clone()
    spoilt[0, 7, 1, 1] = float("inf")  # the last of its row: the next row follows it in memory
    layer = LocalResponseNorm(5, **PAPER)
    assert torch.equal(layer(spoilt)[1], layer(x)[1])


@pytest.mark.parametrize(("beta", "size"), [(0.75, 5), (0.5, 9), (1.0, 1)])
def test_cross_map_norm_has_the_right_gradient(beta, size):
    x = activations(2, 7, 2, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(LocalResponseNorm(size, 1e-4, beta, 2.0), (x,))


def test_same_map_norm_is_the_formula_with_clipped_borders():
    x = activations(2, 3, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(
        SameMapNorm(5, 4e-5, 0.75, 1.0)(x), same_map_loop(x, 5, 4e-5, 0.75, 1.0)
    )


def test_same_map_norm_has_the_right_gradient():
    x = activations(2, 3, 4, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(SameMapNorm(3, 4e-5, 0.75, 1.0), (x,))


def test_bfloat16_keeps_the_statistics_in_float32():
    x = activations(2, 48, 5, 5).bfloat16().requires_grad_()
    exact = x.detach().double().requires_grad_()
    layer = LocalResponseNorm(5, **PAPER)
    y, wanted = layer(x), cross_map_loop(exact, 5, **PAPER)
    g = activations(2, 48, 5, 5, seed=1).bfloat16()
    y.backward(g)
    wanted.backward(g.double())
    assert y.dtype == x.grad.dtype == torch.bfloat16
    # one rounding of bfloat16, at the end
    torch.testing.assert_close(y.double(), wanted, rtol=2**-8, atol=0)
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=2**-8, atol=1e-6)


def test_runs_under_autocast():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), LocalResponseNorm(5, **PAPER))
    with torch.autocast("cpu", torch.bfloat16):
        y = net(activations(2, 3, 6, 6))
        y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    assert net[0].weight.grad.dtype == torch.float32


@needs_compiler
def test_the_compiled_form_gives_the_same_numbers():
    x = activations(3, 12, 5, 5).to(memory_format=torch.channels_last)
    g = activations(3, 12, 5, 5, seed=1)
    results = []
    for fused in (False, True):
        leaf = x.clone().requires_grad_()
        y = LocalResponseNorm(5, **PAPER, fused=fused)(leaf)
        y.backward(g)
        results.append((y.detach(), leaf.grad))
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)


@needs_compiler
def test_one_compiled_version_serves_every_number_of_images_in_every_thread():
    torch._dynamo.reset()
    counters.clear()
    layer = LocalResponseNorm(5, **PAPER, fused=True)
    for images in (8, 5, 6, 3):
        y = layer(activations(images, 8, 3, 4).requires_grad_())
        # a GPU's backward pass runs in a thread of its own
        backward = threading.Thread(target=y.sum().backward)
        backward.start()
        backward.join()
    assert counters["stats"]["unique_graphs"] == 2


@needs_compiler
@pytest.mark.parametrize(
    ("function", "tensors", "kernels"), [("_forward", 1, 1), ("_backward", 2, 2)]
)
def test_the_generated_code_stores_one_temporary_in_the_backward_pass_and_none_before(
    function, tensors, kernels
):
    torch._dynamo.reset()
    given = [
        activations(4, 8, 5, 5, seed=seed, dtype=torch.bfloat16).to(
            memory_format=torch.channels_last
        )
        for seed in range(tensors)
    ]
    compiled = torch.compile(getattr(normalisation_compiled, function), dynamic=False)
    _, [code] = run_and_get_code(compiled, *given, partial(sum_over_maps, size=5), 1e-4, 0.75, 2.0)
    stored = re.findall(r"buf\d+ = empty_strided_cpu\(.*?(torch\.\w+)\)", code)
    # each tensor that is stored is a walk of its own over memory
    assert len(stored) == kernels
    assert stored.count("torch.float32") == kernels - 1


INTERPRETED = """
import torch
from functools import partial
from replication.nets import normalisation_triton as kernels
from replication.nets.normalisation import response_norm, sum_over_maps

generator = torch.Generator().manual_seed(0)
for dtype, most in ((torch.float32, 1e-6), (torch.bfloat16, 1e-2)):
    for maps, size, beta in ((48, 5, 0.75), (7, 5, 0.75), (3, 5, 0.75), (16, 3, 0.6), (5, 9, 0.75)):
        x, g = (
            (60 * torch.randn(2, maps, 5, 6, generator=generator))
            .to(dtype).contiguous(memory_format=torch.channels_last) for _ in "xg"
        )
        assert kernels.can_respond(x)
        exact = x.double().requires_grad_()
        wanted = response_norm(exact, partial(sum_over_maps, size=size), 1e-4, beta, 2.0)
        wanted.backward(g.double())
        leaf = x.clone().requires_grad_()
        y = kernels.respond(leaf, size, 1e-4, beta, 2.0)
        y.backward(g.contiguous())  # in another layout
        for found, right in ((y.detach(), wanted.detach()), (leaf.grad, exact.grad)):
            assert found.is_contiguous(memory_format=torch.channels_last)
            assert (found - right).norm() / right.norm() < most, (dtype, maps, size, beta)
"""


@needs_triton
def test_tritons_kernels_are_the_formula_and_its_gradient():
    interpreted(INTERPRETED)


def test_an_empty_batch_gives_an_empty_answer():
    assert LocalResponseNorm(5, **PAPER)(torch.empty(0, 8, 3, 3)).shape == (0, 8, 3, 3)


def test_a_window_without_a_middle_is_refused():
    with pytest.raises(ValueError, match="odd"):
        LocalResponseNorm(4, **PAPER)
