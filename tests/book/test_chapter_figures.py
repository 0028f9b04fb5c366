"""The figures and tables of the chapters on sections 3 to 6 show our numbers, and the paper's only
beside one of ours.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from replication.book.pages.shared import interval_text, verdicts_html
from replication.figures import ablations, tables
from replication.ledger.measurement import measured

DIFFERENCES = pd.DataFrame(
    [
        ("no-lrn", "test_top1", 3.0, 1.0, 5.0, [2.0, 4.0]),
        ("tanh", "test_top1", 1.0, None, None, [1.0]),
    ],
    columns=["variant", "quantity", "mean", "low", "high", "values"],
)


def marks(figure: Figure, kind: str) -> list[tuple[float, float]]:
    """Where marks of a kind are in the figure's panels; the legend's have no place."""
    lines = [line for axis in figure.axes for line in axis.lines if line.get_marker() == kind]
    return sorted(
        (float(x), float(y))
        for line in lines
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    )


def test_an_effect_is_drawn_at_its_mean_beside_the_paper_s() -> None:
    paper = {"test_top1": {"no-lrn": 1.4, "one-gpu": 1.7}}  # one-gpu was not run
    figure = ablations.effects(DIFFERENCES, {"test_top1": "error"}, paper)
    assert marks(figure, "|") == [(1.4, 1.0)]
    assert (3.0, 1.0) in marks(figure, "o") and (1.0, 0.0) in marks(figure, "o")
    assert figure.axes[0].get_xlim()[1] >= 4.0  # every seed is in the panel
    assert not plt.get_fignums()  # closed, so that a notebook shows it once


def test_the_paper_s_gain_is_drawn_beside_a_gain_of_ours_alone() -> None:
    frame = pd.DataFrame(
        [("five", "top5", 1.0), ("five", "top5", 2.0), ("five", "top1", 0.5)],
        columns=["gain", "k", "value"],
    )
    figure = tables.gains(frame, {("five", "top5"): 1.8, ("seven", "top5"): 2.8})
    assert [x for x, _ in marks(figure, "|")] == [1.8]
    assert {x for x, _ in marks(figure, "s")} == {1.0, 1.5, 2.0}


def test_a_claim_that_was_not_measured_is_named_with_the_command_or_with_what_it_needs() -> None:
    ours = measured("colour-gain", [1.0, 1.1, 1.2, 1.1, 1.1], profile="laptop", scale="made up")
    claims = ("colour-gain", "lrn-gain", "two-gpu-time")
    shown = verdicts_html([ours], claims, "replication run <it>")
    assert "direction reproduced" in shown
    assert "<code>lrn-gain</code>. To measure: <code>replication run &lt;it&gt;</code>" in shown
    # the command would not measure it
    assert "<code>two-gpu-time</code>, which needs two GPUs." in shown
    assert "To measure" not in verdicts_html([ours], ("two-gpu-time",), "replication run <it>")
    assert "two-gpu-time" not in verdicts_html([ours], ("colour-gain",), "x")


def test_one_seed_has_no_interval() -> None:
    assert interval_text(1.234, None, None) == "+1.23"
    assert interval_text(1.234, 0.5, 2.0) == "+1.23 [+0.50, +2.00]"
