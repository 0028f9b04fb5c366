"""The paper's update (section 5), in closed form and beside torch's."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

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
weights = [
    torch.randn(5, 3, 3, 3, generator=generator).contiguous(memory_format=torch.channels_last),
    torch.randn(7, 1100, generator=generator),
    torch.randn(3, generator=generator),
]
exact = [torch.nn.Parameter(w.double()) for w in weights]
optimiser = PaperSGD(exact, 0.01)
velocities = [torch.zeros_like(w) for w in weights]
for step in range(3):
    optimiser.param_groups[0]["lr"] = lr = 0.01 / 10**step
    gradients = [torch.randn(w.shape, generator=generator) for w in weights]
    gradients = [torch.empty_like(w).copy_(g) for w, g in zip(weights, gradients)]
    assert fused_update.can_update(weights, velocities, gradients)
    for number, (w, v, g, p) in enumerate(zip(weights, velocities, gradients, exact)):
        half = None
        if number:  # a gradient and a copy in bf16
            g, half = g.bfloat16(), torch.empty_like(w, dtype=torch.bfloat16)
        fused_update.update(w, v, g, half, 0.9, -lr * 0.0005, -lr)
        if half is not None:
            torch.testing.assert_close(half.float(), w, rtol=2**-7, atol=0)
        p.grad = g.double()
    optimiser.step()
    for w, v, p in zip(weights, velocities, exact):
        torch.testing.assert_close(w.double(), p.data, rtol=1e-6, atol=1e-6)
        moving = optimiser.state[p]["velocity"]
        torch.testing.assert_close(v.double(), moving, rtol=1e-5, atol=1e-8)
assert not fused_update.can_update(weights[:1], velocities[:1], [gradients[0].contiguous()])
gaps = [weights[1][:, ::2]]
assert not fused_update.can_update(gaps, gaps, gaps)
"""


@pytest.mark.skipif(not find_spec("triton"), reason="Triton is not installed")
def test_the_kernel_is_the_rule_over_a_drop_of_the_rate():
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
