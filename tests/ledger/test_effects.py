"""The figure at the ledger's head: what is drawn of an effect."""

import math

import pytest
from ledger_worlds import TINY
from matplotlib.axes import Axes

from replication.figures.ledger import LIMITS, SHAPES
from replication.figures.ledger import effects as draw
from replication.ledger.effects import HALF_WIDTHS, OVER_PAPER, effects
from replication.ledger.measurement import measured, write_measurements
from replication.ledger.verdicts import VERDICTS, ledger


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    given = {"profile": "laptop", "scale": "Tiny ImageNet", "ran": TINY}
    write_measurements(
        "laptop",
        "ablations",
        [
            measured("lrn-gain", [2.8] * 3 + [2.7, 2.9], variant="top-1", **given),
            measured("dropout-overfit", [3.0, 4.0, 5.0, 4.0, 4.0], **given),
            measured("dropout-average", [0.5, 0.51, 0.49, 0.5, 0.5], **given),
        ],
    )
    race = measured(
        "relu-tanh",
        [600.0] * 5,
        denominators=[100.0] * 5,
        variant="source2012",
        bound="lower",
        **given,
    )
    write_measurements("laptop", "relu_vs_tanh", [race])
    return effects(ledger()).set_index("label")


def test_an_effect_is_shown_over_the_papers_own(table):
    assert table.loc["lrn-gain", "value"] == pytest.approx(2.0)  # 2.8 over 1.4 points
    assert table.loc["relu-tanh", "value"] == pytest.approx(1.0)  # six over six, on logarithms
    assert math.isinf(table.loc["relu-tanh", "high"])  # a lower bound is open upwards
    assert set(table.loc[["lrn-gain", "relu-tanh"], "panel"]) == {OVER_PAPER}


def test_an_effect_without_a_size_is_shown_in_half_widths_on_the_claimed_side(table):
    row = table.loc["dropout-overfit"]
    assert row["panel"] == HALF_WIDTHS
    assert (row["low"], row["high"]) == pytest.approx((row["value"] - 1, row["value"] + 1))
    assert table.loc["dropout-average", "value"] > 1  # below one is the claimed side there


@pytest.mark.parametrize(("bound", "side"), [("lower", "low"), ("upper", "high")])
def test_a_bound_below_no_effect_is_open_on_the_other_side(tmp_path, monkeypatch, bound, side):
    """Less than one is the claimed side, so a ratio of at least this is an effect of at most so."""
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    given = {"profile": "laptop", "scale": "Tiny ImageNet", "ran": TINY, "bound": bound}
    one = measured("dropout-average", [0.5, 0.51, 0.49, 0.5, 0.5], **given)
    write_measurements("laptop", "ablations", [one])
    row = effects(ledger()).set_index("label").loc["dropout-average"]
    assert [name for name in ("low", "high") if math.isinf(row[name])] == [side]


def test_what_is_off_the_axis_is_an_arrow_at_its_end(table):
    figure = draw(table.reset_index(), {OVER_PAPER: {0: "none"}, HALF_WIDTHS: {0: "none"}})
    marks = [line.get_marker() for axis in figure.axes for line in axis.lines]
    assert ">" in marks and "<" not in marks  # nothing here is off to the left
    for axis in figure.axes:
        assert isinstance(axis, Axes)
        for line in axis.lines[1:]:
            x = line.get_xdata()
            assert LIMITS[0] <= min(x) and max(x) <= LIMITS[1] or len(set(x)) == 1


def test_an_empty_ledger_has_an_empty_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    assert len(draw(effects(ledger()), {OVER_PAPER: {0: "no effect"}}).axes) == 1


def test_verdicts_of_published_effects_can_be_told_apart_without_their_colours():
    published = [word for word in VERDICTS if word not in ("holds", "trial", "not run")]
    assert len({SHAPES[word] for word in published}) == len(published)
