"""The paper's update (section 5), in closed form and beside torch's."""

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
