"""The verdicts and the ledger."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from replication.base import paths
from replication.base.errors import InputError
from replication.ledger import tables as ledger_tables
from replication.ledger.measurement import PROFILES, checked, measured, write_measurements
from replication.ledger.verdicts import VERDICTS, counts, judge, ledger, rows_json, verdict
from replication.paper import claim, claims


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    return tmp_path


def gain(values, profile="laptop", claim="lrn-gain", variant="top-1", **changes):
    return measured(claim, values, profile=profile, scale="synthetic", variant=variant, **changes)


def word(measurement):
    return verdict(claim(measurement.claim), measurement)


MEASURABLE = [(claim.id, target.variant) for claim in claims() for target in claim.targets]
NUMBERS = st.lists(st.floats(-100, 100).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=6)
ANY = st.builds(
    lambda which, values, profile, bound: gain(values, profile, *which, bound=bound),
    st.sampled_from(MEASURABLE),
    NUMBERS,
    st.sampled_from(PROFILES),
    st.sampled_from([None, None, "lower", "upper"]),
)


@given(ANY)
def test_the_verdict_is_one_of_the_six_words_with_a_reason(measurement):
    given, reason = judge(claim(measurement.claim), measurement)
    assert given in VERDICTS and reason and "\n" not in reason


@given(ANY)
def test_nothing_is_reproduced_below_the_papers_scale_or_from_a_bound(measurement):
    if measurement.profile != "paper" or measurement.censored:
        assert word(measurement) != "reproduced"


@given(ANY)
def test_no_direction_without_three_seeds_and_an_interval_that_excludes_no_effect(measurement):
    target = claim(measurement.claim).target(measurement.variant)
    if word(measurement) in ("direction reproduced", "contradicted"):
        low, high = measurement.reach
        assert measurement.n >= 3
        right, wrong = (
            (low > target.null, high < target.null)
            if target.side == "above"
            else (high < target.null, low > target.null)
        )
        assert right if word(measurement) == "direction reproduced" else wrong


@given(ANY)
def test_an_effect_and_its_mirror_image_never_share_a_verdict_on_direction(measurement):
    target = claim(measurement.claim).target(measurement.variant)
    assume(target.null is not None and measurement.profile != "paper")
    turned = {"lower": "upper", "upper": "lower", None: None}[measurement.bound]
    values = [2 * target.null - x for x in measurement.values]
    mirror = gain(values, measurement.profile, measurement.claim, measurement.variant, bound=turned)
    mirrored = {
        "direction reproduced": "contradicted",
        "contradicted": "direction reproduced",
        "inconclusive": "inconclusive",
    }
    assume(
        all(
            end is None or abs(end - target.null) > 1e-9
            for end in (measurement.low, measurement.high)
        )
    )
    assert word(mirror) == mirrored[word(measurement)]


@pytest.mark.parametrize(
    ("values", "profile", "expected"),
    [
        ([1.3, 1.4, 1.5], "laptop", "direction reproduced"),
        ([1.3, 1.4, 1.5], "gpu", "direction reproduced"),
        ([1.3, 1.4, 1.5], "quick", "direction reproduced"),
        ([1.3, 1.4, 1.5], "paper", "reproduced"),
        ([1.4], "paper", "reproduced"),  # the paper too has one run of each net
        ([1.4, 1.4], "laptop", "inconclusive"),  # two seeds
        ([1.4], "laptop", "inconclusive"),
        ([-1.0, 1.4, 3.5], "laptop", "inconclusive"),  # the interval includes zero
        ([-1.3, -1.4, -1.5], "laptop", "contradicted"),
        ([-1.3, -1.4, -1.5], "paper", "contradicted"),
        ([9.0, 9.1, 9.2], "paper", "direction reproduced"),  # right side, outside the range
        ([9.0], "paper", "inconclusive"),
        ([0.0, 0.0, 0.0], "laptop", "inconclusive"),
    ],
)
def test_verdicts_of_an_effect_with_a_size(values, profile, expected):
    assert word(gain(values, profile)) == expected


@pytest.mark.parametrize(
    ("values", "profile", "expected"),
    [
        ([1.0, 1.1, 1.2], "paper", "reproduced"),
        ([1.0], "paper", "inconclusive"),  # the range starts at zero, so one seed shows nothing
        ([-0.5, 0.1, 0.9], "paper", "inconclusive"),
        ([1.0, 1.1, 1.2], "laptop", "direction reproduced"),
    ],
)
def test_an_effect_without_a_size_needs_its_interval_at_the_papers_scale_too(
    values, profile, expected
):
    assert word(gain(values, profile, "weight-decay", "")) == expected


def test_a_claim_on_the_lower_side():
    assert word(gain([0.9, 0.91, 0.92], "laptop", "two-gpu-time", "")) == "direction reproduced"
    assert word(gain([1.1, 1.11, 1.12], "laptop", "two-gpu-time", "")) == "contradicted"


def test_a_number_on_ilsvrc_is_not_compared_with_a_smaller_scale():
    small = gain([40.0, 41.0, 42.0], "gpu", "table1-cnn", "top-5")
    assert judge(claim("table1-cnn"), small)[0] == "not run"
    assert "not compared" in judge(claim("table1-cnn"), small)[1]
    assert word(gain([17.2], "paper", "table1-cnn", "top-5")) == "reproduced"
    assert word(gain([19.0], "paper", "table1-cnn", "top-5")) == "inconclusive"


def test_a_bound_supports_only_the_side_it_bounds():
    slow, fast = [600.0, 610.0, 620.0], [100.0, 101.0, 102.0]
    assert (
        word(gain(slow, claim="relu-tanh", variant="modern", denominators=fast, bound="lower"))
        == "direction reproduced"
    )
    assert (
        word(gain(slow, claim="relu-tanh", variant="modern", denominators=fast, bound="upper"))
        == "inconclusive"
    )
    assert (
        word(gain(fast, claim="relu-tanh", variant="modern", denominators=slow, bound="lower"))
        == "inconclusive"
    )
    assert (
        word(gain(fast, claim="relu-tanh", variant="modern", denominators=slow, bound="upper"))
        == "contradicted"
    )
    assert (
        word(gain(slow, "paper", "relu-tanh", "modern", denominators=fast, bound="lower"))
        == "direction reproduced"
    )


def test_checks_hold_or_are_contradicted():
    assert word(checked("params", 60_965_224, 60_000_000, True, profile="laptop")) == "holds"
    assert word(checked("conv-share", 1.452, 1.0, False, profile="laptop")) == "contradicted"


def test_context_is_never_run():
    assert judge(claim("table1-fv"), None) == (
        "not run",
        "quoted from others; not measured here by design",
    )


def test_a_measurement_of_another_claim_is_a_mistake():
    with pytest.raises(ValueError, match="says nothing about"):
        verdict(claim("overlap-gain"), gain([1.0]))


def row_of(id, profile=None):
    return {row.id: row for row in ledger(profile)}[id]


def test_an_empty_ledger_has_every_row_and_nothing_run(results):
    rows = ledger()
    assert [row.id for row in rows] == [claim.id for claim in claims()]
    assert counts(rows) == {**dict.fromkeys(VERDICTS, 0), "not run": len(rows)}
    assert all(row.reason for row in rows)
    assert {row.id for row in rows if not row.command} == {
        claim.id for claim in claims() if claim.kind == "C"
    }


def test_a_measurement_changes_its_row_and_deleting_it_takes_that_back(results):
    before = row_of("relu-tanh")
    made = gain(
        [600.0, 610.0, 620.0],
        claim="relu-tanh",
        variant="source2012",
        denominators=[100.0, 101.0, 102.0],
    )
    path = write_measurements("laptop", "relu_vs_tanh", [made])
    row = row_of("relu-tanh")
    assert (row.verdict, row.ours) == ("direction reproduced", made)
    assert row.command == "replication run relu_vs_tanh --profile laptop"
    path.unlink()
    assert row_of("relu-tanh") == before
    assert before.verdict == "not run" and before.ours is None


def test_the_largest_published_scale_counts_and_quick_only_when_asked_for(results):
    write_measurements("quick", "ablations", [gain([5.0, 5.1, 5.2], "quick")])
    assert row_of("lrn-gain").verdict == "not run"
    assert row_of("lrn-gain", "quick").ours.profile == "quick"
    write_measurements("laptop", "ablations", [gain([-5.0, -5.1, -5.2], "laptop")])
    assert row_of("lrn-gain").verdict == "contradicted"
    write_measurements("gpu", "ablations", [gain([1.0, 1.1, 1.2], "gpu")])
    assert row_of("lrn-gain").ours.profile == "gpu"
    assert row_of("lrn-gain", "laptop").ours.profile == "laptop"


def test_other_variants_stand_beside_the_primary_one_with_their_own_verdicts(results):
    made = [gain([1.0, 1.1, 1.2], variant="top-1"), gain([-0.1, 0.1, 0.2], variant="top-5")]
    write_measurements("laptop", "ablations", made)
    row = row_of("lrn-gain")
    assert row.verdict == "direction reproduced"
    assert [(other.ours.variant, other.verdict) for other in row.others] == [
        ("top-5", "inconclusive")
    ]


def test_a_good_variant_does_not_stand_in_for_the_primary_one(results):
    write_measurements("laptop", "ablations", [gain([1.0, 1.1, 1.2], variant="top-5")])
    row = row_of("lrn-gain")
    assert (row.verdict, row.ours, len(row.others)) == ("not run", None, 1)
    assert "top-1" in row.reason


def test_below_the_papers_scale_the_analogue_gives_the_verdict(results):
    write_measurements(
        "gpu", "tables", [gain([1.0, 1.1, 1.2], "gpu", "table2-5cnn", "gain of five")]
    )
    assert row_of("table2-5cnn").verdict == "direction reproduced"
    write_measurements("paper", "tables", [gain([18.0], "paper", "table2-5cnn", "top-5")])
    assert (row_of("table2-5cnn").verdict, row_of("table2-5cnn").ours.profile) == (
        "inconclusive",
        "paper",
    )


def test_a_row_that_was_not_run_says_what_is_missing(results, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    assert "not written yet" in row_of("lrn-gain").reason
    (tmp_path / "ablations.ipynb").touch()
    (tmp_path / "tables.ipynb").touch()
    assert row_of("lrn-gain").reason == "nothing measured at the laptop profile"
    assert row_of("lrn-gain", "quick").command == "replication run ablations --profile quick"
    assert (
        row_of("table1-cnn", "quick").reason
        == "only the paper's own scale can answer; it needs ILSVRC-2010 and a GPU"
    )
    assert row_of("table1-cnn", "quick").command == "replication run tables --profile paper"
    write_measurements(
        "laptop", "tables", [gain([70.0, 71.0, 72.0], "laptop", "table1-cnn", "top-5")]
    )
    # what a smaller scale gave is shown, and the command is that of the scale that can answer
    shown = row_of("table1-cnn", "laptop")
    assert shown.ours is not None and shown.reason.endswith("it needs ILSVRC-2010 and a GPU")
    assert shown.command == "replication run tables --profile paper"


def test_an_unknown_profile_is_refused(results):
    with pytest.raises(InputError, match="choose one of quick, laptop, gpu, paper"):
        ledger("desktop")


def test_the_json_document_has_every_row_and_no_nan(results):
    write_measurements("laptop", "ablations", [gain([1.0, 1.1, 1.2])])
    document = json.loads(
        rows_json(ledger()), parse_constant=lambda name: pytest.fail(f"{name} is not JSON")
    )
    assert len(document["rows"]) == len(claims()) and sum(document["counts"].values()) == len(
        claims()
    )
    row = {row["id"]: row for row in document["rows"]}["lrn-gain"]
    assert (
        row["ours"]["mean"] == pytest.approx(1.1)
        and row["ours"]["n"] == 3
        and row["verdict"] == "direction reproduced"
    )


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_table_has_every_row_and_fits(results, width):
    write_measurements(
        "laptop",
        "architecture",
        [checked("params", 60_965_224, 60_000_000, True, profile="laptop")],
    )
    text = ledger_tables.rows_table(ledger(), width)
    assert max(map(len, text.splitlines()[:-1])) <= width
    assert "60,965,224" in text and "holds" in text and f"{len(claims())} claims: 1 holds" in text
    assert all(claim.id in text for claim in claims())


def test_html_is_escaped_and_links_only_to_chapters_that_exist(results, monkeypatch):
    monkeypatch.setattr(ledger_tables, "chapters", lambda: {"relu_vs_tanh"})
    evil = '<script>alert("1")</script>'
    made = gain(
        [600.0, 610.0, 620.0],
        claim="relu-tanh",
        variant="source2012",
        denominators=[100.0, 101.0, 102.0],
        reason=evil,
    )
    write_measurements("laptop", "relu_vs_tanh", [made])
    page = ledger_tables.rows_html(ledger())
    assert "<script" not in page and "&lt;script&gt;" in page
    linked = [claim.id for claim in claims() if claim.experiment == "relu_vs_tanh"]
    assert page.count('href="relu_vs_tanh.html"') == page.count("href=") == len(linked)
    assert page.count("<tr>") == 1 + len(claims())
    assert "<script" not in ledger_tables.missing_html(
        ledger()
    ) and "ablations --profile laptop" in ledger_tables.missing_html(ledger())


def test_a_chapters_verdicts_are_the_ledgers_and_escaped():
    made = [
        checked("params", 60_965_224, 60_000_000, True, profile="laptop", reason="a < b"),
        gain([1.0, 1.1, 1.2], variant="top-1"),
        gain([-0.1, 0.1, 0.2], variant="top-5"),
    ]
    page = ledger_tables.verdicts_html(made)
    rows = page.split("<tr>")[2:]
    assert len(rows) == len(made)
    for row, measurement in zip(rows, made, strict=True):
        word, reason = judge(claim(measurement.claim), measurement)
        assert f'<span class="verdict">{word}</span>' in row and reason.replace("<", "&lt;") in row
        assert measurement.variant in row
    assert claim("params").paper in rows[0] and claim("lrn-gain").paper in rows[1]
    # a claim is stated once, above its variants
    assert claim("lrn-gain").statement not in rows[2] and "same scale" in rows[2]
    assert ledger_tables.verdicts_html([], "not run: a < b") == "<p>not run: a &lt; b</p>"


def test_the_book_contents_name_the_chapters():
    assert "claims" in ledger_tables.chapters()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.9583, "5.96"),
        (0.3, "0.300"),
        (-1.25, "-1.25"),
        (100.4, "100"),
        (61234.0, "61,234"),
        (0.0, "0.00"),
        (12.34, "12.3"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert ledger_tables.number(value) == text


def test_what_we_found_says_bound_interval_and_seeds():
    assert ledger_tables.ours_text(gain([2.0])) == "2.00 percentage points, n = 1"
    assert (
        ledger_tables.ours_text(gain([2.0, 2.0, 2.0], bound="lower"))
        == "at least 2.00 [2.00, 2.00] percentage points, n = 3"
    )
    assert (
        ledger_tables.ours_text(checked("params", 60_965_224, 60_000_000, True, profile="laptop"))
        == "60,965,224"
    )
    assert ledger_tables.ours_text(None) == ""
