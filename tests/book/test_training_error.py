"""The sentence on which training error Figure 1 plots says what the stored distances show."""

import pandas as pd
import pytest

from replication.base import paths
from replication.book import findings, training_error

COLUMNS = ["candidate", "curve", "definition", "n", "mean", "low", "high", "verdict", "selection"]
NET = training_error.RACE.name


def table(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(
        [(NET, curve, definition, 5, mean, mean - 0.1, mean + 0.1, verdict, False)
         for curve, definition, mean, verdict in rows],
        columns=COLUMNS,
    )  # fmt: skip


STARTS = pd.DataFrame(
    {"candidate": NET, "curve": ["relu", "tanh"], "n": 3, "mean": [0.79, 0.74],
     "low": [0.78, 0.73], "high": [0.8, 0.75]}
)  # fmt: skip


def text(frame: pd.DataFrame, starts: pd.DataFrame = STARTS) -> str:
    return "".join(piece for piece, _ in training_error.sentences(frame, starts))


def test_the_nearest_error_and_the_excluded_ones_are_named_with_their_distances() -> None:
    said = text(
        table(
            ("tanh", "first_fifth_error", 0.9, "nearest"),
            ("tanh", "exact_error", 1.0, "excluded"),
            ("tanh", "last_fifth_error", 1.6, "excluded"),
            ("tanh", "running_error", 2.4, "not told apart"),
            ("relu", "running_error", 1.0, "not told apart"),
            ("relu", "exact_error", 1.1, "not told apart"),
        )
    )
    assert (
        "To the paper's tanh curve, the mean over the next epoch's first fifth of minibatches is"
        " nearest, at 0.90 points (0.80 to 1.00, n = 5); the curve excludes the error over all"
        " images after the epoch and the mean over the epoch's last fifth of minibatches." in said
    )
    assert "To the paper's ReLU curve, the mean over the epoch's minibatches is nearest" in said
    assert "the curve excludes no other." in said


def test_the_starts_of_the_curves_are_said_with_ours_where_both_are_measured() -> None:
    frame = table(("tanh", "exact_error", 1.0, "nearest"))
    said = text(frame)
    assert "start at epoch 0, at 78% (ReLU) and 73% (tanh), where an untrained net has 90%" in said
    ours = "79.0% (78.0 to 80.0, n = 3) for ReLU and 74.0% (73.0 to 75.0, n = 3) for tanh."
    assert f"By this error our curves start at {ours}" in said
    assert "By this error" not in text(frame, STARTS[:1])


def test_nothing_is_said_without_a_distance_of_the_tanh_curve() -> None:
    assert text(table()) == text(table(("relu", "exact_error", 1.0, "nearest"))) == ""


def test_the_selection_seed_is_never_a_result() -> None:
    frame = table(("tanh", "exact_error", 1.0, "nearest"), ("tanh", "running_error", 9, "excluded"))
    assert text(frame) and not text(frame.assign(selection=True)) and not text(frame.assign(n=1))


def test_the_stored_distance_of_the_sentence_is_the_ledger_s() -> None:
    _, measurement, _ = findings.measured(training_error.CLAIM)
    if measurement is None:
        pytest.skip("the tanh curve is not measured")
    folder = paths.results() / measurement.profile / training_error.EXPERIMENT
    found = training_error.readings(pd.read_csv(folder / "distances.csv"), "tanh")
    exact = next(one for one in found if one.definition == "exact_error")
    assert exact.distance == findings.ours_text(measurement)
