"""The deviations as data: entries that say what they must, switches that exist, effects that are
read from results and never typed.
"""

from pathlib import Path
from typing import get_args

import pytest

from replication.base import paths
from replication.base.errors import InputError
from replication.book import directives as chapters
from replication.book import notebooks
from replication.book.pages import deviations as chapter
from replication.paper import Experiment
from replication.paper import deviations as data
from replication.paper.deviations import Effect, deviations
from replication.recipe import AlexNetSpec, CifarNetSpec, Data, Recipe, Steps, Update

PARTS_OF_A_RECIPE = {
    "data": (Data,),
    "net": (AlexNetSpec, CifarNetSpec),
    "update": (Update,),
    "schedule": (Steps,),
}


@pytest.mark.parametrize("one", deviations(), ids=lambda one: one.id)
def test_a_switch_is_an_option_of_the_recipe(one: data.Deviation) -> None:
    part, _, option = one.switch.partition(".")
    if option:
        assert any(option in kind.model_fields for kind in PARTS_OF_A_RECIPE[part])
    elif part:
        assert part in Recipe.model_fields


def test_every_page_that_is_named_is_an_experiment() -> None:
    known = {*get_args(Experiment), *notebooks.experiments(), "loading_speed"}
    assert {page for one in deviations() for page in one.pages} <= known


def test_every_difference_that_fidelity_switches_says_so() -> None:
    switched = {one.id for one in deviations() if one.switch == "net.fidelity"}
    assert {
        "relu-conv1",
        "same-map-norm",
        "lrn-alpha",
        "initial-weights",
        "colour-spread",
        "shared-draws",
        "mean-alignment",
    } <= switched


def _read(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[data.Deviation, ...]:
    file = tmp_path / "deviations.toml"
    file.write_text(text)
    monkeypatch.setattr(data, "FILE", file)
    return data.deviations.__wrapped__()


ENTRY = """[[deviation]]
id = "one"
kind = "ours"
part = "net"
what = "x"
paper = "x"
here = "x"
section = "5"
file = ""
why = "x"
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY + 'colour = "blue"\n', "colour"),
        (ENTRY.replace('why = "x"\n', ""), "why"),
        (ENTRY + ENTRY, "twice"),
        (ENTRY + 'source = "x"\n', "source"),
        (ENTRY + '[[deviation.measured]]\nclaim = "no-such-claim"\n', "no-such-claim"),
        (ENTRY + '[[deviation.measured]]\nexperiment = "x"\n', "together"),
    ],
)
def test_a_damaged_entry_is_refused_by_name(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        _read(text, tmp_path, monkeypatch)
    assert "one" in str(caught.value)


WANTED = Effect(
    experiment="x", file="t.csv", row={"kind": "a"}, column="value", quantity="width", unit="m"
)


def _results(folder: Path, scale: str, text: str) -> None:
    place = folder / scale / "x"
    place.mkdir(parents=True)
    (place / "t.csv").write_text(text)


def test_an_effect_is_read_from_the_largest_published_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    assert chapter.effect(WANTED, "laptop") is None
    _results(tmp_path, "laptop", "kind,value\na,1.5\nb,2\n")
    _results(tmp_path, "gpu", "kind,value\na,2.5\n")
    _results(tmp_path, "quick", "kind,value\na,9\n")
    assert chapter.effect(WANTED, "laptop") == ("width: 2.50 m", "gpu")
    assert chapter.effect(WANTED, "quick") == ("width: 9.00 m", "quick")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind,value\nb,1\n", "0 rows"),
        ("kind,other\na,1\n", "value"),
        ("kind,value\na,1\na,2\n", "2 rows"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error_and_not_unmeasured(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    _results(tmp_path, "laptop", text)
    with pytest.raises(InputError, match=said):
        chapter.effect(WANTED, "laptop")


def test_the_published_results_have_the_effects_that_are_named() -> None:
    for one in deviations():
        for wanted in one.measured:
            if (
                wanted.experiment
                and (paths.results() / "laptop" / wanted.experiment / wanted.file).is_file()
            ):
                # a table of a campaign has a row, but not yet a number, for what is missing
                assert chapter.effect(wanted, "laptop") is not None or wanted.seeds


def test_every_link_to_a_deviation_leads_to_its_entry() -> None:
    page = "\n".join(chapter.part_html(part, "laptop") for part in data.PARTS)
    for one in deviations():
        assert f'id="{chapters.anchor(one)}"' in page
