"""The page about power: its tables are computed from what is published."""

from replication.book import power as page
from replication.ledger import power
from replication.ledger.verdicts import ledger


def test_every_measured_effect_has_its_spread_and_the_seeds_that_the_papers_needs() -> None:
    rows = ledger()
    table = page.needed_table(rows).set_index("claim")
    measured = {row.id for row in rows if row.effect and row.ours and row.ours.null is not None}
    assert set(table.index) <= measured and "lrn-gain" in table.index
    assert (table.loc[table["the paper's"] != "", "seeds it needs"] != "").all()
    # a difference from no effect, also of a share
    assert not table["smallest effect found"].str.endswith("%").any()


def test_the_rate_of_false_verdicts_is_shown_for_todays_rules_and_those_before() -> None:
    rules = page.false_table([])["rule"]
    assert {power.TODAY, power.PAIRED} <= set(rules)


def test_the_rate_of_false_verdicts_is_shown_for_the_spreads_that_were_measured_too() -> None:
    spreads = page.false_table(ledger())["spreads"]
    assert (spreads != "equal").sum() == 6


def test_the_chance_of_a_number_in_the_range_is_shown_for_each_effect_of_top_1_error() -> None:
    table = page.reproduced_table(ledger())
    assert table is not None and {"lrn-gain", "overlap-gain", "depth"} <= set(table["claim"])


def test_the_two_intervals_of_each_comparison_stand_side_by_side() -> None:
    rows = ledger()
    table = page.intervals_table(rows)
    differ = table["exclude no effect"].str.startswith("only").sum()
    covered = (table["one spread for all"] == table["a spread for each"]).sum()
    assert {"lrn-gain, top-1", "depth, without-conv2"} <= set(table["claim"])
    text = page.intervals_text(rows)
    assert text.startswith(f"{len(table) - differ} of the {len(table)} comparisons")
    assert f"In {covered} of them the interval over images is wider than both" in text
