"""The paper as data: complete, consistent with itself, and refused with a clear line when it is
damaged.
"""

from collections import Counter

import pytest

from replication import paper
from replication.base import paths
from replication.base.errors import InputError
from replication.ledger.measurement import read_measurements
from replication.paper import Claim, claim, claims, deviations, rule_changes, statements, tables

CHECKED = [(claim.id, target) for claim in claims() for target in claim.targets]


def test_every_claim_of_the_specification_is_there():
    assert Counter(claim.kind for claim in claims()) == {"A": 10, "S": 5, "E": 32, "Q": 5, "C": 4}
    assert len({claim.id for claim in claims()}) == 56


@pytest.mark.parametrize(
    ("id", "target"), CHECKED, ids=[f"{id} {target.variant}".strip() for id, target in CHECKED]
)
def test_the_2012_log_agrees_with_the_paper(id, target):
    """A logged value that would not count as reproduced means a wrong range, value or log."""
    if target.log2012 is not None:
        assert target.accepts(target.log2012)
        # the paper prints one digit, of CIFAR-10's errors none
        assert target.log2012 == pytest.approx(target.value, abs=0.501 if "cifar" in id else 0.0501)


@pytest.mark.parametrize(
    ("id", "target"), CHECKED, ids=[f"{id} {target.variant}".strip() for id, target in CHECKED]
)
def test_a_reversed_effect_never_counts_as_reproduced(id, target):
    if target.null is not None:
        worse = target.null - 1e-6 if target.side == "above" else target.null + 1e-6
        assert not target.accepts(worse)


def test_claims_about_numbers_agree_with_the_tables():
    for row in (*tables().table1.rows, *tables().table2.rows):
        cells = [cell for cell in (row.top1, row.top5, row.test_top5) if cell is not None]
        assert all(f"{cell:.1f}" in claim(row.claim).paper for cell in cells), row.claim
        assert (claim(row.claim).kind == "C") == row.cited
        named = {target.variant: target for target in claim(row.claim).targets}
        for variant, cell, log in (
            ("top-1", row.top1, row.log2012_top1),
            ("top-5", row.top5, row.log2012_top5),
        ):
            if not row.cited and cell is not None:
                assert named[variant].value == cell
                assert named[variant].log2012 == log


def test_differences_in_the_claims_are_those_of_the_tables_and_text():
    one, five, pre, seven = (row.top5 for row in tables().table2.rows[1:])
    assert claim("table2-5cnn").target("gain of five").value == pytest.approx(one - five)
    assert claim("table2-1cnn-pre").target("gain of pre-training").value == pytest.approx(one - pre)
    assert claim("table2-7cnn").target("gain of seven").value == pytest.approx(one - seven)
    ten = tables().table1.rows[2]
    text = tables()
    assert claim("ten-views").target("top-1").value == pytest.approx(
        text.value("one-view-top1") - ten.top1
    )
    assert claim("ten-views").target("top-5").value == pytest.approx(
        text.value("one-view-top5") - ten.top5
    )
    assert claim("lrn-cifar").target("norms removed").value == text.value(
        "cifar-without-norm"
    ) - text.value("cifar-with-norm")
    assert claim("relu-tanh").target("").value == text.value("fig1-ratio")


def test_the_cells_that_are_quoted_from_the_published_paper_say_so():
    assert "quoted from the published paper" in tables().table2.provenance
    assert "15.4" in tables().table2.provenance


def test_a_variant_without_a_name_of_its_own_gets_the_unnamed_target():
    assert claim("relu-tanh").target("modern") == claim("relu-tanh").target("")
    assert claim("lrn-gain").target("modern") is None


def test_rows_of_the_tables_have_an_analogue_only_where_a_difference_can_stand_in():
    assert claim("table2-5cnn").variant_at("paper") == "top-5"
    assert claim("table2-5cnn").variant_at("laptop") == "gain of five"
    needing = {claim.id for claim in claims() if claim.needs_paper_scale}
    assert needing == {
        *("fig1-curves", "cifar-error", "cifar-without"),
        *("table1-cnn", "table2-1cnn", "val-test", "fall2009"),
    }


def test_changes_of_a_row_and_of_the_rules_say_what_why_and_whether_results_had_been_seen():
    logged = {one.id: one.changes for one in claims() if one.changes}
    assert {"neurons", "dropout-iterations", "aug-free", "three-drops"} <= set(logged)
    every = [*rule_changes(), *(change for changes in logged.values() for change in changes)]
    assert all(change.what.endswith(".") and change.why.endswith(".") for change in every)
    assert any(change.seen for change in every)


def test_every_arithmetic_claim_says_how_its_number_is_compared():
    assert all(claim.tolerance for claim in claims() if claim.kind == "A")


def test_an_unknown_claim_is_refused_with_the_list():
    with pytest.raises(InputError, match="relu-tanh"):
        claim("relu_tanh")


ENTRY = {
    "id": "relu-tanh",
    "section": "3.1",
    "kind": "E",
    "statement": "faster",
    "paper": "6",
    "experiment": "relu_vs_tanh",
    "scale": "figure1",
    "quantity": "ratio",
    "null": 1.0,
    "side": "above",
    "targets": [{"value": 6.0, "low": 4.0}],
    "tolerance": "reason",
}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"targets": [{"value": 6.0, "low": 7.0}]}, "outside the range"),
        ({"targets": [{"value": 6.0}]}, "low, high, or both"),
        ({"side": None}, "go together"),
        ({"tolerance": ""}, "reason of their tolerance"),
        ({"experiment": None}, "names the experiment"),
        ({"kind": "A"}, "only E and Q"),
        ({"scale": ""}, "names the paper's scale"),
        ({"targets": [{"variant": "top-1", "low": 1.0}]}, "no target for variant ''"),
        ({"tolerence": "misspelt"}, "tolerence"),
    ],
)
def test_a_claim_that_could_not_be_judged_is_refused(change, complaint):
    assert Claim(**ENTRY).id == "relu-tanh"
    with pytest.raises(ValueError, match=complaint):
        Claim(**{**ENTRY, **change})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[claim]\n", "bad.toml is not TOML .*git checkout"),
        (
            '[[claim]]\nid = "x"\nsection = "1"\nkind = "Z"\nstatement = ""\npaper = ""\n',
            "claim x: kind",
        ),
        (
            '[[claim]]\nid = "x"\nsection = "1"\nkind = "C"\nstatement = ""\npaper = ""\n' * 2,
            "x occurs twice",
        ),
    ],
)
def test_a_damaged_claims_file_is_refused_in_one_line(tmp_path, text, complaint):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint) as caught:
        paper.read_entries(path, "claim", paper.Claim)
    assert "\n" not in str(caught.value)


def test_a_damaged_claims_file_is_not_taken_for_damaged_measurements(tmp_path, monkeypatch):
    (tmp_path / "claims.toml").write_text("[[claim]\n")
    monkeypatch.setattr(statements, "HERE", tmp_path)
    stored = next(paths.published().glob("*/*/measurements.json"))
    for cached in (statements.claims, deviations.deviations):
        cached.cache_clear()
    try:
        for read in (lambda: read_measurements(stored), deviations.deviations):
            with pytest.raises(InputError, match="claims.toml is not TOML") as caught:
                read()
            assert "delete" not in str(caught.value)
            assert "deviation" not in str(caught.value)
    finally:
        for cached in (statements.claims, deviations.deviations):
            cached.cache_clear()
