"""The training page shows what is stored of the baseline that has learnt. Results are made up."""

from pathlib import Path

import pytest
from made_up_runs import store

from replication.book.pages import training as page
from replication.experiments import training
from replication.experiments.common.learnt import learnt_tasks
from replication.training.schedule import LOGS


def test_stored_runs_of_the_baseline_that_has_learnt_are_shown_and_none_is_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RUNS", "RESULTS", "DATA"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    settings = training.settings(
        profile="laptop", seeds=(0,), patience=3, most_epochs=60, learnt_seeds=(0, 1)
    )
    for task in training.tasks(settings):
        store(task, 0.8, train_error=0.75)
    store(learnt_tasks("laptop", "baseline", (0,))[0], 0.65, train_error=0.4)
    outcome = training.run(settings)
    gap = outcome.gap.set_index("variant")
    assert gap.index.tolist() == [training.LEARNT, training.BASELINE]
    assert gap["test"].to_dict() == pytest.approx({"learnt": 65, "baseline": 80})
    assert gap["train"].to_dict() == pytest.approx({"learnt": 40, "baseline": 75})
    decay = outcome.decay  # the same numbers of the baseline, beside another variant
    assert decay["variant"].tolist() == [training.BASELINE, training.NO_DECAY]
    assert decay["test"].tolist() == pytest.approx([80, 80])
    assert list(decay) == ["variant", "seed", "train", "test"]
    html = page.gap_html(outcome)
    assert "baseline that has learnt" in html and "25.00" in html and "5.00" in html
    # a made-up result has the learnt baseline's evaluations, unused images among them
    unused = gap["unused"].notna().to_dict()
    assert ("unused images" in html) == unused["learnt"] and not unused["baseline"]
    assert set(outcome.curves["variant"]) >= {training.LEARNT, training.BASELINE, training.RULE}


def test_a_log_without_its_third_drop_is_named_and_one_out_of_order_contradicts() -> None:
    found = training.measure("laptop")
    assert found.holds and "left out, for its third drop is not noted: 145-half" in found.reason
    early = dict(LOGS) | {"150": LOGS["150"]._replace(second=20)}
    assert not training.measure("laptop", early).holds
    whole = {name: log for name, log in LOGS.items() if name != "145-half"}
    assert "left out" not in training.measure("laptop", whole).reason
