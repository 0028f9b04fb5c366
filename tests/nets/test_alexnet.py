"""The net of section 3: its towers against the reference, its variants, refused input."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from replication.base.errors import InputError
from replication.nets.alexnet import alexnet
from replication.nets.dropout import Dropout, seed_masks
from replication.nets.reference import reference_logits
from replication.recipe import AlexNetSpec
from replication.training.sgd import PaperSGD

SMALL = {"side": 56, "width": 1 / 8, "classes": 7}


def make(seed=0, **changes):
    return alexnet(AlexNetSpec(**SMALL | changes), torch.Generator().manual_seed(seed))


def images(n=2, side=56, dtype=torch.float32, seed=1):
    return 60 * torch.randn(
        n, 3, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype)


def shapes(net, side):
    """The output shape of every layer of tower 0."""
    sizes = {}
    for name, module in net.towers["0"].named_children():
        module.register_forward_hook(
            lambda _m, _x, y, name=name: sizes.update({name: tuple(y.shape[1:])})
        )
    net(images(side=side))
    return sizes


def livelier(net):
    """Larger weights: with the paper's 0.01 a narrow net's deep layers see almost nothing but their
    biases.
    """
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim > 1:
                p.normal_(
                    0, p[0].numel() ** -0.5, generator=torch.Generator().manual_seed(p.numel())
                )
    return net


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fidelity": "source2012"},
        {"sixth_conv": True},
        {"side": 24},
        {"side": 224, "width": 1 / 16},
    ],
    ids=["paper", "source2012", "sixth_conv", "side24", "side224"],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-4)])
def test_the_towers_are_one_net_with_grouped_convolutions(changes, dtype, tolerance):
    net = livelier(make(**changes)).to(dtype).eval()
    x, labels = images(side=net.spec.side, dtype=dtype), torch.tensor([1, 4])
    state = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}
    logits, wanted = net(x), reference_logits(state, x, net.spec)
    torch.testing.assert_close(
        logits, wanted, rtol=tolerance, atol=tolerance * wanted.abs().max().item()
    )
    F.cross_entropy(logits, labels).backward()
    F.cross_entropy(wanted, labels).backward()
    for name, p in net.named_parameters():
        size = state[name].grad.abs().max().item()
        assert size > 0, name
        torch.testing.assert_close(
            p.grad,
            state[name].grad,
            rtol=tolerance,
            atol=tolerance * size,
            msg=lambda m, name=name: f"{name}: {m}",
        )


def test_five_updates_end_in_the_weights_of_the_grouped_net():
    net = livelier(make()).double().eval()  # without dropout's masks, which the grouped net has not
    state = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}
    updates = [PaperSGD(weights, 0.01) for weights in (net.parameters(), state.values())]
    for step in range(5):
        x, labels = images(seed=step, dtype=torch.float64), torch.tensor([step % 7, 4])
        for logits, update in zip(
            (net(x), reference_logits(state, x, net.spec)), updates, strict=True
        ):
            update.zero_grad()
            F.cross_entropy(logits, labels).backward()
            update.step()
    for name, p in net.named_parameters():
        torch.testing.assert_close(
            p, state[name], rtol=1e-10, atol=1e-12, msg=lambda m, name=name: f"{name}: {m}"
        )


def test_the_towers_meet_first_at_conv3():
    net = livelier(make()).eval()
    seen = {}
    for name, module in net.towers["1"].named_children():
        module.register_forward_hook(
            lambda _m, _x, y, name=name: seen.setdefault(name, []).append(y)
        )
    net(images())
    net.towers["0"].conv1.register_forward_hook(lambda _m, _x, y: y + 1)
    net(images())
    same = {name: torch.equal(*pair) for name, pair in seen.items()}
    before = ["conv1", "conv1_relu", "rnorm1", "pool1", "conv2", "conv2_relu", "rnorm2", "pool2"]
    assert same == {name: name in before for name in same}


def test_the_sizes_are_the_papers():
    sizes = shapes(make(side=224), 224)
    layers = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool3")
    assert [sizes[name][1] for name in layers] == [55, 27, 27, 13, 13, 13, 13, 6]


@pytest.mark.parametrize("side", [224, 56, 24])
def test_non_overlapping_pooling_keeps_the_sizes_after_each_pool(side):
    overlapping, loose = (
        shapes(make(side=side, pooling=pooling), side)
        for pooling in ("overlapping", "non_overlapping")
    )
    assert {name: loose[name] for name in ("pool2", "pool3", "fc6")} == {
        name: overlapping[name] for name in ("pool2", "pool3", "fc6")
    }


@pytest.mark.parametrize("side", [227, 200])
def test_another_input_size_is_refused_with_the_reason(side):
    with pytest.raises(
        InputError, match=r"takes \(N, 3, 224, 224\).*3 rows and columns of zeros.*crop"
    ):
        make(side=224)(torch.zeros(1, 3, side, side))


def test_initial_weights_and_biases_are_the_papers():
    net = make(width=1.0, fidelity="source2012")
    layers = {
        name: module for name, module in net.towers["1"].named_children() if hasattr(module, "bias")
    }
    assert {name: module.bias.unique().item() for name, module in layers.items()} == {
        "conv1": 0,
        "conv2": 1,
        "conv3": 0,
        "conv4": 1,
        "conv5": 1,
        "fc6": 1,
        "fc7": 1,
    }
    assert {name: round(module.weight.std().item(), 3) for name, module in layers.items()} == {
        "conv1": 0.01,
        "conv2": 0.01,
        "conv3": 0.03,
        "conv4": 0.03,
        "conv5": 0.03,
        "fc6": 0.01,
        "fc7": 0.01,
    }
    assert make().towers["0"].fc8.bias.unique().item() == 0
    assert {module.initial.std for module in make().modules() if hasattr(module, "initial")} == {
        0.01
    }


def test_the_one_gpu_net_halves_all_but_the_last_convolution_and_the_full_layers():
    tower = make(towers=1, width=1.0).towers["0"]
    assert [tower.get_submodule(f"conv{i}").out_channels for i in range(1, 6)] == [
        48,
        128,
        192,
        192,
        256,
    ]
    assert [tower.fc6.out_features, tower.fc7.out_features, tower.fc7.in_features] == [
        4096,
        4096,
        4096,
    ]


@pytest.mark.parametrize("name", ["conv2", "conv3", "conv4", "conv5"])
def test_a_removed_layer_is_gone_and_the_next_reads_what_it_read(name):
    whole, net = make(), make(removed=name)
    following = {"conv2": "conv3", "conv3": "conv4", "conv4": "conv5"}.get(name)
    assert not any(name in key for key in net.state_dict())
    assert f"{name}_relu" not in dict(net.towers["0"].named_children())
    if following == "conv3":
        assert net.towers["1"].conv3.in_channels == 2 * whole.towers["1"].conv1.out_channels
    elif following:
        assert (
            net.towers["1"].get_submodule(following).in_channels
            == whole.towers["1"].get_submodule(name).in_channels
        )
    assert net(images()).shape == (2, 7)


def test_no_normalisation_removes_all_three_of_the_source():
    kinds = {type(module).__name__ for module in make(lrn=False, fidelity="source2012").modules()}
    assert not kinds & {"LocalResponseNorm", "SameMapNorm"}


def test_activation_and_dropout_are_switched():
    kinds = [type(module) for module in make(activation="tanh", dropout=False).modules()]
    assert kinds.count(nn.Tanh) == 14  # 7 in each tower
    assert nn.ReLU not in kinds and Dropout not in kinds


def test_dropout_masks_without_rescaling_and_halves_when_testing():
    layer, x = Dropout(), torch.full((100, 100), 3.0)
    y = layer.train()(x)
    assert set(y.unique().tolist()) == {0.0, 3.0}
    assert 0.47 < (y == 0).float().mean() < 0.53
    assert torch.equal(layer.eval()(x), x / 2)


def test_masks_are_a_function_of_seed_and_step_and_the_same_for_a_part_of_the_minibatch():
    net, x = livelier(make()), images()

    def logits(*words):
        seed_masks(net, *words)
        return net(x)

    first = logits(3, 10)
    torch.manual_seed(99)
    assert torch.equal(logits(3, 10), first)
    for other in ((3, 11), (4, 10)):
        assert not torch.equal(logits(*other), first)
    seed_masks(net, 3, 10, first=1, total=len(x))
    # float32; products of fewer rows add in another order
    torch.testing.assert_close(net(x[1:]), first[1:], rtol=1e-4, atol=1e-6)
    layers = [module.seed for module in net.modules() if isinstance(module, Dropout)]
    assert len(set(layers)) == 4


def test_weights_are_a_function_of_the_generator():
    a, b, c = make(seed=1), make(seed=1), make(seed=2)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.towers["1"].fc7.weight, c.towers["1"].fc7.weight)
    assert not torch.equal(a.towers["0"].conv1.weight, a.towers["1"].conv1.weight)


def test_reduced_scale_is_stated_and_the_papers_variants_are_not():
    assert len(AlexNetSpec(side=56, width=0.25).deviations) == 2
    assert len(AlexNetSpec(side=56, width=0.25, init="same_variance").deviations) == 3
    assert len(AlexNetSpec(side=56, width=0.25, init="as_whole").deviations) == 3
    assert AlexNetSpec(towers=1, lrn=False, removed="conv4", sixth_conv=True).deviations == ()
