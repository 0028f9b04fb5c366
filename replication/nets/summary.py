"""Counts of a net: shapes, parameters, neurons, multiply-adds, bytes between the towers (Figure 2).

The counts are taken from the modules while one image passes through them on torch's "meta" device,
which computes shapes and no values. So they are those of the net that is trained, and they cost no
memory."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from replication.base.errors import InputError, unknown
from replication.nets.alexnet import NAMED, AlexNet
from replication.nets.cifar import NETS, SIDE, cifar_net
from replication.nets.crossings import OneDevice, Parts
from replication.nets.locally_connected import LocallyConnected2d
from replication.recipe import AlexNetSpec, CifarNetSpec

FLOAT_BYTES = 4  # the paper's nets are float32


class Row(NamedTuple):
    """One layer of one tower, or of all towers together; all counts are for one image."""

    name: str
    kind: str  # the module's class
    towers: tuple[int, ...]  # where it is; empty in a net without towers
    shape: tuple[int, ...]  # (maps, height, width) or (units,)
    parameters: int
    share: float  # of all parameters, a fraction
    neurons: int  # outputs of a layer that has weights; 0 of any other
    multiply_adds: int
    received: int  # bytes that come in from the other tower on the way forward
    returned: int  # bytes of gradient that go back to it


class Summary(NamedTuple):
    """The counts of a net, in the order of the computation."""

    rows: tuple[Row, ...]
    total: Row

    @property
    def layers(self) -> tuple[Row, ...]:
        """One row per layer, with the towers added up as the paper counts them."""
        merged: dict[str, Row] = {}
        for row in self.rows:
            merged[row.name] = _add(merged[row.name], row) if row.name in merged else row
        return tuple(merged.values())

    def dump(self) -> dict[str, Any]:
        """Return plain values for JSON: ``total``, ``layers`` (towers added), ``rows`` (each)."""
        layers, rows = ([row._asdict() for row in some] for some in (self.layers, self.rows))
        return {"total": self.total._asdict(), "layers": layers, "rows": rows}

    def table(self) -> str:
        """Return the layers as a table of text, with the towers added up."""
        head = (
            "layer",
            "towers",
            "output",
            "parameters",
            "share",
            "neurons",
            "multiply-adds",
            "bytes in",
            "bytes back",
        )
        lines = [head, *(_cells(row) for row in self.layers), _cells(self.total)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = [
            "  ".join(
                [*map(str.ljust, line[:3], widths), *map(str.rjust, line[3:], widths[3:])]
            ).rstrip()
            for line in lines
        ]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join([texts[0], rule, *texts[1:-1], rule, texts[-1]])


def named(name: str) -> AlexNetSpec | CifarNetSpec:
    """Return the published net of this name; raises InputError that lists the names."""
    if name in NAMED:
        return NAMED[name]
    if name in NETS:
        return CifarNetSpec(name=name)
    raise InputError(unknown("net", name, [*NAMED, *NETS]))


def summary(spec: AlexNetSpec | CifarNetSpec) -> Summary:
    """Count the net that ``spec`` describes, for its own input size."""
    with torch.device("meta"):
        if isinstance(spec, AlexNetSpec):
            return count(AlexNet(spec), spec.side)
        return count(cifar_net(spec), SIDE[spec.name])


def count(net: nn.Module, side: int) -> Summary:
    """Count any net of (N, 3, side, side) images.

    The net runs once, without gradients, on the device of its parameters."""
    rows: list[Row] = []
    layers = {
        m: name
        for name, m in net.named_modules()
        if not any(m.children()) and not isinstance(m, nn.Flatten)
    }
    total = sum(p.numel() for p in net.parameters())
    meter = Meter()
    handles = [
        module.register_forward_hook(
            lambda m, _, y: rows.append(_row(layers[m], m, y, total, meter))
        )
        for module in layers
    ]
    was_training, exchange = net.training, getattr(net, "exchange", None)
    if isinstance(net, AlexNet):
        net.exchange = meter
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, side, side, device=next(net.parameters()).device))
    finally:
        net.train(was_training)
        if isinstance(net, AlexNet):
            net.exchange = exchange
        for handle in handles:
            handle.remove()
    columns = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("neurons", "multiply_adds", "received", "returned")
    }
    towers = tuple(sorted({tower for row in rows for tower in row.towers}))
    return Summary(
        tuple(rows), Row("all", type(net).__name__, towers, rows[-1].shape, total, 1.0, **columns)
    )


class Meter(OneDevice):
    """Crossings on one device that count the bytes between towers on devices of their own."""

    def __init__(self) -> None:
        # bytes on their way to a tower, until its next layer takes them
        self.pending: dict[int, int] = {}

    def cross(self, parts: Parts) -> Parts:
        self._send(parts, readers=list(parts))
        return super().cross(parts)

    def output(self, parts: Parts, head: Any) -> Tensor:
        self._send(parts, readers=[0])
        return super().output(parts, head)

    def _send(self, parts: Parts, readers: list[int]) -> None:
        for reader in readers:
            self.pending[reader] = sum(
                FLOAT_BYTES * part[0].numel() for index, part in parts.items() if index != reader
            )


def _row(path: str, module: nn.Module, output: Tensor, total: int, meter: Meter) -> Row:
    words = path.split(".")
    towers = (int(words[1]),) if words[0] == "towers" else ()
    parameters = sum(p.numel() for p in module.parameters())
    shape = tuple(output.shape[1:])
    neurons = output[0].numel() if parameters else 0
    received = meter.pending.pop(*towers, 0) if parameters and towers else 0
    # Everything that was read forward gets a gradient of the same size back.
    share = parameters / total if total else 0.0
    return Row(
        words[-1],
        type(module).__name__,
        towers,
        shape,
        parameters,
        share,
        neurons,
        neurons * _reads(module),
        received,
        received,
    )


def _reads(module: nn.Module) -> int:
    """Return the multiply-adds of one output value: the inputs in its sum, without the bias."""
    match module:
        case nn.Conv2d():
            return module.weight[0].numel()
        case nn.Linear():
            return module.in_features
        case LocallyConnected2d():
            return module.weight.shape[1]
    return 0


def _add(a: Row, b: Row) -> Row:
    shape = (a.shape[0] + b.shape[0], *a.shape[1:])
    return Row(
        a.name,
        a.kind,
        a.towers + b.towers,
        shape,
        *(x + y for x, y in zip(a[4:], b[4:], strict=True)),
    )


def _cells(row: Row) -> tuple[str, ...]:
    counts = (
        f"{n:,}" if n else "" for n in (row.neurons, row.multiply_adds, row.received, row.returned)
    )
    parameters, share = (f"{row.parameters:,}", f"{row.share:.3%}") if row.parameters else ("", "")
    return (
        row.name,
        " ".join(map(str, row.towers)),
        " x ".join(map(str, row.shape)),
        parameters,
        share,
        *counts,
    )
