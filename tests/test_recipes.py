"""Named recipes: every name at every profile fits together, and what ``train`` is told becomes the
recipe that was meant.
"""

from pathlib import Path

import pytest

from replication.base import paths
from replication.base.errors import InputError
from replication.base.types import PROFILES
from replication.nets.build import build
from replication.recipe import Recipe
from replication.recipes import NETS, as_yaml, chosen, named

IDS = {  # of quick, laptop, gpu and paper: stored results are found by them
    "alexnet": ("a05301c910", "e0f4ea5252", "62c6b83427", "c22f1ece00"),
    "alexnet-2012": ("66f02b18eb", "3ff1570e03", "4076d8cd28", "6bbfeaefe1"),
    "alexnet-one-gpu": ("d3161e154d", "d6ec025c87", "ca9d581815", "23d2e458e8"),
    "alexnet-6conv": ("da7bf44485", "334521cde1", "544cb70a9d", "27bfd565c2"),
    "19pct": ("34ce2d9749", "40044135d0", "8f8888e18c", "8f8888e18c"),
}


def test_the_published_recipes_keep_their_ids() -> None:
    assert {name: tuple(named(name, profile).id for profile in PROFILES) for name in NETS} == IDS


def test_the_papers_scale_computes_in_bf16_and_none_of_its_nets_is_published() -> None:
    recipes = [named(name, "paper") for name in NETS if name != "19pct"]
    assert {recipe.precision for recipe in recipes} == {"bf16"}
    stored = paths.ROOT / "results" / "paper"
    assert [recipe.id for recipe in recipes if list(stored.glob(f"*/*-{recipe.id}"))] == []


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_named_recipe_is_sound(name: str, profile: str) -> None:
    recipe = named(name, profile)
    assert Recipe.model_validate(recipe.model_dump()) == recipe  # model_copy checks nothing
    assert profile != "quick" or build(recipe, 10)  # the net takes the images that the data gives


def test_the_paper_net_differs_from_the_released_one_in_what_the_paper_says() -> None:
    paper, released = named("alexnet", "paper"), named("alexnet-2012", "paper")
    assert (paper.net.fidelity, released.net.fidelity) == ("paper", "source2012")
    assert (paper.update.bias_rate_factor, released.update.bias_rate_factor) == (1, 2)
    assert (
        named("alexnet-one-gpu", "laptop").net.towers == 1
        and named("alexnet-6conv", "gpu").net.sixth_conv
    )


def test_what_a_dry_run_prints_is_read_back(tmp_path: Path) -> None:
    recipe = chosen(
        "alexnet",
        "laptop",
        ["update.rate=1e-3", "net.width=0.125", "update.layer_rates={fc8: 10}", "seed=3"],
    )
    assert (
        recipe.update.rate == 0.001
        and recipe.update.layer_rates == {"fc8": 10}
        and recipe.seed == 3
    )
    file = tmp_path / "mine.yaml"
    file.write_text(as_yaml(recipe))
    assert chosen(str(file), "quick") == recipe


@pytest.mark.parametrize(
    ("name", "changes", "fault"),
    [
        ("alexnot", [], "unknown recipe 'alexnot'"),
        ("missing.yaml", [], "missing.yaml"),
        ("alexnet", ["update.rate"], "field=value"),
        ("alexnet", ["nothing.here=1"], "field=value"),
        ("alexnet", ["update.rat=1"], "update.rat"),
        ("alexnet", ["update.rate=-1"], "greater than 0"),
        ("alexnet", ["batch=7", "parts=2"], "does not divide"),
        ("alexnet", ["init_from=/tmp/weights"], "name a run's id; --init-from takes a path"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(name: str, changes: list[str], fault: str) -> None:
    with pytest.raises(InputError) as error:
        chosen(name, "quick", changes)
    assert fault in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ("update.rate=1e-3", "update.rate", 0.001),
        ("epochs=010", "epochs", 10),
        ("net.towers=1", "net.towers", 1),
        ("net.lrn=false", "net.lrn", False),
        ("data.count=null", "data.count", None),
        ("init_from='1234567890'", "init_from", "1234567890"),
        ("update.layer_rates={fc8: 10}", "update.layer_rates", {"fc8": 10.0}),
    ],
)
def test_a_changed_value_has_the_type_that_its_field_declares(change, field, value):
    found = chosen("alexnet", "quick", [change])
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("change", ["epochs=1:30", "epochs=true", "epochs=0x10", "net.lrn=2"])
def test_a_value_of_another_type_is_refused_instead_of_guessed(change):
    with pytest.raises(InputError, match=change.partition("=")[0]):
        chosen("alexnet", "quick", [change])
