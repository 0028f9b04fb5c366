"""The paper's own scale is a property of what was run."""

import pytest

from replication.ledger.scale import describe, shortfalls
from replication.paper import claims
from replication.recipe import AlexNetSpec, CifarNetSpec, Data, Recipe, Update
from replication.recipes import named

ORIGINAL = {
    "name": "cifar10",
    "note": "",
    "fingerprint": "959a45022370f44a",
    "images": 50_000,
    "classes": 10,
}
RACE = Recipe(
    data=Data(name="cifar10", size=32), net=CifarNetSpec(), update=Update(rate=0.002), epochs=48
)
ILSVRC = {"name": "ilsvrc2010", "fingerprint": "0" * 16, "images": 1_211_406, "classes": 1000}


def test_figure_1_on_the_original_cifar10_is_at_the_papers_scale():
    assert not shortfalls("relu-tanh", describe(RACE, ORIGINAL, 0.25))


@pytest.mark.parametrize(
    ("change", "target_error", "complaint"),
    [
        ({"fingerprint": "66bea1dd7fc2d673", "note": "lossy JPEG"}, 0.25, "lossy JPEG"),
        ({"name": "synthetic"}, 0.25, "synthetic instead of cifar10"),
        ({"images": 10_000}, 0.25, "10,000 training images instead of 50,000"),
        ({}, 0.3, "30% instead of 25%"),
        ({}, None, "none instead of 25%"),
    ],
)
def test_other_images_fewer_images_or_another_target_error_are_a_reduced_scale(
    change, target_error, complaint
):
    ran = describe(RACE, ORIGINAL | change, target_error)
    assert any(complaint in text for text in shortfalls("relu-tanh", ran))


def test_the_full_net_on_ilsvrc_is_at_the_papers_scale_and_a_narrow_one_is_not():
    full = named("alexnet-2012", "paper")
    assert not shortfalls("lrn-gain", describe(full, ILSVRC))
    narrow = full.model_copy(update={"net": AlexNetSpec(width=0.5)})
    assert shortfalls("lrn-gain", describe(narrow, ILSVRC)) == (
        "width of the net 0.5 instead of 1.0",
    )
    assert shortfalls("table2-1cnn", describe(full, ILSVRC))  # Table 2 is about ILSVRC-2012


@pytest.mark.parametrize(
    ("epochs", "expected"), [(520, ()), (600, ()), (65, ("65 epochs instead of 520",))]
)
def test_fewer_epochs_than_the_released_recipe_are_a_reduced_scale(epochs, expected):
    net = CifarNetSpec(name="conv-local-11pct")
    data = Data(name="cifar10", size=32, crop=24)
    recipe = Recipe(data=data, net=net, update=Update(rate=0.001), epochs=epochs)
    assert shortfalls("lrn-cifar", describe(recipe, ORIGINAL)) == expected


def test_the_full_net_after_a_few_epochs_is_at_a_reduced_scale():
    short = named("alexnet-2012", "paper").model_copy(update={"epochs": 5})
    assert shortfalls("lrn-gain", describe(short, ILSVRC)) == ("5 epochs instead of 90",)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (21_843, ()),
        (1000, ("pre-trained on 1,000 classes instead of 21,841",)),
        (None, ("no pre-training on 21,841 classes is on record",)),
    ],
)
def test_a_net_pre_trained_on_other_data_than_fall_2011_is_not_the_papers(classes, expected):
    card = ILSVRC | {"name": "ilsvrc2012"}
    ran = describe(named("alexnet-2012", "paper"), card)
    ran = ran.model_copy(update={"pretrained_classes": classes})
    for claim in ("table2-1cnn-pre", "table2-7cnn"):
        assert shortfalls(claim, ran) == expected


def test_what_is_not_on_record_is_not_at_the_papers_scale():
    assert shortfalls("lrn-gain", None) and not shortfalls("params", None)


def test_every_measured_claim_states_its_scale():
    assert all(bool(claim.scale) == (claim.kind in "EQ") for claim in claims())


@pytest.mark.parametrize("profile", ["quick", "laptop", "gpu"])
def test_no_reduced_profile_of_the_baseline_is_at_the_papers_scale(profile):
    recipe = named("alexnet-2012", profile)
    card = {
        "name": recipe.data.name,
        "fingerprint": "0",
        "images": recipe.data.count or 50_000,
        "classes": 100,
    }
    assert shortfalls("lrn-gain", describe(recipe, card))
