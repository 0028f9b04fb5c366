"""Section 3.3's nets for CIFAR-10: the scaled schedule, what is compared with what, and the page
at every stage of a campaign that is not finished.
"""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import stored_runs
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import write_json
from replication.book.notebooks import parameters
from replication.book.pages import lrn_cifar as report
from replication.data.splits import training_index
from replication.experiments import lrn_cifar, lrn_cifar_nets
from replication.experiments.common import gains
from replication.experiments.lrn_cifar_nets import (
    EARLIER_OWN,
    EARLIER_SHORT,
    FIRST_PART,
    GAIN,
    IN_TWO_PARTS,
    OWN,
    RELEASED,
    RELEASED_LONGER,
    WITH,
    WITHOUT,
    kept_epochs,
    stages,
)
from replication.figures import lrn_cifar as length
from replication.ledger.rules import excluded_side, judge
from replication.nets import cifar
from replication.nets.normalisation import LocalResponseNorm
from replication.paper import claim
from replication.runs.facts import GAINS
from replication.runs.store import Run, Task

PAPER = lrn_cifar.settings(**parameters("lrn_cifar", "paper"))
CONSTANTS = (0.8, 0.6)
SETTINGS = lrn_cifar.settings(
    profile="quick", data="synthetic", count=40, batch=20, epochs=26, rate=0.001, seeds=[0, 1, 2]
)


@given(st.integers(3, 2000))
def test_every_stage_has_an_epoch(epochs: int) -> None:
    first, second = stages(epochs)
    assert 1 <= first < second < epochs


@given(st.integers(3, 2000))
def test_weights_are_kept_at_the_ends_of_stages_and_before(epochs: int) -> None:
    kept = kept_epochs(*stages(epochs))
    assert kept == tuple(sorted(set(kept))) and kept[-1] < epochs
    assert set(stages(epochs)) <= set(kept)
    lrn_cifar_nets.recipe(SETTINGS.model_copy(update={"every_stage": True}), WITH, 0, epochs)


def test_the_released_length_has_the_released_stages() -> None:
    assert stages(520) == (500, 510)


def test_the_13_percent_net_is_trained_as_its_author_describes_it() -> None:
    one = lrn_cifar_nets.recipe(PAPER, OWN, 0)
    assert one.epochs == 160 and one.schedule.after == (140, 150)
    assert set(one.keep_after) >= {140, 150} and one.net == lrn_cifar_nets.NETS[RELEASED]


def test_the_second_part_of_a_training_begins_with_the_weights_of_the_first() -> None:
    first, second = (lrn_cifar_nets.recipe(PAPER, part, 1) for part in (FIRST_PART, IN_TWO_PARTS))
    assert second.init_from == first.id and first.init_from is None
    assert (first.data.validation, second.data.validation) == (10_000, 0)
    assert (first.epochs, second.epochs, second.schedule.after) == (100, 60, (40, 50))
    assert first.net == second.net == lrn_cifar_nets.NETS[RELEASED]


def test_a_second_part_is_trained_after_every_first_one() -> None:
    class Noted:
        def __init__(self) -> None:
            self.calls: list[list[Task]] = []

        def all(self, tasks: list[Task]) -> list[Run]:
            self.calls.append(tasks)
            return []

    noted = Noted()
    lrn_cifar_nets.train(PAPER.model_copy(update={"arms": (WITH, RELEASED)}), noted)
    before, every = noted.calls
    assert {one.recipe.id for one in before} >= {
        one.recipe.init_from for one in every if one.recipe.init_from
    }
    assert not any(one.recipe.init_from for one in before) and len(every) > len(before)


@pytest.mark.parametrize(
    ("without", "with_them"), [(OWN, EARLIER_SHORT), (RELEASED_LONGER, EARLIER_OWN)]
)
def test_the_earlier_11_percent_net_is_the_13_percent_net_with_normalisations(
    without: str, with_them: str
) -> None:
    bare, whole = (lrn_cifar_nets.recipe(PAPER, variant, 1) for variant in (without, with_them))
    assert whole.model_copy(update={"net": bare.net}) == bare
    layers = [cifar.NETS[of.net.name] for of in (bare, whole)]
    norms = [layer for layer in layers[1] if isinstance(layer, cifar.Norm)]
    assert [layer for layer in layers[1] if layer not in norms] == list(layers[0])
    assert len(norms) == 2 and {layer.size for layer in norms} == {5}
    assert {lrn_cifar_nets.variant_of(of) for of in (bare, whole)} == {without, with_them}


