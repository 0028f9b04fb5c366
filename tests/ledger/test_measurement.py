"""The contract between experiments and ledger: what is written is read back, and what was changed
by hand is refused.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.base.errors import InputError
from replication.ledger.families import family
from replication.ledger.measurement import (
    Measurement,
    all_measurements,
    checked,
    measured,
    read_measurements,
    write_measurements,
)
from replication.ledger.rules import VERDICTS, judge
from replication.paper import claim


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    return tmp_path


def ratio(**changes):
    given = {
        "denominators": [100.0, 110.0, 105.0],
        "profile": "laptop",
        "scale": "synthetic",
        "variant": "source2012",
    }
    return measured("relu-tanh", [600.0, 650.0, 640.0], **{**given, **changes})


def difference(**changes):
    return measured(
        "lrn-gain",
        [1.0, 1.5, 1.2],
        **{"profile": "laptop", "scale": "synthetic", "variant": "top-1", **changes},
    )


def check(holds=True, **changes):
    return checked("params", 60_965_224, 60_000_000, holds, **{"profile": "laptop", **changes})


def test_what_is_written_is_read_back():
    made = (ratio(), difference(), check())
    path = write_measurements("laptop", "relu_vs_tanh", made)
    assert read_measurements(path) == made
    assert all_measurements("laptop") == {"relu_vs_tanh": made}
    assert all_measurements("gpu") == {}


def test_quantity_unit_and_null_come_from_the_claim():
    assert (difference().unit, difference().null) == ("percentage points", 0.0)
    assert difference().quantity == "error without normalisation minus error with it"


def test_n_of_a_ratio_is_the_smaller_group():
    assert ratio(denominators=[100.0, 110.0]).n == 2


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_a_measurement_with_any_values_survives_a_json_file(values):
    made = difference_of(values)
    assert Measurement.model_validate(json.loads(json.dumps(made.model_dump(mode="json")))) == made


def difference_of(values):
    return measured("lrn-gain", values, profile="laptop", scale="synthetic", variant="top-1")


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("mean", 7.0, "mean is 7.0, and the values give"),
        ("low", 1.0, "low is 1.0"),
        ("high", None, "high is None"),
        ("n", 5, "n is 5"),
        ("values", [600.0, 650.0, 641.0], "mean is"),
        ("null", 0.0, "null is 0.0, and claims.toml says 1.0"),
        ("claim", "relu_tanh", "not in replication/paper/claims.toml"),
        ("claim", "table1-fv", "quoted from others"),
        ("profile", "desktop", "profile"),
        ("values", ["many"], "values.0"),
        ("values", [], "takes values"),
        ("holds", True, "no holds"),
        ("verdict", "reproduced", "verdict"),
        ("subtracted", [1.0], "denominators for ratios"),
        ("rules", 3, "rules"),
        ("mean", float("nan"), "mean"),
    ],
)
def test_a_changed_field_is_refused_by_file_and_field(field, value, complaint):
    path = write_measurements("laptop", "relu_vs_tanh", [check(), ratio()])
    entries = json.loads(path.read_text())
    entries[1][field] = value
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError) as caught:
        read_measurements(path)
    assert (
        complaint in str(caught.value)
        and f"{path}, entry 1" in str(caught.value)
        and "\n" not in str(caught.value)
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not JSON"),
        ("[{", "is not JSON"),
        ("{}", "should be a list"),
        ("[1]", "entry 0: should be fields"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(results, text, complaint):
    path = results / "laptop" / "relu_vs_tanh" / "measurements.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InputError, match=complaint) as caught:
        all_measurements("laptop")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_measurement_in_another_profiles_folder_is_refused(results):
    path = write_measurements("laptop", "relu_vs_tanh", [ratio()])
    moved = results / "paper" / "relu_vs_tanh" / path.name
    moved.parent.mkdir(parents=True)
    path.rename(moved)
    with pytest.raises(InputError, match="profile is laptop"):
        all_measurements("paper")
    with pytest.raises(InputError, match="profile is laptop"):
        write_measurements("paper", "relu_vs_tanh", [ratio()])


def test_two_answers_to_the_same_claim_are_refused_by_a_line_that_names_both_files():
    first = write_measurements("laptop", "architecture", [check()])
    second = write_measurements("laptop", "training", [check(holds=False)])
    with pytest.raises(InputError, match="params is measured twice at laptop") as caught:
        all_measurements("laptop")
    assert str(first) in str(caught.value) and str(second) in str(caught.value)


def test_a_variant_that_no_target_judges_is_refused_before_the_run():
    with pytest.raises(InputError, match="add one to replication/paper/claims.toml"):
        difference(variant="top-3")


def test_a_bound_opens_the_interval_on_its_uninformative_side():
    assert ratio(bound="lower").reach == (ratio().low, float("inf"))
    assert ratio(bound="upper").reach == (float("-inf"), ratio().high)
    assert ratio().reach == (ratio().low, ratio().high)
    assert (ratio(bound="lower").censored, ratio().censored) == (True, False)
    assert difference_of([1.0]).reach is None


def test_a_paired_ratio_is_averaged_on_logarithms():
    ratios = measured(
        "bias-one", [0.5, 2.0, 1.0], profile="laptop", scale="Tiny ImageNet", variant=""
    )
    assert ratios.mean == pytest.approx(1.0)


def test_files_of_before_that_rule_are_read_as_written_and_judged_by_it():
    """The published files of 25 November 2026 have the arithmetic mean of a ratio."""
    old = measured("bias-one", [0.5, 2.0, 2.0], profile="laptop", scale="Tiny ImageNet")
    entry = old.model_dump(mode="json") | {"mean": 1.5, "low": -0.651, "high": 3.651}
    entry |= {"low": 1.5 - 4.302652729911275 * 0.5, "high": 1.5 + 4.302652729911275 * 0.5}
    for field in ("rules", "family", "member", "subtracted", "over_images", "ran"):
        del entry[field]
    read = Measurement.model_validate(entry)
    assert (read.mean, read.rules) == (1.5, 1)
    assert read.estimate == old.estimate and read.estimate.mean == pytest.approx(2 ** (1 / 3))


def test_two_groups_of_seeds_use_every_seed_of_both():
    both = measured(
        "lrn-gain",
        [3.0, 3.2, 3.4],
        subtracted=[1.0, 1.1, 1.2, 1.3, 1.4],
        profile="laptop",
        scale="Tiny ImageNet",
        variant="top-1",
    )
    assert (both.n, both.mean) == (3, pytest.approx(2.0))
    assert both.spread.freedom > 2  # a paired t over three seeds has two degrees


def test_a_familys_numbers_are_recomputed_when_they_are_read():
    values = {"baseline": [1.0, 1.1, 1.2], "no-lrn": [3.0, 3.2, 3.4], "tanh": [7.0, 8.0]}
    made = measured(
        "lrn-gain",
        values["no-lrn"],
        subtracted=values["baseline"],
        family=family("top-1", values, "baseline"),
        member="no-lrn",
        profile="laptop",
        scale="Tiny ImageNet",
        variant="top-1",
    )
    entry = json.loads(json.dumps(made.model_dump(mode="json")))
    assert Measurement.model_validate(entry) == made
    entry["family"]["groups"]["tanh"]["variance"] = 0.0
    with pytest.raises(ValueError, match="low is"):
        Measurement.model_validate(entry)
    with pytest.raises(ValueError, match="no variant 'one-gpu'"):
        Measurement.model_validate(made.model_dump() | {"member": "one-gpu"})


def test_every_published_measurement_is_read_and_judged(monkeypatch):
    monkeypatch.delenv("REPLICATION_RESULTS")
    for made in all_measurements("laptop").values():
        for one in made:
            assert judge(claim(one.claim), one)[0] in VERDICTS
