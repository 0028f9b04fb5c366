"""Layers fused for a GPU, on a CPU: the numbers of the modules, in fewer kernels."""

import re
from types import SimpleNamespace

import pytest
import torch
from compilers import needs_compiler
from torch._inductor import config as inductor
from torch._inductor.utils import run_fw_bw_and_get_code
from torch.nn import functional as F

from replication.nets import fused_layers
from replication.nets.alexnet import alexnet
from replication.nets.crossings import Devices
from replication.nets.towers import on_devices
from replication.recipe import AlexNetSpec

LAST = torch.channels_last


def both_ways(function, x, bias, g):
    """The output, and the gradients of ``x`` and ``bias``."""
    leaf, bias = x.clone().requires_grad_(), bias.clone().requires_grad_()
    y = function(leaf.chunk(2, 1)[0], bias)  # with gaps, as conv1 of both towers gives it
    y.backward(g)
    return y.detach(), leaf.grad, bias.grad


def in_order(x, bias, relu, pool):
    """The modules' own order."""
    x = x + bias[:, None, None]
    x = F.relu(x) if relu else x
    return x if pool is None else F.max_pool2d(x, *pool, ceil_mode=True)


@needs_compiler
@pytest.mark.parametrize("steps", [(False, None), (True, None), (True, (3, 2))], ids=str)
@pytest.mark.parametrize("repeatable", [False, True])
def test_the_compiled_layers_are_the_plain_ones(steps, repeatable):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 16, 13, 13, generator=generator).contiguous(memory_format=LAST)
    bias = torch.randn(8, generator=generator)
    g = torch.randn(in_order(x[:, :8], bias, *steps).shape, generator=generator)
    compiled = torch.compile(fused_layers.finish, dynamic=False)
    torch.use_deterministic_algorithms(repeatable)
    try:
        plain = both_ways(lambda x, bias: in_order(x, bias, *steps), x, bias, g)
        ours = both_ways(lambda x, bias: compiled(x, bias, *steps), x, bias, g)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(ours[0], plain[0]) and torch.equal(ours[1], plain[1])
    assert ours[0].is_contiguous(memory_format=LAST)
    torch.testing.assert_close(ours[2], plain[2], rtol=1e-5, atol=1e-5)  # a sum in another order


@needs_compiler
def test_the_generated_code_walks_over_the_maps_once_in_each_direction():
    torch._dynamo.reset()
    x = torch.randn(4, 8, 13, 13, dtype=torch.bfloat16).contiguous(memory_format=LAST)
    bias = torch.randn(8, dtype=torch.bfloat16)
    compiled = torch.compile(fused_layers.finish, dynamic=False)

    def run():
        return compiled(x.requires_grad_(), bias.requires_grad_(), True, (3, 2))

    # several CPU threads share the sum over the images out, in a kernel more
    with inductor.patch({"cpp.threads": 1}):
        _, (forward, backward) = run_fw_bw_and_get_code(run)
    assert kernels(forward) == kernels(backward) == 1
    # pooled maps, the place of each maximum, and its sign; the maps themselves are not stored
    assert stored(forward) == ["(4, 8, 6, 6)"] * 3
    assert stored(backward).count("(4, 8, 13, 13)") == 1  # the gradient of x


def kernels(code):
    return len(re.findall(r"^ +cpp_fused_\w+\(", code[code.index("def call") :], re.M))


def stored(code):
    """The shapes of the tensors that generated code keeps in memory."""
    return re.findall(r"buf\d+ = empty_strided_cpu\((\(.*?\)), ", code)


SPECS = {
    "paper": AlexNetSpec(side=56, width=1 / 8, classes=7),
    "source2012": AlexNetSpec(side=56, width=1 / 8, classes=7, fidelity="source2012"),
    "sixth": AlexNetSpec(side=24, width=1 / 8, classes=7, sixth_conv=True),
    "tanh": AlexNetSpec(side=56, width=1 / 8, classes=7, activation="tanh"),
    "one tower": AlexNetSpec(side=56, width=1 / 8, classes=7, towers=1),
}


def losses_and_gradients(spec, place=lambda net: net):
    net = place(alexnet(spec, torch.Generator().manual_seed(0)).double()).eval()
    with torch.no_grad():
        for p in net.parameters():  # livelier: a narrow net's deep layers see little else
            if p.ndim > 1:
                p.mul_(0.7 / (p.std() * p[0].numel() ** 0.5))
    images = 60 * torch.randn(
        3, 3, spec.side, spec.side, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    loss = F.cross_entropy(net(images), torch.tensor([1, 4, 6]))
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in net.named_parameters()}


def check_same(ours, theirs):
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-12, atol=0)
    for name, gradient in theirs[1].items():
        size = gradient.abs().max().item()
        assert size > 0, name
        torch.testing.assert_close(ours[1][name], gradient, rtol=1e-10, atol=1e-12 * size)


@pytest.mark.parametrize("name", SPECS)
def test_a_net_of_fused_layers_is_the_net(name, monkeypatch):
    modules = losses_and_gradients(SPECS[name])
    fused = []
    monkeypatch.setattr(fused_layers, "applies", lambda x: True)
    monkeypatch.setattr(
        fused_layers, "run_compiled", lambda f, x, rest: fused.append(rest) or f(*x, *rest)
    )
    check_same(losses_and_gradients(SPECS[name]), modules)
    assert fused


def test_conv1_of_both_towers_is_one_convolution_on_one_device_alone(monkeypatch):
    monkeypatch.setattr(fused_layers, "applies", lambda x: True)
    monkeypatch.setattr(fused_layers, "run_compiled", lambda f, x, rest: f(*x, *rest))
    maps, convolved = [], fused_layers.convolved

    def spy(layer, x, weight):
        maps.append(len(weight))
        return convolved(layer, x, weight)

    monkeypatch.setattr(fused_layers, "convolved", spy)

    def apart(net):
        on_devices(net, ["cpu", "cpu"])
        net.exchange = Devices([torch.device("cpu"), torch.device("cpu")])
        return net

    spec = SPECS["paper"]
    together = losses_and_gradients(spec)
    assert maps.count(12) == 1  # 6 kernels of conv1 in each tower of this width
    maps.clear()
    check_same(losses_and_gradients(spec, apart), together)
    assert maps.count(12) == 0


@pytest.mark.parametrize(
    ("on_cuda", "half", "compiler", "fused"),
    [(True, True, True, True), (False, True, True, False), (True, False, True, False)]
    + [(True, True, False, False)],
)
def test_a_cpu_float32_and_a_machine_without_compiler_take_the_modules(
    on_cuda, half, compiler, fused, monkeypatch
):
    monkeypatch.setattr(fused_layers, "can_compile", lambda: compiler)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: half)
    assert fused_layers.applies(SimpleNamespace(is_cuda=on_cuda)) is fused
