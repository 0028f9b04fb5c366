"""Every experiment of the list keeps the contract at every profile."""

import re
import sys
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from papermill.translators import translate_parameters

from replication.base import paths
from replication.base.errors import InputError
from replication.base.models import Frozen
from replication.base.types import PROFILES
from replication.book.notebooks import parameters, settings
from replication.experiments import EXPERIMENTS
from replication.experiments.common.contract import Experiment, settings_of, shown_profile

TRAINING = [experiment for experiment in EXPERIMENTS if not experiment.reads_results]


def test_the_list_names_every_notebook_once_and_a_page_is_listed_once_it_is_published() -> None:
    names = [experiment.name for experiment in EXPERIMENTS]
    assert sorted(names) == sorted(path.stem for path in paths.NOTEBOOKS.glob("*.ipynb"))
    contents = yaml.safe_load((paths.BOOK / "_toc.yml").read_text(encoding="utf-8"))
    listed = {name for name in names if f"experiments/{name}'" in str(contents)}
    published = {name for name in names if (paths.pages() / f"{name}.ipynb").is_file()}
    assert listed == published
    # only a page that waits for a campaign may be missing
    for name in set(names) - published:
        assert settings(name, "laptop").only_stored


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("experiment", TRAINING, ids=lambda experiment: experiment.name)
def test_the_plan_can_be_built_at_every_profile(experiment: Experiment, profile: str) -> None:
    chosen = settings(experiment.name, profile)
    tasks = experiment.tasks(chosen)
    assert all(task.profile == profile for task in tasks)
    folders = [task.folder for task in tasks]
    assert len(set(folders)) == len(folders)
    if experiment.uses_baseline and experiment.name != "data_pipeline":
        assert tasks


@pytest.mark.parametrize("experiment", TRAINING, ids=lambda experiment: experiment.name)
def test_a_plan_with_one_of_each_uses_the_singular(experiment: Experiment) -> None:
    if not hasattr(experiment.module, "plan"):
        return
    ones = {"seeds": [7], "groups": 1, "epochs": 3, "code_epochs": 1, "ranked": 1}
    have = experiment.module.Settings.model_fields
    changes = [f"{name}={value}" for name, value in ones.items() if name in have]
    text = experiment.module.plan(settings(experiment.name, "quick", changes))
    assert re.search(r"(?<![\d.,-])1 \w+s\b", text) is None, text


@pytest.mark.parametrize("experiment", TRAINING, ids=lambda experiment: experiment.name)
def test_seeds_that_are_negative_or_occur_twice_are_refused_by_name(experiment: Experiment) -> None:
    have = [name for name in experiment.module.Settings.model_fields if name.endswith("seeds")]
    for name in have:
        for seeds in ("[-1]", "[0, 0]"):
            with pytest.raises(InputError, match=name):
                settings(experiment.name, "quick", [f"{name}={seeds}"])


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [("data_pipeline", "crop=65", "crop is 65"), ("relu_vs_tanh", "size=4", "size")],
)
def test_a_size_that_no_recipe_accepts_is_refused_by_name(name, change, words) -> None:
    with pytest.raises(InputError, match=words):
        settings(name, "quick", [change])


@pytest.mark.parametrize("experiment", TRAINING, ids=lambda experiment: experiment.name)
def test_a_notebook_refuses_a_wrong_parameter_in_one_line(experiment: Experiment) -> None:
    text = (paths.NOTEBOOKS / f"{experiment.name}.ipynb").read_text(encoding="utf-8")
    assert ".settings(" in text and ".Settings(" not in text
    with pytest.raises(InputError, match=f"{experiment.name}: profile: ") as caught:
        experiment.module.settings(**parameters(experiment.name, "quick") | {"profile": "qiuck"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("architecture", {"images": True}, "images: Input should be a number"),
        ("architecture", {"seed": 2**64}, "seed: "),
        ("ablations", {"seeds": [0, True]}, "seeds.1: Input should be a number"),
        ("lrn_cifar", {"arms": []}, "arms: .*at least 1"),
    ],
)
def test_truth_values_as_numbers_and_empty_lists_are_refused(name, change, words) -> None:
    chosen = next(one for one in TRAINING if one.name == name)
    with pytest.raises(InputError, match=f"{name}: {words}"):
        chosen.module.settings(**settings(name, "quick").model_dump() | change)


def test_a_parameter_that_only_papermill_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Papermill itself only warns of it, and the notebook would run with its defaults."""

    class Settings(Frozen):
        epochs: int
        seeds: list[int]

    def run(before: str = 'profile: str = "quick"', **injected: object) -> Settings:
        cell = translate_parameters("python3", "python", injected, "Parameters")
        shell = SimpleNamespace(user_ns={"In": ["", before, cell]})
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        return settings_of(Settings, "made_up")(epochs=2, seeds=[0, 1])

    assert run(epochs=2, seeds=[0, 1]).epochs == 2
    with pytest.raises(InputError, match=r"made_up: unknown parameter 'epocs': did you mean 'epoc"):
        run(epocs=9)
    assert run("import replication", epocs=9).epochs == 2  # a cell of the reader's own notebook
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert settings_of(Settings, "made_up")(epochs=2, seeds=[0]).seeds == [0]


@pytest.mark.parametrize("page", [one.name for one in EXPERIMENTS if one.reads_results])
def test_a_page_that_only_reads_results_checks_its_profile_too(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown_profile(page, "laptop") == "laptop"
    with pytest.raises(InputError, match=f"{page}: profile: .*'quick', 'laptop'"):
        shown_profile(page, "laptpo")
    cells = ["", 'profile: str = "quick"', "# Parameters\nprofle = 'laptop'\n"]
    shell = SimpleNamespace(user_ns={"In": cells})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with pytest.raises(InputError, match=f"{page}: unknown parameter 'profle'"):
        shown_profile(page, "quick")
    written = nbformat.read(paths.NOTEBOOKS / f"{page}.ipynb", 4)
    assert any(f'shown_profile("{page}", profile)' in cell.source for cell in written.cells)
