"""The verdicts and the ledger."""

import json
import re

import pytest
from ledger_worlds import full

from replication.base import paths
from replication.base.errors import InputError
from replication.ledger import tables as ledger_tables
from replication.ledger import units
from replication.ledger.chips import chip
from replication.ledger.measurement import ImageNoise, checked, measured, write_measurements
from replication.ledger.rules import judge
from replication.ledger.verdicts import VERDICTS, counts, ledger, rows_json
from replication.paper import claim, claims


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    return tmp_path


def gain(values, profile="laptop", claim="lrn-gain", variant="top-1", **changes):
    return measured(
        claim, values, profile=profile, scale="Tiny ImageNet", variant=variant, **changes
    )


FIVE = [1.0, 1.1, 1.2, 1.1, 1.0]  # seeds of a clear effect


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
        [600.0, 610.0, 620.0, 615.0, 605.0],
        claim="relu-tanh",
        variant="source2012",
        denominators=[100.0, 101.0, 102.0, 101.0, 100.0],
    )
    path = write_measurements("laptop", "relu_vs_tanh", [made])
    row = row_of("relu-tanh")
    assert (row.verdict, row.ours) == ("direction reproduced", made)
    assert row.command == "replication run relu_vs_tanh --profile laptop"
    path.unlink()
    assert row_of("relu-tanh") == before
    assert before.verdict == "not run" and before.ours is None


def test_the_largest_published_scale_counts_and_quick_only_on_request(results):
    write_measurements("quick", "ablations", [gain([5 * x for x in FIVE], "quick")])
    assert row_of("lrn-gain").verdict == "not run"
    assert row_of("lrn-gain", "quick").ours.profile == "quick"
    assert row_of("lrn-gain", "quick").verdict == "trial"
    write_measurements("laptop", "ablations", [gain([-x for x in FIVE], "laptop")])
    assert row_of("lrn-gain").verdict == "reversed here"
    write_measurements("gpu", "ablations", [gain([1.0, 1.1, 1.2], "gpu")])
    assert row_of("lrn-gain").ours.profile == "gpu"
    assert row_of("lrn-gain", "laptop").ours.profile == "laptop"


def test_other_variants_stand_beside_the_primary_one_with_their_own_verdicts(results):
    made = [gain(FIVE, variant="top-1"), gain([-0.1, 0.1, 0.2, 0.1, -0.2], variant="top-5")]
    write_measurements("laptop", "ablations", made)
    row = row_of("lrn-gain")
    assert row.verdict == "direction reproduced"
    assert [(other.ours.variant, other.verdict) for other in row.others] == [
        ("top-5", "inconclusive")
    ]


def test_other_variants_are_in_the_order_of_their_numbers(results):
    lengths = ("64 bits", "128 bits", "16 bits", "256 bits", "32 bits")
    made = [gain(FIVE, "laptop", "binary-codes", name) for name in lengths]
    write_measurements("laptop", "binary_codes", made)
    others = [other.ours.variant for other in row_of("binary-codes").others]
    assert others == ["16 bits", "32 bits", "128 bits", "256 bits"]


def test_a_good_variant_does_not_stand_in_for_the_primary_one(results):
    write_measurements("laptop", "ablations", [gain(FIVE, variant="top-5")])
    row = row_of("lrn-gain")
    assert (row.verdict, row.ours, len(row.others)) == ("not run", None, 1)
    assert "top-1" in row.reason


def test_below_the_papers_scale_the_analogue_gives_the_verdict(results):
    write_measurements(
        "gpu", "tables", [gain([1.0, 1.1, 1.2], "gpu", "table2-5cnn", "gain of five")]
    )
    assert row_of("table2-5cnn").verdict == "direction reproduced"
    errors = gain([18.0], "paper", "table2-5cnn", "top-5", ran=full("table2-5cnn"))
    write_measurements("paper", "tables", [errors])
    assert (row_of("table2-5cnn").verdict, row_of("table2-5cnn").ours.profile) == (
        "inconclusive",
        "paper",
    )


