"""Numbers in prose that no claim has."""

import re

import pandas as pd
import pytest

from replication.base import paths
from replication.base.statistics import widened
from replication.book import findings, other_numbers
from replication.ledger.units import numbers


def test_a_change_of_the_test_error_is_that_of_the_ablations() -> None:
    assert re.fullmatch(
        r"-?\d\.\d\d points \(.+ to .+, n = 5\)", other_numbers.change_text("no-dropout")
    )
    for claim, variant in (("lrn-gain", "no-lrn"), ("two-gpu-gain", "one-gpu")):
        gain = findings.answer(claim)[1]
        # the interval of the verdict: it reaches as far as the variant's own spread says, too
        _, low, high = numbers(*widened(gain.estimate, gain.separate))
        shown = f"{gain.mean:.2f} points ({low} to {high}, n = 5)"
        assert other_numbers.change_text(variant) == shown
    for name in ("no-such-variant", "no-such-variant, first baseline", "tanh, half the rate"):
        with pytest.raises(LookupError):
            other_numbers.change_text(name)


def test_a_change_at_half_the_rate_is_that_of_the_table_of_rates() -> None:
    rates = pd.read_csv(paths.published() / "laptop" / "ablations" / "rates.csv")
    row = rates[(rates["variant"] == "no-lrn") & (rates["factor"].astype(str) == "0.5")].iloc[0]
    middle, low, high = numbers(row["mean"], row["low"], row["high"])
    shown = f"{middle} points ({low} to {high}, n = {row['n']})"
    assert other_numbers.change_text("no-lrn, half the rate") == shown
    # it is of the two nets at that rate, and not of one at half and the other at the whole
    whole = rates[(rates["variant"] == "baseline") & (rates["factor"].astype(str) == "1.0")]
    half = rates[(rates["variant"] == "baseline") & (rates["factor"].astype(str) == "0.5")]
    assert row["mean"] == pytest.approx(row["test"] - half["test"].item())
    assert row["mean"] != pytest.approx(row["test"] - whole["test"].item())


def test_the_paper_against_its_source_is_in_prose_as_its_page_has_it() -> None:
    effects = pd.read_csv(paths.published() / "laptop" / "paper_vs_source" / "effects.csv")
    effects = effects[effects["quantity"] == "test_top1"].set_index("variant")
    row = effects.loc["paper-all"]
    middle, low, high = numbers(row["mean"], row["low"], row["high"])
    shown = f"{middle} points ({low} to {high}, n = {row['n']})"
    assert other_numbers.change_text("paper-all, first baseline") == shown
    single = effects[effects["deviation"].notna()]
    assert other_numbers.differences_text("higher").startswith(
        f"{(single[['low', 'images_low']].min(axis=1) > 0).sum() or 'none'} of {len(single)}"
    )
    assert other_numbers.differences_text("lower").startswith(
        f"{(single[['high', 'images_high']].max(axis=1) < 0).sum() or 'none'} of {len(single)}"
    )
    with pytest.raises(LookupError):
        other_numbers.differences_text("equal")


def test_a_difference_is_named_only_once_both_of_its_intervals_exclude_no_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {"lrn-alpha": "Scale of the normalisation, alpha", "bias-rate": ""}
    table = pd.DataFrame(
        {
            "deviation": list(names),
            "quantity": "test_top1",
            "n": [5, 5],
            "low": [-3.0, -3.0],
            "high": [-1.0, -1.0],
            "images_low": [-4.0, -4.0],
            "images_high": [-0.5, 0.5],
        }
    )
    monkeypatch.setattr(other_numbers, "_table", lambda *_: table)
    assert other_numbers.differences_text("lower") == f"1 of 2 ({names['lrn-alpha']})"
    assert other_numbers.differences_text("higher") == "none of 2"
    monkeypatch.setattr(other_numbers, "_table", lambda *_: table.assign(n=[5, 4]))
    with pytest.raises(LookupError):  # one has too few seeds for an answer
        other_numbers.differences_text("lower")


@pytest.mark.parametrize(
    ("chapter", "variant"), [("dropout", "no-dropout"), ("augmentation", "no-crops")]
)
def test_a_chapter_on_overfitting_says_what_happens_to_the_test_error(chapter, variant) -> None:
    """A wider gap alone would let the reader think that the error is higher, too."""
    text = (paths.BOOK / "paper" / f"{chapter}.md").read_text(encoding="utf-8")
    assert f"{{change}}`{variant}`" in text


def test_the_waiting_is_that_of_the_runs_on_a_gpu() -> None:
    found = re.fullmatch(r"(\d+)% to (\d+)% \((\d+) runs\)", other_numbers.waited_text("lrn_cifar"))
    assert found and 3 < int(found[1]) <= int(found[2]) < 100 and int(found[3]) > 3
    with pytest.raises(LookupError):
        other_numbers.waited_text("training")  # on CPUs


def test_the_chapter_on_augmentation_names_the_runs_that_waited() -> None:
    """The verdict is from a CPU, where a step is long; on a GPU the loader was too slow."""
    text = (paths.BOOK / "paper" / "augmentation.md").read_text(encoding="utf-8")
    assert "{waited}`lrn_cifar`" in text
