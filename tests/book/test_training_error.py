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


def text(frame: pd.DataFrame) -> str:
    return "".join(piece for piece, _ in training_error.sentences(frame))


def test_the_nearest_error_and_the_excluded_ones_are_named_with_their_distances() -> None:
    said = text(
        table(
            ("tanh", "exact_error", 1.0, "nearest"),
            ("tanh", "last_fifth_error", 1.6, "excluded"),
            ("tanh", "running_error", 2.4, "not told apart"),
            ("relu", "running_error", 1.0, "nearest"),
            ("relu", "exact_error", 1.1, "excluded"),
        )
    )
    assert (
        "by the error over all images after the epoch its distance is 1.00 points (0.90 to" in said
    )
    assert "last fifth of minibatches 1.60 points (1.50 to 1.70); the last is excluded." in said
    assert "It cannot exclude the mean over the epoch's minibatches." in said
    assert "The ReLU curve excludes only the error over all images after the epoch." in said
    assert "at epoch 0 they are at 78% (ReLU) and 73% (tanh), but an untrained net has 90%" in said


@pytest.mark.parametrize(
    "frame",
    [
        table(),
        table(("tanh", "exact_error", 1.0, "nearest"), ("tanh", "running_error", 1.1, "")),
        table(("tanh", "exact_error", 1.0, "excluded")),  # another net is the nearest
    ],
)
def test_nothing_is_said_if_the_tanh_curve_excludes_nothing(frame: pd.DataFrame) -> None:
    assert training_error.sentences(frame) == []


def test_the_selection_seed_is_never_a_result() -> None:
    frame = table(("tanh", "exact_error", 1.0, "nearest"), ("tanh", "running_error", 9, "excluded"))
    assert training_error.sentences(frame)
    assert training_error.sentences(frame.assign(selection=True)) == []


def test_the_stored_distance_of_the_sentence_is_the_ledger_s() -> None:
    _, measurement, _ = findings.measured(training_error.CLAIM)
    if measurement is None:
        pytest.skip("the tanh curve is not measured")
    folder = paths.results() / measurement.profile / training_error.EXPERIMENT
    found = training_error.answer(pd.read_csv(folder / "distances.csv"), "tanh")
    if found is None or "after the epoch" not in found.nearest[0]:
        pytest.skip("the error that the claim is measured by is not the nearest")
    assert found.nearest[1] == findings.ours_text(measurement)