def test_the_clean_comparison_differs_in_the_normalisations_alone() -> None:
    whole, less = (lrn_cifar_nets.recipe(SETTINGS, variant, 1) for variant in (WITH, WITHOUT))
    assert less.model_copy(update={"net": less.net.model_copy(update={"norms": True})}) == whole
    assert (whole.data.side, whole.data.augment, whole.update.bias_rate_factor) == (24, True, 2.0)


def test_a_higher_error_without_normalisation_is_on_the_claimed_side() -> None:
    rows, runs = [], []
    for seed in SETTINGS.seeds:
        for variant, error in (
            (WITH, 11.0),
            (WITHOUT, 13.0 + 0.1 * seed),
            (RELEASED, 12.5 + 0.1 * seed),
        ):
            length = SETTINGS.epochs
            rows.append({"variant": variant, "seed": seed, "test_top1": error, "length": length})
            task = Task(
                "quick", "lrn_cifar", variant, lrn_cifar_nets.recipe(SETTINGS, variant, seed)
            )
            data = {
                "images": 40,
                "classes": 10,
                "name": "synthetic",
                "note": "",
                "fingerprint": "0",
            }
            runs.append(
                Run(
                    task,
                    pd.DataFrame(),
                    {"ended": "diverged" if variant == RELEASED else "epochs"},
                    {"data": data},
                    {},
                )
            )
    clean, released, *errors = lrn_cifar.measure(SETTINGS, pd.DataFrame(rows), runs)
    assert clean.variant == WITHOUT and clean.mean == pytest.approx(2.1)
    assert excluded_side(clean) == "above"
    assert released.mean == pytest.approx(1.6) and "not finite in as released" in released.reason
    assert [(one.claim, one.variant) for one in errors] == [
        ("cifar-error", WITH),
        ("cifar-without", WITHOUT),
        ("cifar-without", RELEASED),
    ]
    assert errors[0].mean == pytest.approx(11.0)


def test_seeds_are_finished_one_after_the_other_and_the_long_nets_come_last() -> None:
    names = [task.name for task in lrn_cifar.tasks(PAPER)]
    assert names[:5] == [
        "with-norms-seed0",
        "norms-removed-seed0",
        "as-released-seed0",
        "with-norms-seed100",  # whose gains the next net takes
        "norms-as-constant-gains-seed0",
    ]
    seeds = [int(name.rpartition("seed")[2]) for name in names[:21]]
    seeds.remove(100)
    assert seeds == sorted(seeds)
    assert all("520-epochs" in name for name in names[21:27])  # the clean pair
    assert [name.rpartition("-seed")[0] for name in names[27:-3:3]] == [
        "as-released-own-training",
        "earlier-11-net-160-epochs",
        "earlier-11-net-own-training",
        "as-released-470-epochs",
        "as-released-four-fifths-of-the-images",
        "as-released-in-two-parts",
    ]
    assert [name.startswith("as-released-520-epochs") for name in names[-4:]] == [False] + [
        True
    ] * 3


def _store(task: Task) -> None:
    """Store a run whose error falls as training continues, lowest with normalisations."""
    variant = lrn_cifar_nets.variant_of(task.recipe)
    above = {
        WITH: 0.0,
        WITHOUT: 0.02,
        RELEASED: 0.025,
        GAIN: 0.015,
        OWN: 0.02,
        EARLIER_SHORT: 0.018,
        EARLIER_OWN: 0.0,
        RELEASED_LONGER: 0.002,
        FIRST_PART: 0.03,
        IN_TWO_PARTS: 0.02,
    }[variant]
    history = [{"loss": 1.0, "running_error": 0.2, "rate": 0.001}] * task.recipe.epochs
    stored_runs.write(task, history)
    errors = {}
    for epoch in (*task.recipe.keep_after, None):
        for split, views in task.evaluate:
            noise = 0.0005 * (task.recipe.seed % 3)
            errors[split, views, epoch] = 0.11 + above + noise + 0.1 / (epoch or 65) - views / 1e4
    stored_runs.evaluate(task, errors)


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """The tasks of the campaign, for a place where nothing is stored."""
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    return lrn_cifar.tasks(PAPER, CONSTANTS)


def _gains_are_known() -> None:
    path = paths.experiment("paper", "lrn_cifar") / GAINS
    gain_task = lrn_cifar_nets.task(PAPER, WITH, PAPER.gain_seed)
    write_json(path, {gain_task.recipe.id: {"gains": list(CONSTANTS)}})


