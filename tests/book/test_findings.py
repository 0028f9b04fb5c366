"""Prose about results: numbers are read from the ledger, and text gives way when they change."""

import json
import re
from types import SimpleNamespace

import pytest
from ledger_worlds import full

from replication.base import paths
from replication.base.types import PROFILES
from replication.book import findings, headlines
from replication.ledger.measurement import ImageNoise, checked, measured
from replication.ledger.units import seeds_text
from replication.ledger.verdicts import ledger

SEEDS = [5.0, 6.0, 7.0, 6.0, 6.0]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch):
    """Replace the ledger's measurement of one claim."""

    def put(measurement) -> None:
        found = {row.id: row for row in ledger()}
        claim = measurement.claim
        found[claim] = found[claim].model_copy(update={"ours": measurement, "others": ()})
        monkeypatch.setattr(findings, "rows", lambda: found)

    return put


@pytest.mark.parametrize(
    ("values", "outcome"),
    [([1.0, 1.1, 0.9, 1.0, 1.0], "agrees"), ([-1.0, -1.1, -0.9], "opposes"), ([1, -1, 0], "open")],
)
def test_an_outcome_is_the_side_of_the_interval(rows, values: list[float], outcome: str) -> None:
    rows(measured("colour-gain", values, profile="laptop", scale="made up"))
    assert findings.stale(f"colour-gain = {outcome}") == []
    others = {"agrees", "opposes", "open"} - {outcome}
    assert all(findings.stale(f"colour-gain = {other}") == ["colour-gain"] for other in others)


def test_an_effect_that_cannot_have_the_papers_size_is_small(rows) -> None:
    at = {"profile": "paper", "scale": "made up", "ran": full("lrn-cifar")}
    rows(measured("lrn-cifar", [0.2, 0.5, 0.2], variant="norms removed", **at))
    assert findings.stale("lrn-cifar = small") == []
    line = findings.verdict_line("lrn-cifar = small").astext()
    assert "inconclusive (the interval includes 0, and is outside the range (1 to 3))" in line


def test_a_count_that_is_not_decided_is_open(rows) -> None:
    rows(checked("two-gpu-memory", "2 to 4 GiB", "more than 3 GiB", None, profile="laptop"))
    assert findings.stale("two-gpu-memory = open") == []
    assert findings.stale("two-gpu-memory = contradicted") == ["two-gpu-memory"]
    line = findings.verdict_line("two-gpu-memory = open").astext()
    assert line == "Verdict inconclusive: two-gpu-memory."


def test_a_finding_says_with_what_its_numbers_were_measured(rows) -> None:
    ran = full("lrn-cifar")
    at = {"profile": "paper", "scale": "made up, 520 epochs", "variant": "norms removed"}
    rows(measured("lrn-cifar", [0.2, 0.5, 0.2], **at, ran=ran))
    text = findings.scale_text("lrn-cifar = small")
    assert text.startswith("Scale: the paper's own, 50,000 images of cifar10, 10 classes, inputs")
    assert f"at most {ran.epochs} epochs" in text
    rows(measured("lrn-cifar", [0.2, 0.5, 0.2], **at, ran=ran.model_copy(update={"images": 9})))
    assert findings.scale_text("lrn-cifar = small").startswith("Scale: 9 images of cifar10, 10")
    assert findings.scale_text("params = holds") == ""  # counted, and not trained


def test_a_finding_with_two_scales_says_which_number_has_which(rows) -> None:
    both = "fig1-curves = agrees; lrn-cifar = small"
    ran = full("lrn-cifar").model_copy(update={"images": 9})
    at = {"profile": "paper", "scale": "made up, 520 epochs", "variant": "norms removed"}
    rows(measured("lrn-cifar", [0.2, 0.5, 0.2], **at, ran=ran))
    text = findings.scale_text(both)
    assert text.startswith("Scales: ") and "epochs (lrn-cifar)." in text and "(fig1-curves)" in text


@pytest.mark.parametrize(("error", "outcome"), [(10.9, "agrees"), (11.8, "open")])
def test_an_error_agrees_inside_the_papers_range(rows, error: float, outcome: str) -> None:
    at = {"profile": "paper", "scale": "made up", "ran": full("cifar-error")}
    rows(measured("cifar-error", [error] * 3, variant="with norms", **at))
    assert findings.stale(f"cifar-error = {outcome}") == []
    by_chance = [error - 3, error, error + 3]
    rows(measured("cifar-error", by_chance, variant="with norms", **at))
    assert findings.stale("cifar-error = open") == []


def test_a_check_has_its_verdict_as_outcome(rows) -> None:
    rows(checked("params", 60_965_224, 60_000_000, True, profile="laptop"))
    assert findings.stale("params = holds") == []
    assert findings.stale("params = contradicted") == ["params"]


def test_text_for_another_outcome_gives_way_to_the_ledger_s_own_line(rows) -> None:
    rows(measured("colour-gain", [-1.0, -1.1, -0.9], profile="laptop", scale="made up"))
    line = findings.generated("colour-gain = agrees").astext()
    assert "-1.00 points (" in line and "n = 3" in line and "Verdict: " in line


def test_too_few_seeds_are_named_beside_a_clear_interval(rows) -> None:
    rows(measured("colour-gain", [1.0, 1.1, 0.9], profile="laptop", scale="made up"))
    line = findings.verdict_line("colour-gain = agrees").astext()
    assert line.startswith("Verdict inconclusive (") and line.endswith("): colour-gain.")
    assert "seeds are needed" in findings.verdict_line("relu-tanh = agrees").astext() or (
        findings.rows()["relu-tanh"].verdict != "inconclusive"
    )


