"""The sliders carry what is stored."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from replication.book import touch


def test_the_run_that_chose_a_rate_is_no_curve_of_the_slider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    ours = SimpleNamespace(profile="paper", scale="made up")
    monkeypatch.setattr(touch, "answer", lambda claim: (None, ours, ""))
    folder = tmp_path / "paper" / touch.EXPERIMENT
    rows = []
    for candidate, activation, selection in (
        ("19pct", "relu", False),
        ("19pct", "tanh", False),
        ("modern", "relu", False),
        ("modern", "tanh", True),  # its reporting seeds are not stored yet
    ):
        run = f"{candidate}-{activation}"
        (folder / run).mkdir(parents=True)
        lines = [json.dumps({"exact_error": error}) for error in (0.5, 0.25)]
        (folder / run / "metrics.jsonl").write_text("\n".join(lines))
        rows.append((candidate, activation, selection, run))
    columns = ["candidate", "activation", "selection", "run"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "table.csv", index=False)
    drawn = touch.curves()["regimes"]
    assert drawn["started as in 2012"] == {"relu": [[0.9, 0.5, 0.25]], "tanh": [[0.9, 0.5, 0.25]]}
    assert list(drawn["started as today"]) == ["relu"]
