"""Triton's kernels, compiled for a GPU without one, by the compiler that comes with Triton.

The interpreter, in which their numbers are tested, takes programs that the compiler refuses."""

import pytest
from compilers import interpreted, needs_triton, run

COMPILED = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from replication.nets import dropout_triton, normalisation_triton
from replication.training import fused_update

target = GPUTarget("cuda", {capability}, 32)


def check(kernel, types, **constants):
    types = types | dict.fromkeys(constants, "constexpr")
    signature = {{name: types[name] for name in kernel.arg_names}}
    assert compile(ASTSource(kernel, signature, constants), target=target).asm["cubin"]


for number in ("fp32", "bf16"):
    window = dict(half=2, paper=True, block=1024)
    sizes = dict(count="i32", maps="i32", alpha="fp32", beta="fp32", k="fp32")
    tensors = {{name: f"*{{number}}" for name in ("x", "g", "y", "dx")}}
    check(normalisation_triton._forward, tensors | sizes, **window)
    check(normalisation_triton._backward, tensors | sizes, **window | {{"paper": False}})
for gradient, copied in (("fp32", False), ("bf16", True)):
    counts = (48 * 363, 48, 2048 * 4608)
    check(
        fused_update._update,
        dict(
            w=("*fp32",) * 3, v=("*fp32",) * 3, g=(f"*{{gradient}}",) * 3, half=("*bf16",) * 3,
            momentum="fp32", decay="fp32", rate="fp32",
        ),
        counts=counts, starts=fused_update.programs(counts), copied=copied, block=1024,
    )
for loaded in (True, False):
    check(
        dropout_triton._mask,
        dict(
            kept="*u8", key="*i64" if loaded else "*i1", low="i64", high="i32",
            count="i32", units="i32", first="i32",
        ),
        loaded=loaded, block=1024,
    )
"""


@needs_triton
@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_for_an_a100_and_an_h100(capability, tmp_path):
    run(COMPILED.format(capability=capability), TRITON_CACHE_DIR=str(tmp_path))


MASKS = """
import torch
from replication.nets import dropout, dropout_triton

for shape, first, seed in (((5, 130), 0, 7), ((3, 2048), 17, 2**62 + 12345), ((2, 3, 5), 0, 1)):
    key, shape, device = dropout.key_words(seed), torch.Size(shape), torch.device("cpu")
    plain = dropout.counter_mask(key, first, shape, device)
    for given in (key, torch.tensor(key)):
        assert torch.equal(dropout_triton.counter_mask(given, first, shape, device), plain)
"""


@needs_triton
def test_dropouts_kernel_gives_the_bits_of_the_plain_form():
    interpreted(MASKS)


CALLED = """
from types import SimpleNamespace

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from replication.nets import dropout_triton
from replication.training import fused_update

target = GPUTarget("cuda", 90, 32)
driver.set_active(
    SimpleNamespace(
        get_current_target=lambda: target,
        get_current_device=lambda: 0,
        get_current_stream=lambda device: 0,
        get_device_capability=lambda device=0: (9, 0),
    )
)


class Compiling:
    \"\"\"A kernel that is compiled for its arguments, as for a launch, and not launched.\"\"\"

    def __init__(self, kernel):
        self.kernel, self.compiled = kernel, []

    def __getitem__(self, grid):
        return lambda *given: self.compiled.append(self.kernel.warmup(*given, grid=grid))


update = fused_update._update = Compiling(fused_update._update)
shapes = ((48, 3, 11, 11), (48,), (5, 1100))
weights = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
others = [torch.zeros(shape) for shape in shapes]
half = [other.bfloat16() for other in others]
fused_update.update(weights, others, others, None, 0.9, -5e-6, -0.01)
fused_update.update(weights, others, half, half, 0.9, -5e-6, -0.01)
mask = dropout_triton._mask = Compiling(dropout_triton._mask)
for key in ((1, 2**31), torch.tensor([1, 2])):
    dropout_triton.counter_mask(key, 0, torch.Size((4, 9)), torch.device("cpu"))
for kernel in update.compiled + mask.compiled:
    assert kernel.asm["cubin"]
assert len(update.compiled + mask.compiled) == 4
"""


@needs_triton
def test_the_callers_arguments_are_those_that_the_kernels_are_compiled_for(tmp_path):
    run(CALLED, TRITON_CACHE_DIR=str(tmp_path))
