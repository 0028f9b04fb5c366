"""What dropout and crops do to the test error, in prose that gives way when the results change."""

from pathlib import Path

import pandas as pd
import pytest

from replication.base import paths
from replication.book import data_effects
from replication.book.pages.effect_of_data import lowers, pairs_text

ANSWERS = ("lower with it", "lower with it", "open", "too few seeds")


def effects(answers: tuple[str, ...] = ANSWERS) -> pd.DataFrame:
    """One pair of nets per answer; the other effects must not count."""
    rows = [
        {
            "regulariser": "dropout",
            "other": "with crops",
            "images": 30 * (place + 1),
            "quantity": "test_top1",
            "mean": 2.0 + place,
            "low": 1.0,
            "high": 9.0,
            "n": 3,
            "answer": answer,
        }
        for place, answer in enumerate(answers)
    ]
    rows.append(rows[0] | {"quantity": "gap", "answer": "higher with it", "mean": 40.0})
    return pd.DataFrame(rows)


def test_the_pairs_are_counted_by_their_answers() -> None:
    text = pairs_text(effects(), "dropout", "laptop")
    assert text.startswith(
        "Of 4 pairs of nets that differ only in dropout (3 seeds each), 2 have a lower top-1 test"
        " error with it, and none has a higher one; 1 pair is open, and 1 pair has too few seeds."
    )
    assert text.endswith("from 2.00 to 5.00 points. A verdict needs 5 seeds; 4 pairs have fewer.")
    assert "fewer" not in pairs_text(effects().assign(n=5), "dropout", "laptop")
    assert "fewer" not in pairs_text(effects(), "dropout", "gpu")
    all_clear = pairs_text(effects(("higher with it",) * 2), "dropout", "laptop")
    assert "none has a lower" in all_clear and "2 have a higher one. The means" in all_clear
    assert "yet" in pairs_text(effects(), "crops", "laptop")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (ANSWERS, True),
        (("open", "too few seeds"), False),
        (("lower with it", "higher with it"), False),
    ],
)
def test_a_regulariser_lowers_the_error_if_some_pair_says_so_and_none_the_opposite(
    answers: tuple[str, ...], expected: bool
) -> None:
    assert lowers(effects(answers), "dropout") is expected


def test_the_effects_are_those_of_the_largest_published_scale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    _store("quick")  # synthetic
    with pytest.raises(LookupError):
        data_effects.effects_file()
    _store("laptop")
    _store("gpu")
    assert data_effects.effects_file()[1] == "gpu"


def _store(profile: str) -> None:
    file = paths.experiment(profile, "effect_of_data") / "effects.csv"
    file.parent.mkdir(parents=True)
    effects().to_csv(file, index=False)


@pytest.mark.parametrize("chapter", ["paper/dropout", "paper/augmentation", "intro"])
def test_a_chapter_on_overfitting_also_has_the_nets_that_are_trained_for_longer(
    chapter: str,
) -> None:
    text = (paths.BOOK / f"{chapter}.md").read_text(encoding="utf-8")
    assert "```{lowers} " in text and "experiments/effect_of_data" in text