@pytest.mark.parametrize("count", [0, 1, 2, 4, 7, 11, 21, 23, 27, 30, 33, 39, 42, 45, 48])
def test_the_page_shows_what_is_stored_after_any_number_of_runs(
    campaign: list[Task], count: int
) -> None:
    for task in campaign[:count]:
        _store(task)
    if count >= 5:
        _gains_are_known()
    outcome = lrn_cifar.run(PAPER)
    assert len(outcome.runs) == count
    shown = report.progress_html(PAPER, outcome)
    assert "seeds 0, 1, 2, 3, 4" in shown or count >= 5  # the missing seeds of an arm
    ours = {one.variant: one for one in outcome.measurements if one.claim == "lrn-cifar"}
    seeds = min(5, (count - 2) // 4 + 1) if count >= 6 else int(count >= 2)
    if not seeds:
        assert not ours
    elif count <= 21:  # the usual length alone, which is not the paper's
        verdict, reason = judge(claim("lrn-cifar"), ours[WITHOUT])
        assert ours[WITHOUT].n == seeds and lrn_cifar.SHORTER not in ours
        assert verdict == ("direction reproduced" if seeds >= 3 else "inconclusive"), reason
    else:
        long_seeds = min(3, (count - 21) // 2)
        verdict, reason = judge(claim("lrn-cifar"), ours[WITHOUT])
        assert (ours[WITHOUT].n, ours[lrn_cifar.SHORTER].n) == (long_seeds, 5)
        assert ours[RELEASED].n == (3 if count == 48 else 5)
        assert verdict == ("reproduced" if long_seeds >= 3 else "inconclusive"), reason
    # the nets with a training of their own, as far as both of a pair are stored
    added = {name: one.mean for name, one in ours.items() if name.startswith(("norms add", "both"))}
    expected = {lrn_cifar.AS_PUBLISHED: 2.0} if count > 27 else {}
    expected |= {"norms added, 160 epochs": 0.2} if count > 30 else {}
    expected |= {"norms added, 470 epochs": 0.2} if count > 36 else {}
    assert added == pytest.approx(expected)
    # at the paper's own scale, but for the images: those of these tests are synthetic
    assert all(len(ours[name].shortfalls) <= 1 for name in added)
    for table in (
        report.errors_html(outcome),
        report.stages_html(outcome),
        report.pairs_html(outcome),
        report.printed_html(outcome),
        report.stored_text(outcome),
        report.constants_text(PAPER, outcome),
    ):
        assert table
    figure = length.over_length(
        report.ten_views(outcome.stages),
        report.ten_views(outcome.gains),
        report.TESTED,
        report.PAPER_ERRORS,
        report.rates(PAPER),
    )
    lengths = 1 + (count > 21) + (count > 27) + (count > 33)
    assert len(figure.axes) == (2 * lengths if count else 1)
    report.checks(outcome)


def test_the_numbers_that_the_author_printed_are_beside_ours(campaign: list[Task]) -> None:
    for task in campaign:
        if lrn_cifar_nets.variant_of(task.recipe) == OWN:
            _store(task)
    page = report.printed_html(lrn_cifar.run(PAPER))
    for text in ("0.409 (0.394 to 0.419)", "14.24 (13.71 to 14.58)", "12.60", "20.00 (20.00 to"):
        assert text in page, text
    assert "all images throughout" in page and "four fifths" not in page
    for task in campaign:
        if lrn_cifar_nets.variant_of(task.recipe) in (FIRST_PART, IN_TWO_PARTS):
            _store(task)
    outcome = lrn_cifar.run(PAPER)
    assert report.printed_html(outcome).count("100 epochs on four fifths") == 3
    ours = next(one for one in outcome.measurements if one.variant == IN_TWO_PARTS)
    # a net that begins with another run's weights counts that run's epochs too
    assert ours.claim == "cifar-without" and len(ours.shortfalls) <= 1


def test_both_as_published_waits_for_the_11_percent_net_in_its_own_training(
    campaign: list[Task],
) -> None:
    for task in campaign[:21] + [one for one in campaign if "own-training" in one.name]:
        _store(task)
    _gains_are_known()
    found = {one.variant for one in lrn_cifar.run(PAPER).measurements}
    assert OWN in found and lrn_cifar.AS_PUBLISHED not in found


def test_every_two_nets_are_compared_at_the_end_of_training(campaign: list[Task]) -> None:
    """So that the scale of a normalisation and its competition can be told apart."""
    for task in campaign:
        _store(task)
    _gains_are_known()
    outcome = lrn_cifar.run(PAPER)
    shown = report.pairs_html(outcome)
    last = outcome.table[outcome.table["length"] == 65].groupby("variant")["test_top1"].mean()
    expected = f"{last[GAIN] - last[WITHOUT]:+.2f} <span"
    row = f"<td>{report.TITLES[GAIN]}</td><td>{report.TITLES[WITHOUT]}</td>"
    assert row in shown and expected in shown[shown.index(row) :]
    assert (
        shown.count("<tr>") == 1 + 6 + 1 + 1 + 3
    )  # the heading, four nets after 65 epochs, two after 160 and 470, three after 520


def test_the_gain_is_known_at_every_epoch_tested_and_over_both_numbers_of_views(
    campaign: list[Task],
) -> None:
    for task in campaign:
        _store(task)
    _gains_are_known()
    outcome = lrn_cifar.run(PAPER)
    clean = outcome.gains[outcome.gains["variant"] == WITHOUT]
    for epochs, seeds in ((65, 5), (520, 3)):
        for views in (1, 9, 10):
            rows = clean[(clean["epochs"] == epochs) & (clean["views"] == views)]
            assert tuple(rows["epoch"]) == (*kept_epochs(*stages(epochs)), epochs)
            assert set(rows["n"]) == {seeds}
            assert rows["mean"].tolist() == pytest.approx([2.0] * len(rows))
            assert rows["low"].notna().all() == (seeds > 1)
    assert set(outcome.stages["seed"]) == set(PAPER.seeds)  # the gain net is no result
    assert outcome.constants == CONSTANTS
    for variant, epochs in ((WITHOUT, 520), (lrn_cifar.SHORTER, 65)):
        final = next(
            one
            for one in outcome.measurements
            if one.variant == variant and one.claim == "lrn-cifar"
        )
        last = clean[(clean["epoch"] == epochs) & (clean["views"] == 10)]
        last = last[last["epochs"] == epochs].iloc[0]
        assert final.mean == pytest.approx(last["mean"])
        if epochs == 65:  # a family of all arms; the long comparison is a pair
            assert final.over_seeds.low == pytest.approx(last["low"])


def test_a_mean_gain_is_over_as_many_images_of_each_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Asked(Exception):
        pass

    def loader(recipe: object, split: str, ids: np.ndarray) -> None:
        asked.extend(ids.tolist())
        raise Asked

    asked: list[int] = []
    monkeypatch.setattr(gains, "trained_net", lambda recipe: nn.Identity())
    monkeypatch.setattr(gains, "evaluation_loader", loader)
    monkeypatch.setattr(gains, "IMAGES", 55)
    recipe = lrn_cifar_nets.recipe(SETTINGS, WITH, 0)
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"count": 200})})
    with pytest.raises(Asked):
        gains.mean_gains(recipe)
    index = training_index(recipe.data)
    chosen = np.isin(index.ids, asked)
    assert np.bincount(index.labels[chosen]).tolist() == [5] * 10
    assert not chosen[: len(asked)].all()  # of a set that is stored class by class


