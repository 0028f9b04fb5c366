"""Variants of the baseline: every recipe can be built at every profile, and published ids stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from replication.base import paths
from replication.base.types import PROFILES
from replication.experiments import ablations, effect_of_data, kernels, paper_vs_source, tables
from replication.experiments.common import baselines
from replication.experiments.common.baselines import ALL, DATA, VARIANTS, task, variant

RESULTS = paths.ROOT / "results" / "laptop" / "ablations"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("regime", ["first", "learnt"])
def test_every_variant_has_a_recipe_at_every_profile(profile: str, regime: str) -> None:
    recipes = {name: variant(profile, name, 0, regime) for name in ALL if name not in DATA}
    assert len({recipe.id for recipe in recipes.values()}) == len(recipes)
    assert all(variant(profile, name, 0, regime).data.count for name in DATA)


def test_the_published_runs_are_found_under_their_ids() -> None:
    folders = [folder for folder in RESULTS.iterdir() if (folder / "recipe.json").is_file()]
    assert folders
    for folder in folders:
        name, seed, _ = folder.name.rsplit("-", 2)
        regimes = [task("laptop", name, int(seed[4:]), regime) for regime in ("first", "learnt")]
        assert folder.name in [one.folder.name for one in regimes]


def test_the_learnt_baseline_ends_by_section_5s_rule_and_holds_half_of_the_images_out() -> None:
    recipe = variant("laptop", "baseline", 0, "learnt")
    assert recipe.schedule.kind == "plateau" and recipe.schedule.drops == 3
    assert ("unused", 1) in task("laptop", "baseline", 0, "learnt").evaluate
    assert recipe.data.count == 25_000 and recipe.data.validation == 2_500


def test_an_amount_of_data_counts_the_images_that_are_trained_on() -> None:
    data = variant("laptop", "images75-no-crops", 0, "learnt").data
    assert (data.count - data.validation) / 100 == 75 and not data.augment


def test_variants_of_a_rate_change_nothing_else() -> None:
    half, whole = (variant("laptop", name, 3, "learnt") for name in ("tanh-rate0.5", "tanh"))
    assert half.update.rate == whole.update.rate / 2
    changed = whole.update.model_copy(update={"rate": half.update.rate})
    assert whole.model_copy(update={"update": changed}) == half
    assert set(VARIANTS) <= set(ALL)


def campaign(folder: Path, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the campaign's command with folders of its own."""
    names = {"REPLICATION_DATA": "data", "REPLICATION_RESULTS": "results", "REPLICATION_RUNS": "r"}
    environment = os.environ | {name: str(folder / of) for name, of in names.items()} | changes
    command = [sys.executable, str(paths.ROOT / "scripts" / "campaign.py"), *words]
    return subprocess.run(
        command, cwd=paths.ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "cifar10 is not in"),
        # runs that a page's "not stored yet" asks for, and that it would never find
        ({"REPLICATION_RESULTS": str(paths.ROOT / "results")}, "own/by-hand, where no page looks"),
    ],
)
def test_what_keeps_the_campaign_from_training_is_one_line(
    tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    done = campaign(tmp_path, "race, relu", **changes)
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("campaign.py: ")


def test_the_campaign_prints_its_plan_on_a_machine_without_images(tmp_path: Path) -> None:
    done = campaign(tmp_path, "--dry-run")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0].startswith("race, relu") and lines[-1].startswith("all")
    assert any("0 of 65 runs" in line for line in lines)
    pages = (ablations, effect_of_data, kernels, paper_vs_source, tables)
    for page in pages:  # whose messages name the stage that trains what is missing
        assert any(line.startswith(f"{page.STAGE} ") for line in lines), page.STAGE
    assert any("specialisation at twice the width" in line and "32 runs" in line for line in lines)


def test_every_variant_on_the_pages_of_differences_has_a_readable_title() -> None:
    families = (baselines.VARIANTS, baselines.CONTROLS, baselines.SIZES, baselines.FIDELITY)
    named = {name for family in families for name in family}
    assert named == {baselines.BASELINE, *baselines.TITLES}
    assert len({baselines.title(name) for name in named}) == len(named)
