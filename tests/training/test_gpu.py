"""The same numbers on a GPU: normalisation, the step, placements, DALI. ``-m gpu`` runs these
alone; without a GPU they are skipped.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from rank_programs import check_training, launch
from torch.nn import functional as F

from replication.data.loader import Loader, open_loaders
from replication.nets.alexnet import alexnet
from replication.nets.build import build
from replication.nets.dropout import seed_masks
from replication.nets.normalisation import LocalResponseNorm, SameMapNorm
from replication.nets.towers import on_devices
from replication.recipe import AlexNetSpec, Data, Recipe, Update
from replication.training import captured
from replication.training.captured import RecordedStep
from replication.training.sgd import PaperSGD
from replication.training.trainer import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here"),
]
# masks of another device are other masks
SPEC = AlexNetSpec(side=56, width=1 / 4, classes=10, dropout=False)


@pytest.mark.parametrize(
    "layer",
    [LocalResponseNorm(5, 1e-4, 0.75, 2.0), SameMapNorm(5, 4e-5, 0.75, 1.0)],
    ids=["cross-map", "same-map"],
)
@pytest.mark.parametrize("maps", [7, 48, 96])
def test_normalisation_is_that_of_the_cpu_in_float64(layer: torch.nn.Module, maps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, g = (60 * torch.randn(4, maps, 27, 27, generator=generator) for _ in "xg")
    found = []
    for device, dtype in (("cpu", torch.float64), ("cuda", torch.float32)):
        here = x.to(device, dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
        y = layer(here)
        y.backward(g.to(device, dtype))
        found.append((y.detach().cpu().double(), here.grad.cpu().double()))
    for exact, ours in zip(*found, strict=True):
        # float32 of values up to some hundreds
        torch.testing.assert_close(ours, exact, rtol=1e-5, atol=1e-4)


def _losses(net: torch.nn.Module, device: str, steps: int = 3) -> list[float]:
    generator = torch.Generator().manual_seed(1)
    optimiser, losses = PaperSGD(net.parameters(), 0.001), []
    for step in range(steps):
        images, labels = (
            60 * torch.randn(16, 3, 56, 56, generator=generator),
            torch.randint(10, (16,), generator=generator),
        )
        seed_masks(net, 3, step)
        loss = F.cross_entropy(net(images.to(device)), labels.to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_a_float32_step_is_that_of_the_cpu() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    here, there = (alexnet(SPEC, torch.Generator().manual_seed(0)) for _ in range(2))
    # products add in another order
    np.testing.assert_allclose(_losses(there.to("cuda"), "cuda"), _losses(here, "cpu"), rtol=1e-4)


def test_a_step_under_bfloat16_follows_the_float32_one() -> None:
    net = alexnet(SPEC, torch.Generator().manual_seed(0)).to("cuda")
    images = 60 * torch.randn(16, 3, 56, 56, device="cuda")
    whole = net(images)
    with torch.autocast("cuda", torch.bfloat16):
        half = net(images)
    assert half.isfinite().all()
    # 8 bits of mantissa
    torch.testing.assert_close(
        half.float(), whole, rtol=0.05, atol=0.02 * float(whole.detach().abs().max())
    )


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_as_one_does() -> None:
    one, two = (alexnet(SPEC, torch.Generator().manual_seed(0)) for _ in range(2))
    np.testing.assert_allclose(
        _losses(on_devices(two, ["cuda:0", "cuda:1"]), "cuda:0"),
        _losses(one.to("cuda"), "cuda"),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("files", "backend", "most"),
    [
        # from stored pixels only the arithmetic differs
        ("raw", "dali", 1e-3),
        # Pillow rounds between its two passes of resampling
        ("encoded", "dali", 0.3),
        # nvJPEG's inverse transform and upsampling differ from libjpeg's by some grey levels
        ("encoded", "dali-mixed", 2.5),
    ],
)
def test_dali_on_the_gpu_gives_the_pictures_of_the_reference(
    files: str, backend: str, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nvidia.dali")
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path))
    data = Data(
        name="synthetic", count=100, size=64, crop=56, augment=True, colour=0.1, files=files
    )
    recipe = Recipe(data=data, net=SPEC, update=Update(rate=0.01), batch=20, epochs=1)

    def first(loader: Loader) -> torch.Tensor:
        return next(loader.epoch(0)).images.cpu()

    ours = first(open_loaders(recipe, "cuda", backend=backend).training)
    peer = first(
        open_loaders(recipe, "cpu", backend="raw" if files == "raw" else "reference").training
    )
    difference = (ours - peer).abs()
    assert difference.mean() < most


def test_a_step_as_a_cuda_graph_trains_as_the_loop_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path))
    data = Data(name="synthetic", count=400, size=64, crop=56, augment=True, colour=0.1)
    net = AlexNetSpec(side=56, width=1 / 4, init="same_variance")
    recipe = Recipe(data=data, net=net, update=Update(rate=0.001), batch=20, epochs=2)
    histories, recorded = [], []
    record = RecordedStep._record
    monkeypatch.setattr(
        RecordedStep, "_record", lambda self: recorded.append(record(self)) or recorded[-1]
    )
    for capture in (False, True):
        with monkeypatch.context() as patch:
            if not capture:
                patch.setattr(captured, "can_capture", lambda learner: False)
            loaders = open_loaders(recipe, "cuda")
            net = build(recipe, len(loaders.training.classes)).to("cuda")
            outcome = train(recipe, net, loaders, tmp_path / str(capture), lambda line: None)
            histories.append([row["loss"] for row in outcome.progress.history])
    assert recorded and all(graph is not None for graph in recorded)
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-3)


def test_two_ranks_on_one_card_train_as_one_device_does(tmp_path: Path) -> None:
    results = launch(tmp_path, 2, "training", dropout=False, device="cuda:0")
    check_training(results, dropout=False, world=2)