def test_a_mean_gain_is_over_the_values_of_both_towers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            one = partial(LocalResponseNorm, 1, 1.0, 1.0, 1.0)  # x / (1 + x * x)
            self.towers = nn.ModuleList(nn.ModuleDict({"rnorm1": one()}) for _ in range(2))

        def forward(self, x: torch.Tensor) -> None:
            self.towers[0]["rnorm1"](x)  # four values, with a gain of 1 / 2 each
            rare = x * torch.tensor([3.0, 0.0, 0.0, 0.0])
            self.towers[1]["rnorm1"](rare)  # one value, with a gain of 1 / 10

    ones = SimpleNamespace(images=torch.ones(1, 1, 1, 4))
    loader = SimpleNamespace(once=lambda batch: iter([ones]), close=lambda: None)
    monkeypatch.setattr(gains, "trained_net", lambda recipe: Towers())
    monkeypatch.setattr(gains, "training_index", lambda data: None)
    monkeypatch.setattr(gains, "some_images", lambda index: SimpleNamespace(ids=[0]))
    monkeypatch.setattr(gains, "evaluation_loader", lambda recipe, split, ids: loader)
    assert gains.mean_gains(lrn_cifar_nets.recipe(SETTINGS, WITH, 0)) == (0.42,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arms": ["with norm"]}, "unknown arm 'with norm': did you mean 'with norms'"),
        ({"gain_seed": 2}, "reporting seed"),
        ({"earlier_seeds": [100]}, "reporting seed"),
        ({"long_epochs": 470}, "lengths of the own trainings"),
        ({"long_epochs": 65}, "long_epochs"),
        ({"long_epochs": 2}, "long_epochs is 2; set it to 3 or more"),
        ({"long_seeds": []}, "need one another"),
        ({"long_seeds": [0, 0]}, "long_seeds: .*occurs twice"),
        ({"long_seeds": [-1]}, "long_seeds"),
    ],
)
def test_a_setting_that_would_mix_runs_up_is_refused(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        lrn_cifar.settings(**parameters("lrn_cifar", "paper") | change)
