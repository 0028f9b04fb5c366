"""Section 3.3's nets for CIFAR-10: the scaled schedule, and what is compared with what."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.experiments import lrn_cifar
from replication.experiments.lrn_cifar import RELEASED, WITH, WITHOUT, stages
from replication.ledger.rules import excluded_side
from replication.runs.store import Run, Task

SETTINGS = lrn_cifar.settings(
    profile="quick", data="synthetic", count=40, batch=20, epochs=26, rate=0.001, seeds=[0, 1, 2]
)


@given(st.integers(3, 2000))
def test_every_stage_has_an_epoch(epochs: int) -> None:
    first, second = stages(epochs)
    assert 1 <= first < second < epochs


def test_the_released_length_has_the_released_stages() -> None:
    assert stages(520) == (500, 510)


def test_the_clean_comparison_differs_in_the_normalisations_alone() -> None:
    whole, less = (lrn_cifar.recipe(SETTINGS, variant, 1) for variant in (WITH, WITHOUT))
    assert less.model_copy(update={"net": less.net.model_copy(update={"norms": True})}) == whole
    assert (whole.data.side, whole.data.augment, whole.update.bias_rate_factor) == (24, True, 2.0)


def test_a_higher_error_without_normalisation_is_on_the_claimed_side() -> None:
    rows, runs = [], []
    for seed in SETTINGS.seeds:
        for variant, error in (
            (WITH, 11.0),
            (WITHOUT, 13.0 + 0.1 * seed),
            (RELEASED, 12.5 + 0.1 * seed),
        ):
            rows.append({"variant": variant, "seed": seed, "test_top1": error})
            task = Task("quick", "lrn_cifar", variant, lrn_cifar.recipe(SETTINGS, variant, seed))
            data = {
                "images": 40,
                "classes": 10,
                "name": "synthetic",
                "note": "",
                "fingerprint": "0",
            }
            runs.append(
                Run(
                    task,
                    pd.DataFrame(),
                    {"ended": "diverged" if variant == RELEASED else "epochs"},
                    {"data": data},
                    {},
                )
            )
    clean, released = lrn_cifar.measure(SETTINGS, pd.DataFrame(rows), runs)
    assert clean.variant == WITHOUT and clean.mean == pytest.approx(2.1)
    assert excluded_side(clean) == "above"
    assert released.mean == pytest.approx(1.6) and "not finite in as released" in released.reason