def test_a_row_that_was_not_run_says_what_is_missing(results, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    assert "not written yet" in row_of("lrn-gain").reason
    (tmp_path / "ablations.ipynb").touch()
    (tmp_path / "tables.ipynb").touch()
    assert row_of("lrn-gain").reason == "nothing was measured at the laptop profile"
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
    assert shown.ours is not None and shown.reason.endswith(
        "that scale needs ILSVRC-2010 and a GPU"
    )
    assert shown.command == "replication run tables --profile paper"


def test_an_unknown_profile_is_refused(results):
    with pytest.raises(InputError, match="choose one of quick, laptop, gpu, paper"):
        ledger("desktop")


def test_the_json_document_has_every_row_and_no_nan(results):
    write_measurements("laptop", "ablations", [gain(FIVE)])
    document = json.loads(
        rows_json(ledger()), parse_constant=lambda name: pytest.fail(f"{name} is not JSON")
    )
    assert len(document["rows"]) == len(claims()) and sum(document["counts"].values()) == len(
        claims()
    )
    row = {row["id"]: row for row in document["rows"]}["lrn-gain"]
    assert (
        row["effect"]["mean"] == pytest.approx(1.08)
        and row["effect"]["n"] == 5
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
        [600.0, 610.0, 620.0, 615.0, 605.0],
        claim="relu-tanh",
        variant="source2012",
        denominators=[100.0, 101.0, 102.0, 101.0, 100.0],
        reason=evil,
    )
    write_measurements("laptop", "relu_vs_tanh", [made])
    page = ledger_tables.rows_html(ledger())
    assert "<script" not in page and "&lt;script&gt;" in page
    linked = [claim.id for claim in claims() if claim.experiment == "relu_vs_tanh"]
    assert page.count('href="relu_vs_tanh.html"') == page.count("href=") == len(linked)
    assert page.count("<tr") == 1 + len(claims())
    missing = ledger_tables.missing_html(ledger())
    assert "<script" not in missing
    assert "ablations --profile laptop" in re.sub("<[^>]+>", "", missing)


def test_a_chapters_verdicts_are_the_ledgers_and_escaped():
    made = [
        checked("params", 60_965_224, 60_000_000, True, profile="laptop", reason="a < b"),
        gain(FIVE, variant="top-1"),
        gain([-0.1, 0.1, 0.2], variant="top-5"),
    ]
    page = ledger_tables.verdicts_html(made)
    rows = page.split("<tr")[2:]
    assert len(rows) == len(made)
    for row, measurement in zip(rows, made, strict=True):
        word, reason = judge(claim(measurement.claim), measurement)
        assert chip(word) in row and reason.replace("<", "&lt;") in row
        assert measurement.variant in row
    assert claim("params").paper in rows[0] and claim("lrn-gain").paper in rows[1]
    assert claim("lrn-gain").statement not in rows[2]  # a claim is stated once
    assert "smallest effect that would be found four times in five" in rows[1]
    assert page.count("laptop: Tiny ImageNet") == 1  # a scale is named once
    assert ledger_tables.verdicts_html([], "not run: a < b") == "<p>not run: a &lt; b</p>"


def test_a_trial_says_so_above_its_table():
    synthetic = ledger_tables.verdicts_html([gain(FIVE, "quick")])
    assert "trial on synthetic images" in synthetic and chip("trial") in synthetic
    counted = checked("params", 60_965_224, 60_000_000, True, profile="quick")
    assert "trial" not in ledger_tables.verdicts_html([counted])


def test_the_page_has_every_row_once_a_filter_for_each_word_and_the_log_of_changes(results):
    write_measurements("laptop", "ablations", [gain(FIVE), gain(FIVE, variant="top-5")])
    rows = ledger()
    page = ledger_tables.ledger_html(rows)
    assert page.count("<tr data-verdict") == len(rows) + 1  # one other variant
    ids = re.findall(r'<tr[^>]* id="([^"]+)"', page)
    assert sorted(ids) == sorted(f"claim-{row.id}" for row in rows)  # a variant has none
    assert " id=" not in ledger_tables.rows_html(rows)  # a chapter may show a claim twice
    assert page.count('class="ledger-group"') == len({*map(section, rows)})
    for word in ("direction reproduced", "not run"):
        box = f'<input type="checkbox" checked data-verdict="{slug(word)}">'
        assert chip(word) in page and box in page
    assert "<script" not in page and "error without normalisation minus error with it" in page
    assert "after results had been seen" in page and "within 5%" in page
    assert "Changes to the rules of all rows" in page


def section(row):
    return ledger_tables._section(row.section)


def slug(word):
    return word.replace(" ", "-")


def test_the_counts_say_how_many_rows_could_have_failed(results):
    write_measurements(
        "laptop", "ablations", [gain(FIVE), gain([1.0, 2.0], claim="colour-gain", variant="")]
    )
    text = ledger_tables.counts_html(ledger())
    assert "1 of the 2 measured could have come out against the paper" in text
    assert "1 of the 2 measured" in ledger_tables.counts_text(ledger())


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


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ((-0.8442, -2.038, 0.3498), ["-0.84", "-2.04", "0.35"]),
        ((13.0875, 12.2187, 13.9563), ["13.1", "12.2", "14.0"]),
        ((-1.38, -2.76, -0.004), ["-1.380", "-2.760", "-0.004"]),  # zero is not in this interval
        ((0.0, 0.0, 0.0), ["0.00", "0.00", "0.00"]),
        ((1234.5, 999.9, 1500.0), ["1,234", "1,000", "1,500"]),
        ((2.0, 1.0, float("inf")), ["2.00", "1.00", "inf"]),
    ],
)
def test_a_mean_and_its_interval_have_one_number_of_decimals(given, texts):
    assert units.numbers(*given) == texts


