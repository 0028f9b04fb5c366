"""The activation functions of section 3.1, by the name that a recipe gives them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class AbsTanh(nn.Module):
    """|tanh(x)|, the saturating alternative that section 3.1 quotes from Jarrett et al. (2009)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x).abs()


class ScaledTanh(nn.Module):
    """a tanh(b x), cuda-convnet's ``tanh[a,b]``, with the constants of LeCun et al. (1998)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * x)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "abs_tanh": AbsTanh,
    "scaled_tanh": ScaledTanh,
}
