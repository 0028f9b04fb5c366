"""Counts that are read off the modules, against those of the paper and of the released nets."""

import json

import pytest

from replication.base.errors import InputError
from replication.nets.alexnet import NAMED, alexnet
from replication.nets.summary import count, named, summary
from replication.recipe import AlexNetSpec, CifarNetSpec


def column(counts, name):
    return {row.name: getattr(row, name) for row in counts.layers if row.parameters}


def test_the_papers_net_has_the_counted_parameters_neurons_and_products():
    counts = summary(NAMED["alexnet"])
    assert (counts.total.parameters, counts.total.neurons, counts.total.multiply_adds) == (
        60_965_224,
        659_272,
        724_406_816,
    )
    assert column(counts, "parameters") == {
        "conv1": 34_944,
        "conv2": 307_456,
        "conv3": 885_120,
        "conv4": 663_936,
        "conv5": 442_624,
        "fc6": 37_752_832,
        "fc7": 16_781_312,
        "fc8": 4_097_000,
    }
    assert list(column(counts, "neurons").values()) == [
        290_400,
        186_624,
        64_896,
        64_896,
        43_264,
        4096,
        4096,
        1000,
    ]
    assert column(counts, "multiply_adds")["conv2"] == 223_948_800


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("alexnet-2012", 60_965_224, 724_406_816),
        ("alexnet-one-gpu", 59_798_312, 391_514_384),
        ("alexnet-6conv", 61_555_304, 745_640_480),
    ],
)
def test_the_named_variants_have_the_counted_parameters_and_products(
    name, parameters, multiply_adds
):
    total = summary(NAMED[name]).total
    assert (total.parameters, total.multiply_adds) == (parameters, multiply_adds)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("80sec", 145_578),
        ("19pct", 89_578),
        ("conv-local-13pct", 1_116_490),
        ("conv-local-11pct", 2_112_970),
    ],
)
def test_the_cifar_nets_have_the_counted_parameters(name, parameters):
    assert summary(CifarNetSpec(name=name)).total.parameters == parameters


def test_bytes_cross_into_conv3_and_the_full_layers_only():
    crossing = {row.name: row.received for row in summary(NAMED["alexnet"]).layers if row.received}
    maps, floats = 128, 4  # of pool2 and pool3 in each tower
    assert crossing == {
        "conv3": 2 * maps * 13 * 13 * floats,
        "fc6": 2 * maps * 6 * 6 * floats,
        "fc7": 2 * 2048 * floats,
        "fc8": 2048 * floats,  # to tower 0 only
    }
    assert summary(NAMED["alexnet-one-gpu"]).total.received == 0
    assert (
        summary(AlexNetSpec(sixth_conv=True)).total.received
        == sum(crossing.values()) + crossing["fc6"]
    )


def test_each_row_of_the_summary_names_its_towers():
    counts = summary(NAMED["alexnet"])
    assert {row.name: row.towers for row in counts.layers}["conv4"] == (0, 1)
    assert [row.towers for row in counts.rows if row.name == "fc8"] == [(0,)]
    assert sum(row.share for row in counts.rows) == pytest.approx(1)


def test_a_published_net_is_found_by_its_name_and_another_refused_with_the_list():
    assert named("alexnet-6conv").sixth_conv and named("19pct") == CifarNetSpec(name="19pct")
    with pytest.raises(InputError, match=r"unknown net 'vgg': choose one of alexnet, .*19pct"):
        named("vgg")


def test_counting_leaves_the_net_as_it_was():
    net = alexnet(AlexNetSpec(side=24, width=1 / 16)).train()
    exchange = net.exchange
    count(net, 24)
    assert net.training and net.exchange is exchange
    assert not any(module._forward_hooks for module in net.modules())


def test_the_report_is_json_and_a_table():
    counts = summary(NAMED["alexnet"])
    dumped = json.loads(json.dumps(counts.dump()))
    assert dumped["total"]["parameters"] == 60_965_224
    lines = counts.table().splitlines()
    assert "885,120" in next(line for line in lines if line.startswith("conv3 "))
    assert lines[-1].split()[0] == "all"