def test_a_ratio_beside_one_does_not_read_as_one():
    assert units.numbers(1.26, 0.9969, 1.596, null=1.0) == ["1.260", "0.997", "1.596"]
    assert units.numbers(1.26, 1.0, 1.596, null=1.0) == ["1.26", "1.00", "1.60"]


@pytest.mark.parametrize(
    ("claim_id", "text"),
    [
        ("relu-tanh", "2.00 times"),
        ("kernels", "200%"),  # a share
        ("neighbours", "200 points"),  # a difference of shares
        ("ten-views", "2.00 points"),
        ("top5-sense", "2.00"),
    ],
)
def test_units_are_times_points_and_per_cent(claim_id, text):
    ours = measured(claim_id, [2.0], profile="laptop", scale="made up", **variant_of(claim_id))
    assert ledger_tables.ours_text(ours) == f"{text}, n = 1"


def variant_of(claim_id):
    """Return the primary variant of a claim and, for a ratio, its denominators."""
    target = claim(claim_id).target(claim(claim_id).primary)
    more = {"denominators": [1.0]} if target.ratio else {}
    return {"variant": target.variant, **more}


def test_what_we_found_says_bound_interval_and_seeds():
    assert ledger_tables.ours_text(gain([2.0])) == "2.00 points, n = 1"
    assert (
        ledger_tables.ours_text(gain([2.0, 2.0, 2.0], bound="lower"))
        == "at least 2.00 [2.00, 2.00] points, n = 3"
    )
    assert (
        ledger_tables.ours_text(checked("params", 60_965_224, 60_000_000, True, profile="laptop"))
        == "60,965,224"
    )
    assert ledger_tables.ours_text(None) == ""


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(-0.5, 2.7, True), (0.4, 1.8, False)],  # it includes zero, and is what decides, or does not
)
def test_the_interval_that_decides_is_beside_the_one_over_seeds(results, low, high, shown):
    noise = ImageNoise(low=low, high=high, images=5000, resamples=20_000)
    write_measurements("laptop", "ablations", [gain(FIVE, over_images=noise)])
    row = row_of("lrn-gain")
    assert (row.verdict == "inconclusive") == shown
    text = "over seeds and images [-0.50, 2.70]"
    assert (text in " ".join(ledger_tables.rows_table([row], 400).split())) == shown
    cell = ledger_tables.rows_html([row]).partition("<details")[0]  # before what is folded
    assert (text in cell) == shown


def test_every_measurable_row_says_what_the_papers_own_scale_is(results):
    rows = ledger()
    said = ledger_tables.ledger_html(rows).count("<dt>the paper&#x27;s own scale</dt>")
    said += ledger_tables.ledger_html(rows).count("<dt>the paper's own scale</dt>")
    assert said == sum(row.kind in "EQ" for row in rows)
    assert "crops of 224, the net at its full width" in ledger_tables.rows_html([row_of("depth")])


def test_a_chapter_s_table_begins_with_the_number_that_the_claim_is_judged_by():
    shown = [
        gain([46.0, 45.0, 44.0], claim="table1-cnn", variant="top-1"),
        gain([75.0, 74.0, 73.0], claim="table1-cnn", variant="top-5"),
        gain(FIVE, claim="lrn-gain", variant="top-5"),
        gain(FIVE, claim="lrn-gain", variant="top-1"),
    ]
    order = [(one.claim, one.variant) for one in ledger_tables.in_ledger_order(shown)]
    for name in ("table1-cnn", "lrn-gain"):
        own = claim(name).variant_at("laptop")
        assert [variant for of, variant in order if of == name][0] == own
    assert [of for of, _ in order] == [one.claim for one in shown]


def test_a_row_that_is_not_run_is_not_counted_as_measured(results):
    # only the paper's scale can answer; what is measured at a smaller one is shown
    write_measurements("laptop", "tables", [gain(FIVE, claim="val-test", variant="")])
    assert "0 of the 0 measured" in ledger_tables.counts_text(ledger())


def test_a_claim_that_needs_gpus_is_not_sent_to_the_laptop_profile(results):
    assert row_of("two-gpu-time").command == "replication run ablations --profile gpu"
    assert row_of("two-gpu-time", "laptop").command == "replication run ablations --profile laptop"