@pytest.mark.parametrize("wrong", ["colour-gain", "colour-gain = fine", "no-such-claim = open"])
def test_a_condition_that_means_nothing_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        findings.stale(wrong)


def test_a_variant_that_was_not_measured_is_not_run() -> None:
    assert findings.stale("relu-tanh/no-such-variant = not run") == []


def test_our_number_says_interval_seeds_and_unit(rows) -> None:
    ours = measured("relu-tanh", SEEDS, denominators=[1.0] * 5, profile="laptop", scale="made up",
                    variant="source2012")  # fmt: skip
    text = findings.ours_text(ours)
    assert text.startswith("5.97 times (") and text.endswith("n = 5)")
    bound = ours.model_copy(update={"bound": "lower"})
    assert findings.ours_text(bound).startswith("at least ")
    tested = measured("specialise", SEEDS, profile="laptop", scale="made up", p=0.002)
    assert findings.ours_text(tested).endswith(", n = 5, p = 0.002)")
    assert findings.ours_text(tested).endswith(f", {seeds_text(tested)})")


def test_a_headline_has_the_interval_over_images_where_it_decides() -> None:
    noise = ImageNoise(low=-0.5, high=11.0, images=5000, resamples=20_000)
    (row,) = (row for row in ledger() if row.id == "overlap-gain")
    of = {"profile": "laptop", "scale": "made up", "variant": "top-1"}
    ours = measured("overlap-gain", SEEDS, over_images=noise, **of)
    row = row.model_copy(update={"ours": ours})
    assert headlines.named(row).endswith("n = 5; over seeds and images -0.5 to 11.0), top-1")


def test_readme_s_results_are_those_of_the_ledger() -> None:
    text = headlines.README.read_text(encoding="utf-8")
    assert headlines.block() in text, "run `replication claims --readme` and commit README.md"
    for file, content in headlines.pictures().items():
        assert file.read_bytes() == content, f"{file}: run `replication claims --readme`"
        assert file.relative_to(headlines.README.parent).as_posix() in text


def test_every_experiment_with_runs_says_what_it_took_and_gave() -> None:
    commands = [command for command, _, _ in headlines.costs()]
    assert "replication run relu_vs_tanh --profile laptop" in commands
    assert all("hours" in took for command, took, _ in headlines.costs() if "run" in command)


def test_an_experiment_whose_claims_a_larger_scale_answers_says_so() -> None:
    answered = {row.ours.profile for row in findings.rows().values() if row.ours is not None}
    found = [(command, gave) for command, _, gave in headlines.costs() if "superseded" in gave]
    assert all(gave.rpartition(" ")[2] in answered for _, gave in found)
    for command, gave in found:
        own, larger = (text.rpartition(" ")[2] for text in (command, gave))
        assert PROFILES.index(own) < PROFILES.index(larger)


def test_runs_at_a_larger_scale_without_a_verdict_yet_are_not_superseded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = SimpleNamespace(experiment="lrn_cifar", ours=SimpleNamespace(profile="laptop"))
    monkeypatch.setattr(headlines, "rows", lambda: {"lrn-cifar": row})
    assert headlines._overtaken("lrn_cifar", "paper") == "no verdict yet"
    assert headlines._overtaken("lrn_cifar", "quick") == "superseded by the runs at laptop"


def test_a_gain_of_ours_is_beside_the_paper_s_gain() -> None:
    for row in headlines.headline_rows():
        if row.ours is not None and row.ours.variant.startswith("gain"):
            assert f"{row.ours.variant}: " in headlines.paper_text(row)
        else:
            assert headlines.paper_text(row) == row.paper


def test_the_project_s_own_commands_say_on_which_machine_they_were_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(headlines.paths, "ROOT", tmp_path)
    assert headlines._timed() == []
    times = {"seconds": {"make test": 198, "make reproduce": 252}, "cpus": 2, "processor": "Xeon",
             "finished": "2026-11-25T20:00:00+00:00"}  # fmt: skip
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "times.json").write_text(json.dumps(times))
    took = {command: took for command, took, _ in headlines._timed()}
    assert took["make test"] == "3.3 minutes, 2 CPUs (Xeon), 2026-11-25"
    assert took["make reproduce"] == "4.2 minutes, 2 CPUs (Xeon), 2026-11-25"


def _with_quiet_findings() -> dict[tuple[str, str], list[str]]:
    """Return the conditions of a page's findings by page and first claim, if one is quiet."""
    groups: dict[tuple[str, str], list[str]] = {}
    quiet = set()
    for page in sorted(paths.BOOK.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for conditions, option in re.findall(r"```\{finding\} (.+)\n(:quiet:)?", text):
            place = page.relative_to(paths.BOOK).as_posix(), conditions.partition("=")[0].strip()
            groups.setdefault(place, []).append(conditions)
            if option:
                quiet.add(place)
    return {place: groups[place] for place in groups if place in quiet}


@pytest.mark.parametrize(("place", "several"), _with_quiet_findings().items(), ids=str)
def test_a_quiet_finding_is_there_for_what_was_found(place: tuple, several: list[str]) -> None:
    shown = [one for one in several if not findings.stale(one)]
    assert shown, f"{place[0]} says nothing about {place[1]} for today's results"
