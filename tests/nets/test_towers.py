"""Two devices give the numbers of one device, and load its checkpoints."""

import copy

import pytest
import torch
from torch.nn import functional as F

from replication.base.errors import InputError
from replication.nets.alexnet import alexnet
from replication.nets.crossings import Devices, OneDevice, copy_to
from replication.nets.dropout import seed_masks
from replication.nets.towers import load_towers, on_devices
from replication.recipe import AlexNetSpec
from replication.training.sgd import PaperSGD

SPEC = AlexNetSpec(side=24, width=1 / 8, classes=5, sixth_conv=True)


def make(seed=0):
    return alexnet(SPEC, torch.Generator().manual_seed(seed)).double()


def on_two_cpus(net):
    """Two devices of the same kind still exchange by explicit copies."""
    on_devices(net, ["cpu", "cpu"])
    net.exchange = Devices([torch.device("cpu"), torch.device("cpu")])
    return net


def five_steps(net):
    """Losses and the weights after five updates, dropout included."""
    optimiser = PaperSGD(net.parameters(), 0.01)
    generator = torch.Generator().manual_seed(7)
    losses = []
    for step in range(5):
        images, labels = (
            60 * torch.randn(4, 3, 24, 24, generator=generator).double(),
            torch.randint(5, (4,), generator=generator),
        )
        seed_masks(net, seed=3, step=step)
        loss = F.cross_entropy(net(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_two_devices_train_as_one_does():
    one, two = make(), on_two_cpus(make())
    assert five_steps(one) == five_steps(two)
    assert all(
        torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items()
    )


def test_every_copy_goes_to_the_device_of_its_reader():
    moved = []

    class Spy(Devices):
        def _on(self, device, parts):
            moved.append((device, sorted(parts)))
            return super()._on(device, parts)

    net = make().eval()
    net.exchange = Spy([torch.device("cpu", 0), torch.device("cpu", 1)])
    net(torch.zeros(1, 3, 24, 24).double())
    both = [(torch.device("cpu", index), [0, 1]) for index in (0, 1)]
    # conv3, conv6, fc6, fc7; fc8 is on the first alone
    assert moved == [*both * 4, (torch.device("cpu", 0), [0, 1])]


def test_a_checkpoint_loads_in_any_placement():
    a, b = make(seed=1), on_two_cpus(make(seed=2))
    load_towers(b, a.state_dict())
    c = make(seed=3)
    load_towers(c, b.state_dict())
    x = torch.randn(2, 3, 24, 24).double()
    assert torch.equal(a.eval()(x), b.eval()(x))
    assert torch.equal(a(x), c.eval()(x))


def test_another_nets_checkpoint_is_refused():
    state = copy.deepcopy(make().state_dict())
    del state["towers.1.conv4.bias"]
    with pytest.raises(InputError, match=r"another net: towers.1.conv4.bias differs"):
        load_towers(make(), state)


def test_there_must_be_as_many_devices_as_towers():
    with pytest.raises(InputError, match="2 towers and was given 1 device;"):
        on_devices(make(), ["cpu"])
    assert type(on_devices(make(), ["cpu", "cpu"]).exchange) is OneDevice


@pytest.mark.parametrize(("device", "queued"), [("cpu", False), ("cuda:0", True)])
def test_only_a_copy_to_a_gpu_is_queued(device, queued):
    class Spy:
        def to(self, device, non_blocking):
            return non_blocking

    assert copy_to(torch.device(device), Spy()) is queued
