"""A GPU that torch does not use is named with the reason, by the driver's own word."""

import pytest
import torch

from replication.base import devices
from replication.base.devices import Driver, fault
from replication.base.errors import InputError
from replication.cli import doctor

NEW = Driver((13, 0), 1, "580.159.04")
OLD = Driver((12, 4), 1, "550.54.15")
NONE = Driver((13, 0), 0, "580.159.04")


@pytest.mark.parametrize(
    ("driver", "built_for", "environment", "line"),
    [
        (OLD, "13.0", {}, "the driver 550.54.15 runs CUDA 12.4 at most, and torch 2.13 is built"),
        (OLD, "12.8", {}, "sees 1 GPU, and torch 2.13 cannot start CUDA"),
        (NEW, None, {}, "torch 2.13 is a build for CPUs, and the driver 580.159.04 sees 1 GPU"),
        (NONE, "13.0", {"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES='' hides the GPUs"),
        (NONE, "13.0", {}, "finds no GPU that works"),
    ],
)
def test_a_gpu_that_is_not_used_has_a_reason(driver, built_for, environment, line):
    assert line in fault(driver, built_for, environment, "2.13")


def test_without_a_driver_the_cpu_is_right():
    assert fault(None, "13.0", {"CUDA_VISIBLE_DEVICES": ""}, "2.13") is None


@pytest.fixture
def old_driver(monkeypatch):
    monkeypatch.setattr(devices, "driver", lambda: OLD)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def test_the_first_line_says_why_it_is_the_cpu(old_driver):
    assert devices.described("cpu").startswith("cpu (the driver 550.54.15 runs CUDA 12.4 at most")


def test_unavailable_cuda_is_refused_with_the_reason(old_driver):
    with pytest.raises(InputError, match=r"no device 'cuda:1': the driver 550.* at most.*use cpu"):
        devices.check_device("cuda:1")


def test_doctor_names_a_driver_that_is_too_old(old_driver):
    check = doctor._device()
    assert not check.ok and "550.54.15" in check.found and "newer driver" in check.cure


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "", "mps"])
def test_another_device_is_refused(name):
    with pytest.raises(InputError, match="no device"):
        devices.check_device(name)
