"""The paper's update (section 5), in closed form and beside torch's."""

import sys
from types import SimpleNamespace

import pytest
import torch
from compilers import interpreted, needs_triton

import replication.training
from replication.training import sgd
from replication.training.sgd import PaperSGD


def _step(optimiser: torch.optim.Optimizer, w: torch.Tensor, gradient: float) -> float:
    w.grad = torch.full_like(w, gradient)
    optimiser.step()
    return w.item()


def test_it_is_torchs_sgd_while_the_rate_is_constant() -> None:
    w, u = (torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ours, theirs = (
        PaperSGD([w], 0.01, 0.9, 0.0005),
        torch.optim.SGD([u], 0.01, 0.9, weight_decay=0.0005),
    )
    for gradient in (1.0, -0.3, 2.0, 0.7):
        assert _step(ours, w, gradient) == pytest.approx(_step(theirs, u, gradient), abs=1e-15)


def test_after_a_drop_of_the_rate_the_old_velocity_still_moves_it() -> None:
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = PaperSGD([w], 0.1, 0.9, 0.0)
    assert _step(optimiser, w, 1.0) == pytest.approx(-0.1)
    optimiser.param_groups[0]["lr"] = 0.01
    # v = 0.9 * -0.1 - 0.01 = -0.1; torch's rule would move by 0.01 * (0.9 + 1) = 0.019 only
    assert _step(optimiser, w, 1.0) == pytest.approx(-0.2)


def test_a_rate_of_zero_freezes_weights_decay_and_momentum() -> None:
    w = torch.ones(1, requires_grad=True)
    optimiser = PaperSGD([w], 0.1)
    moved = _step(optimiser, w, 1.0)
    optimiser.param_groups[0]["lr"] = 0.0
    assert _step(optimiser, w, 5.0) == moved


INTERPRETED = """
import torch
from replication.training import fused_update
from replication.training.sgd import PaperSGD

generator = torch.Generator().manual_seed(0)
shapes = [(5, 3, 3, 3), (7, 1100), (3,), (2, 1024)]
weights = [torch.randn(shape, generator=generator) for shape in shapes]
weights[0] = weights[0].contiguous(memory_format=torch.channels_last)
alone = [w.clone() for w in weights]  # the same kernel, for one tensor at a time
exact = [torch.nn.Parameter(w.double()) for w in weights]
optimiser = PaperSGD(exact, 0.01)
velocities, moved = ([torch.zeros_like(w) for w in weights] for _ in range(2))
for step in range(3):
    optimiser.param_groups[0]["lr"] = lr = 0.01 / 10**step
    settings = (0.9, -lr * 0.0005, -lr)
    gradients = [
        torch.empty_like(w).copy_(torch.randn(w.shape, generator=generator)) for w in weights
    ]
    copies = None
    if step:  # gradients and copies in bf16
        gradients = [g.bfloat16() for g in gradients]
        copies, other = ([torch.empty_like(w, dtype=torch.bfloat16) for w in weights] for _ in "ab")
    assert fused_update.can_update(weights, velocities, gradients)
    fused_update.update(weights, velocities, gradients, copies, *settings)
    for i, w in enumerate(alone):
        one = None if copies is None else [other[i]]
        fused_update.update([w], [moved[i]], [gradients[i]], one, *settings)
        exact[i].grad = gradients[i].double()
    optimiser.step()
    for i, (w, v, p) in enumerate(zip(weights, velocities, exact)):
        assert torch.equal(w, alone[i]) and torch.equal(v, moved[i])
        if copies is not None:  # the interpreter cuts digits off where a GPU rounds
            torch.testing.assert_close(copies[i].float(), w, rtol=2**-7, atol=0)
            assert torch.equal(copies[i], other[i])
        torch.testing.assert_close(w.double(), p.data, rtol=1e-6, atol=1e-6)
        moving = optimiser.state[p]["velocity"]
        torch.testing.assert_close(v.double(), moving, rtol=1e-5, atol=1e-8)

# many tensors are several kernels, and the rule of torch's operations gives the same numbers
fused_update.MOST = 2
plain = [torch.nn.Parameter(w.clone()) for w in weights]
optimiser = PaperSGD(plain, 0.02)
for p, v in zip(plain, velocities):
    optimiser.state[p]["velocity"] = v.clone()
    p.grad = torch.empty_like(p).copy_(torch.randn(p.shape, generator=generator))
fused_update.update(
    weights, velocities, [p.grad for p in plain], None, 0.9, -0.02 * 0.0005, -0.02
)
optimiser.step()
for w, p in zip(weights, plain):
    torch.testing.assert_close(w, p.data, rtol=1e-6, atol=1e-7)
assert not fused_update.can_update(weights[:1], velocities[:1], [gradients[0].contiguous()])
gaps = [weights[1][:, ::2]]
assert not fused_update.can_update(gaps, gaps, gaps)
"""


@needs_triton
def test_the_kernel_is_the_rule_over_a_drop_of_the_rate():
    interpreted(INTERPRETED)


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> list[list[torch.Tensor]]:
    """The groups of weights that a fused update was given, in the place of a GPU's kernel."""
    given: list[list[torch.Tensor]] = []

    def update(weights, velocities, gradients, copies, momentum, decay, rate):
        given.append(list(weights))
        for w, v, g in zip(weights, velocities, gradients, strict=True):
            v.mul_(momentum).add_(w, alpha=decay).add_(g, alpha=rate)
            w.add_(v)

    fused = SimpleNamespace(update=update, can_update=lambda *tensors: True)
    monkeypatch.setitem(sys.modules, "replication.training.fused_update", fused)
    monkeypatch.setattr(replication.training, "fused_update", fused, raising=False)
    monkeypatch.setattr(sgd, "can_compile", lambda: True)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    return given


def test_a_group_is_one_kernel_of_those_that_have_a_gradient_and_a_rate(as_on_cuda) -> None:
    a, b, frozen, without = (torch.nn.Parameter(torch.ones(2)) for _ in range(4))
    groups = [{"params": [a, without, b]}, {"params": [frozen], "lr": 0.0}]
    optimiser = PaperSGD(groups, 0.1, 0.9, 0.0)
    for p in (a, b, frozen):
        p.grad = torch.ones(2)
    optimiser.step()
    assert [[id(w) for w in weights] for weights in as_on_cuda] == [[id(a), id(b)]]
    assert a.tolist() == b.tolist() == pytest.approx([0.9, 0.9])
    assert frozen.tolist() == without.tolist() == [1.0, 1.0]


def test_towers_on_two_devices_are_two_kernels(as_on_cuda) -> None:
    here, there = (
        torch.nn.Parameter(torch.ones(2)),
        torch.nn.Parameter(torch.ones(2, device="meta")),
    )
    optimiser = PaperSGD([here, there], 0.1)
    here.grad, there.grad = torch.ones(2), torch.ones(2, device="meta")
    optimiser.step()
    assert [[w.device.type for w in weights] for weights in as_on_cuda] == [["cpu"], ["meta"]]
