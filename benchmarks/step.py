"""The training step of the paper's net: beside a matrix product of the same run, and beside
torchvision's AlexNet where it is installed.

    replication bench step [--device cpu] [--batch 64] [--json]

Goals. CPU: at least the rate of a float32 matrix product. H100, batch 128: at least 4 times as fast
as the same net in float32 with torch's normalisation, and at least 0.3 of the floor: the time of
the products at the measured rate of one, and then of the update at the measured rate of a copy.

Both goals of the H100 are missed. One H100 80GB on 26 November 2026 (measured/step-cuda-h100.json)
gave 2.4 times the rate in float32, and 0.105 of the floor. A step took 10.7 ms on the wall, and the
GPU was busy for 8.3 of them; without normalisation 8.5 and 5.7.

torchvision's net is the one of 2014 (no normalisation, 61.1 million parameters in one tower, 64 to
384 maps), so that ratio compares two nets and not two implementations of one."""

from importlib.util import find_spec
from typing import Any

import torch

from benchmarks import timing
from benchmarks.lrn import torchs, training_step
from replication.base.errors import InputError
from replication.nets.alexnet import alexnet
from replication.nets.summary import summary
from replication.recipe import AlexNetSpec

# of the square matrices multiplied: long beside the start of a kernel
PRODUCT_SIDE = {"cpu": 2048, "cuda": 8192}
COPIED = 2**28  # bytes of the tensor that is copied, far more than a cache holds
UPDATE_BYTES = 20  # a parameter: weight, velocity and gradient read, weight and velocity written


def step_operations(spec: AlexNetSpec, batch: int) -> float:
    """Floating-point operations of a step's products: forward, gradient of weights, gradient of
    inputs, but none of the image.
    """
    found = summary(spec)
    conv1 = found.layers[0].multiply_adds
    return 2.0 * batch * (3 * found.total.multiply_adds - conv1)


def net_of_2014() -> torch.nn.Module:
    """torchvision's AlexNet with fresh weights. Raises InputError where torchvision was built for
    another torch.
    """
    try:
        from torchvision.models import alexnet
    # a missing operator of its extension is a RuntimeError
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"torchvision does not fit torch {torch.__version__} ({error}); install the matching"
            " one or remove it"
        ) from error
    return alexnet(weights=None)


def measure(device: torch.device, batch: int, width: float, count: int) -> dict[str, Any]:
    """Times and ratios of a step on data that is in memory."""
    fast = torch.float32 if device.type == "cpu" else torch.bfloat16
    spec = AlexNetSpec(width=width)
    side = PRODUCT_SIDE[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=fast) for _ in "ab")

    def step(net: torch.nn.Module, precision: torch.dtype = fast) -> timing.Case:
        return training_step(net, batch, 224, 1000, device, precision)

    cases = {
        "matrix product": lambda: torch.mm(a, b),
        "step, ours": step(alexnet(spec)),
        "step, without normalisation": step(alexnet(AlexNetSpec(width=width, lrn=False))),
        "step, float32 and torch's normalisation": step(torchs(alexnet(spec)), torch.float32),
    }
    if device.type == "cuda":
        source = torch.randint(256, (COPIED,), dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        cases["copy"] = lambda: target.copy_(source)
    if find_spec("torchvision"):
        cases["step, torchvision's AlexNet"] = step(net_of_2014())
    clock = timing.clock(device)
    seconds = timing.rounds(cases, count, device, clock)
    operations, product = step_operations(spec, batch), 2.0 * side**3
    pairs = zip(seconds["step, ours"], seconds["matrix product"], strict=True)
    rates = [(operations / ours) / (product / multiplied) for ours, multiplied in pairs]
    ratios = {"rate of ours over the matrix product's": timing.spread(rates)}
    if device.type == "cuda":
        update = UPDATE_BYTES * summary(spec).total.parameters
        times = zip(seconds["step, ours"], seconds["matrix product"], seconds["copy"], strict=True)
        ratios["floor over ours"] = timing.spread(
            [
                (multiplied * operations / product + copied * update / (2 * COPIED)) / ours
                for ours, multiplied, copied in times
            ]
        )
    for name in cases:
        if name.startswith("step, ") and name != "step, ours":
            ratios[f"{name.removeprefix('step, ')}, over ours"] = timing.ratio(
                seconds, name, "step, ours"
            )
    return {
        "benchmark": "step",
        "machine": timing.machine(device, clock),
        "settings": {
            "batch": batch,
            "width": width,
            "rounds": timing.completed(seconds),
            "precision": str(fast).removeprefix("torch."),
        },
        "seconds": {name: timing.spread(values) for name, values in seconds.items()},
        "busy seconds": timing.all_busy(cases, device),
        "ratios": ratios,
        "images_per_second": timing.spread([batch / value for value in seconds["step, ours"]]),
    }


if __name__ == "__main__":
    timing.main(__doc__.splitlines()[0], measure)
