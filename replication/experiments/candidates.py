"""The race of Figure 1 and the candidates for its setting: nets, regimes and grids of rates.

The protocol, and every change of it, is in ``figure1``, which trains them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from replication.recipe import Precision

# cuda-convnet, example-layers/layers-19pct.cfg: the only released net with four weight layers and
# no normalisation
NET = "19pct"
STEPS = 4  # of sqrt 2, to either side of a grid's middle
Kind = Literal["relu", "tanh", "logistic", "abs_tanh"]
PAIR: tuple[Kind, Kind] = ("relu", "tanh")  # the figure's two curves
RATES: Mapping[Kind, float] = MappingProxyType(
    {"relu": 0.002, "tanh": 0.008, "logistic": 0.032, "abs_tanh": 0.008}
)
MODERN: Mapping[Kind, float] = MappingProxyType(
    {"relu": 0.02, "tanh": 0.04, "logistic": 0.16, "abs_tanh": 0.02}
)


class Candidate(NamedTuple):
    """One reading of the figure: everything but the rate and the seed."""

    name: str
    words: str  # how it differs from the race's net
    net: str = NET
    tanh: str = "tanh"
    modern: bool = False
    bias_rate_factor: float = 2.0
    order: str = "shuffled"
    precision: Precision = "float32"
    kinds: tuple[Kind, ...] = PAIR
    middles: Mapping[Kind, float] = RATES  # of the grids of rates

    def grid(self, kind: Kind) -> tuple[float, ...]:
        """Return the rates that are tried for a curve, three digits each."""
        return tuple(
            float(f"{self.middles[kind] * 2 ** (step / 2):.3g}")
            for step in range(-STEPS, STEPS + 1)
        )


RACE = Candidate(NET, "19pct as released, without weight decay")
CANDIDATES = {  # 18pct without its norms is the same net as 19pct
    candidate.name: candidate
    for candidate in (
        Candidate("bias-factor-1", "biases learn at the weights' rate", bias_rate_factor=1.0),
        Candidate(
            "stored-order",
            "the minibatches of every epoch are the same slices of the files, as in 2012",
            order="stored",
        ),
        Candidate(
            "modern",
            "images of about unit variance, fan-in initialisation, one rate for weights and biases",
            modern=True,
            bias_rate_factor=1.0,
            middles=MODERN,
        ),
        Candidate("bf16", "products in bf16, as in some of the other candidates", precision="bf16"),
        Candidate(
            "scaled-tanh",
            "1.7159 tanh(2x/3) instead of tanh(x)",
            tanh="scaled_tanh",
            precision="bf16",
            kinds=("tanh",),
        ),
        Candidate(
            "80sec", "net 80sec: one more fully-connected layer", net="80sec", precision="bf16"
        ),
        Candidate(
            "conv-local-13pct",
            "net conv-local-13pct, a four-layer net in the terms of section 3.3",
            net="conv-local-13pct",
            precision="bf16",
        ),
        Candidate(
            "saturating",
            "logistic and |tanh| instead of tanh",
            precision="bf16",
            kinds=("logistic", "abs_tanh"),
        ),
        Candidate(
            "modern-saturating",
            "logistic and |tanh| instead of tanh, in the modern regime",
            modern=True,
            bias_rate_factor=1.0,
            precision="bf16",
            kinds=("logistic", "abs_tanh"),
            middles=MODERN,
        ),
    )
}
