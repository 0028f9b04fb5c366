"""The command line as a whole: what it imports, how it reports errors, what it suggests."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from replication import __version__
from replication.base import devices, paths
from replication.base.errors import InputError
from replication.book import execute, headlines
from replication.book.notebooks import experiments
from replication.cli import RESUME
from replication.cli import app as command_line
from replication.data import splits
from replication.paper import claims
from replication.recipes import NETS, named
from replication.runs import cluster, forecast
from replication.training import session

HEAVY = ("torch", "matplotlib", "pandas", "papermill", "scipy.stats")
READERS = (
    ["--help"],
    ["--version"],
    ["run", "--help"],
    ["claims", "--json"],
    ["data", "list"],
    ["where", "PCA"],
)


def test_commands_that_only_read_files_import_no_heavy_library():
    # each takes well under a second then; the time itself depends on the machine
    program = f"""
import json, sys
from typer.testing import CliRunner
from replication.cli.app import app
loaded = {{}}
for words in {READERS!r}:
    assert CliRunner().invoke(app, words).exit_code == 0, words
    loaded[" ".join(words)] = sorted(set({HEAVY!r}) & set(sys.modules))
print(json.dumps(loaded))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {" ".join(words): [] for words in READERS}


def test_the_version_option_prints_the_version():
    answer = CliRunner().invoke(command_line.app, ["--version"])
    assert (answer.exit_code, answer.output) == (0, f"replication {__version__}\n")


def ended(monkeypatch, capsys, *words: str) -> tuple[int, str]:
    """Run the command line in this process; exit status and standard error."""
    monkeypatch.setattr(sys, "argv", ["replication", *words])
    capsys.readouterr()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ending:
        command_line.main()
    signal.signal(signal.SIGTERM, before)
    streams = capsys.readouterr()
    assert ending.value.code == 0 or not streams.out
    return ending.value.code, streams.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["run", "relu_vs_tanh", "--set", "epochz=3"], "epochz"),
        (["run", "relu_vs_tanh", "--set", "epochs=abc"], "abc"),
        (["run", "relu_vs_tanh", "--profile", "huge"], "huge"),
        (["run", "nothing"], "nothing"),
        (["run", "relu_vs_tanh", "--set", "mark=7"], "mark: Input should be less than 0.9"),
        (["run", "relu_vs_tanh", "--set", "epochs=1:30"], "wants int"),
        (["run", "loading_speed", "--set", "profile=laptop"], "--profile"),
        (["data", "index", "folder:/nowhere"], "/nowhere"),
        (["net", "lenet"], "lenet"),
        (["claims", "--readme", "--profile", "gpu"], "leave --profile"),
        (["data", "prepare", "synthetic", "--jpeg", ""], "an empty path"),
        (["data", "get", "cifar10", "--from", ""], "an empty path"),
        (["data", "verify", ""], "an empty path"),
        (["data", "verify", "folder:"], "an empty path"),
        (["evaluate", ""], "an empty path"),
        (["predict", "alexnet", ""], "an empty path"),
        (["export", "alexnet", ""], "an empty path"),
        (["book", "--output", ""], "an empty path"),
        (["data", "verify", "~no-such-user/images"], "~no-such-user is no user"),
        (["data", "unpack", "~no-such-user/shards", "x"], "~no-such-user is no user"),
        (["train", "alexnet", "--init-from", "~no-such-user/x"], "~no-such-user is no user"),
        (["evaluate", "~no-such-user/x"], "~no-such-user is no user"),
        (["train", "~no-such-user/x.yaml"], "~no-such-user is no user"),
        (["train", "alexnet", "--set", "data.name='folder:'"], "no path after folder:"),
        (["train", "alexnet", "--set", f"seed={2**64}"], "seed: Input should be less than"),
        (["run", "kernels", "--dry-run", "--set", f"seeds=[{2**64}]"], "seed: Input should be"),
        (["claims", "--profle", "x"], "--profle"),
        (["run", "kernels", "--set", "seeds=[0, 1"], "seeds=[0, 1"),
        (["run", "kernels", "--profile", "gpu"], "tiny-imagenet-100"),  # its data are not there
        (["train", "alexnet", "--set", "batch=100000"], "lower batch"),
        (["train", "alexnet", "--set", "update.rat=1"], "update.rat"),
        (["train", "alexnet", "--devices", "mps"], "mps"),
        (["data", "get", "synthetic", "--file", "x"], "--file"),
        (["run", "loading_speed", "--set", "device=gpu"], "device: Input should be 'cpu'"),
        (["run", "lrn_cifar", "--set", "seeds=3"], "the notebook wants list[int]"),
        (["train", "alexnet", "--set", "data.count=7"], "data.count=null for all"),
        (["train", "nothere.yaml"], "replication: nothere.yaml: No such file or directory; name"),
        (["train", "alexnet", "--log", "paper"], "'--log': 'paper' is not one of 'tensorboard'"),
        # what is wrong with the words comes before what is missing
        (["evaluate", "alexnet", "--views", "5"], "5 views: use 1"),
        (["predict", "alexnet", "x.jpg"], "x.jpg: no such image file"),
        (["predict", "alexnet", __file__, "--views", "3"], "3 views: use 1"),
        (["predict", "alexnet", __file__], "replication train alexnet --profile quick"),
        (["export", "alexnet", "net"], "replication train alexnet --profile quick"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(
    words: list[str], named: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    for name in ("DATA", "RESULTS", "RUNS"):
        monkeypatch.setenv(f"REPLICATION_{name}", str(tmp_path / name))
    splits.selected.cache_clear()
    status, line = ended(monkeypatch, capsys, *words)
    assert status == 2
    assert line.count("\n") == 1 and named in line


def test_results_of_another_folder_do_not_replace_the_readmes(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path))
    before = headlines.README.read_bytes()
    status, line = ended(monkeypatch, capsys, "claims", "--readme")
    assert status == 2 and "REPLICATION_RESULTS" in line
    assert headlines.README.read_bytes() == before


def test_a_ledger_without_a_measurement_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "typo"))
    answer = CliRunner().invoke(command_line.app, ["claims"])
    assert answer.exit_code == 0 and str(tmp_path / "typo") in answer.stderr


def test_the_ledger_command_lists_every_claim() -> None:
    answer = CliRunner().invoke(command_line.app, ["claims", "--json"])
    assert [row["id"] for row in json.loads(answer.stdout)["rows"]] == [one.id for one in claims()]


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["rum"], "Did you mean 'run'?"),
        (["train", "--profle", "quick"], "--profile"),
        (["run", "relu_vs_tan"], "did you mean 'relu_vs_tanh'?"),
        (["run", "training", "--profile", "labtop"], "did you mean 'laptop'?"),
        (["net", "alexnett"], "did you mean 'alexnet'?"),
        (["train", "alexnot"], "did you mean 'alexnet'?"),
        (["data", "get", "cifar-10"], "did you mean 'cifar10'?"),
        (["train", "alexnet", "--set", "update.rat=1"], "did you mean 'update.rate'?"),
        (["train", "19pct", "--set", "net.nam=1"], "19pct: net.nam: no such field; did you mean"),
        (["train", "19pct", "--set", "net.cifar=1"], "19pct: net.cifar: no such field"),
        (["train", "19pct", "--set", "epochs=9999999999"], "epochs: Input should be less than"),
        (["evaluate", "alexnett"], "no run 'alexnett': did you mean 'alexnet'? Name a run's id"),
        (["net"], "Missing argument 'name'; see `replication net --help`"),
    ],
)
def test_a_misspelt_name_gets_a_suggestion_in_one_line(monkeypatch, capsys, words, suggestion):
    status, line = ended(monkeypatch, capsys, *words)
    assert status == 2
    assert suggestion in line and line.count("\n") == 1


def test_names_are_completed_by_the_shell():
    assert command_line.run.complete_experiment("relu") == ["relu_vs_tanh"]
    assert command_line.train.complete_recipe("alexnet-o") == ["alexnet-one-gpu"]
    assert "cifar10" in command_line.data.complete_data("c")


@pytest.mark.parametrize("command", ["train", "net", "evaluate", "predict", "export"])
def test_every_command_that_takes_a_recipe_completes_its_name(command):
    words = f"replication {command} alexnet-o"
    variables = os.environ | {
        "_REPLICATION_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": "2",
    }
    program = (
        "import sys; sys.argv[0] = 'replication'; from replication.cli.app import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=variables
    )
    assert done.stdout.split() == ["alexnet-one-gpu"]


def test_a_dry_run_says_that_results_of_changed_parameters_are_kept_apart():
    words = ["run", "loading_speed", "--profile", "laptop", "--dry-run"]
    assert "unpublished" not in CliRunner().invoke(command_line.app, words).stdout
    changed = CliRunner().invoke(command_line.app, [*words, "--set", "rounds=1"]).stdout
    place = paths.results() / "own" / "parameters" / "rounds-1-"
    where = f"results of loading_speed: would be kept in {place}"
    assert where in changed and "because the parameters are not the profile's" in changed


def test_a_dry_run_says_what_would_happen_to_published_results():
    words = ["run", "architecture", "--profile", "laptop", "--dry-run"]
    printed = CliRunner().invoke(command_line.app, words).stdout
    assert f"results in {paths.results() / 'laptop' / 'architecture'}" in printed


def test_every_experiment_can_be_planned_at_the_papers_scale(monkeypatch, tmp_path):
    """As a user without ImageNet would ask; the probe is left out, since another test has it."""
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path))
    monkeypatch.setattr(forecast, "_seconds_per_image", lambda *_: 1e-3)
    words = ["run", *experiments(), "--profile", "paper", "--dry-run", "--json"]
    answer = CliRunner().invoke(command_line.app, words)
    assert answer.exit_code == 0, answer.output
    plan = json.loads(answer.stdout)
    assert [one["experiment"] for one in plan["experiments"]] == experiments()
    assert plan["disk_bytes"] > 0 and "ilsvrc2012" in {one["name"] for one in plan["data"]}


def test_a_dry_run_refuses_a_misspelt_data_set_as_the_run_would():
    words = ["run", "relu_vs_tanh", "--dry-run", "--set"]
    error = CliRunner().invoke(command_line.app, [*words, "data=cifar11"]).exception
    assert isinstance(error, InputError) and "did you mean 'cifar10'" in str(error)
    printed = CliRunner().invoke(command_line.app, [*words, "data=./no-such-folder"]).stdout
    assert "no-such-folder is not here" in printed


def test_the_fields_of_another_net_are_not_proposed():
    words = ["train", "19pct", "--dry-run", "--set", "net.width=1"]
    error = CliRunner().invoke(command_line.app, words).exception
    assert "net.width: no such field" in str(error) and "mean 'net.width'" not in str(error)


def test_a_data_folder_that_is_a_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path / "file"))
    listed = CliRunner().invoke(command_line.app, ["data", "list"])
    assert f"looked for in {tmp_path / 'file'}, which is not a folder" in listed.stderr


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("replication.cli.app", signal.SIGINT),  # while the command line is loaded
        ("replication.ledger.tables", signal.SIGINT),  # in a command
        ("replication.ledger.tables", signal.SIGTERM),
    ],
)
def test_an_interrupt_at_any_time_is_one_line(module: str, number: signal.Signals):
    program = f"""
import importlib.abc, signal, sys
from replication.__main__ import main
class Interrupts(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            signal.raise_signal({int(number)})
sys.meta_path.insert(0, Interrupts())
sys.argv = ["replication", "claims"]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == f"replication: {RESUME}\n"


def test_a_dry_run_names_the_photographs_that_are_only_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path))
    words = ["run", "loading_speed", "--dry-run", "--set", "photographs=mine"]
    place = tmp_path / "mine"
    missing = f"data: mine is not here, its folder of photographs would be {place}"
    assert missing in CliRunner().invoke(command_line.app, words).stdout
    place.mkdir()
    assert f"data: mine is here, {place}" in CliRunner().invoke(command_line.app, words).stdout


def test_json_without_a_dry_run_is_refused_before_anything_is_trained():
    error = CliRunner().invoke(command_line.app, ["run", "relu_vs_tanh", "--json"]).exception
    assert isinstance(error, InputError) and "--dry-run" in str(error)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("update=3", "update: has fields of its own"),
        ("epochs=1e9", "epochs: should be a whole number"),
        ("seed=[1,2", "close every bracket"),
        ("=3", "write field=value"),
        ("schedule.after=[3,2]", "rising order"),
    ],
)
def test_a_change_that_is_no_value_of_its_field_is_refused_in_plain_words(change, words):
    asked = ["train", "alexnet", "--dry-run", "--set", change]
    error = CliRunner().invoke(command_line.app, asked).exception
    assert isinstance(error, InputError) and words in str(error) and "\n" not in str(error)


def test_the_recipes_that_the_shell_completes_are_those_that_exist():
    assert set(command_line.train.RECIPES) == set(NETS)


@pytest.mark.parametrize(("planned", "hint"), [("epochs: 3\n", True), ("", False)])
def test_the_hint_of_a_longer_run_needs_no_recipe_without_the_change(
    monkeypatch, capsys, tmp_path, planned, hint
):
    def reached(*arguments):
        raise InputError("the training begins")

    monkeypatch.setattr(session, "session", reached)
    values = named("alexnet", "quick").model_dump(mode="json", exclude={"epochs"})
    file = tmp_path / "recipe.yaml"
    file.write_text(f"{yaml.safe_dump(values)}{planned}", encoding="utf-8")
    words = ["train", str(file), "--set", "epochs=9"]
    status, lines = ended(monkeypatch, capsys, *words)
    assert status == 2 and lines.endswith("the training begins\n")
    assert ("to drop it later: --set 'schedule.after=[6]'" in lines) == hint


@pytest.mark.parametrize(
    ("error", "status"), [(InputError("no such thing"), 2), (KeyboardInterrupt(), 130)]
)
def test_expected_ends_are_one_line_and_a_status(monkeypatch, capsys, error, status):
    def fail(profile):
        raise error

    monkeypatch.setattr("replication.ledger.verdicts.ledger", fail)
    found, line = ended(monkeypatch, capsys, "claims")
    assert found == status
    assert line.startswith("replication: ") and line.count("\n") == 1


def test_on_a_terminal_the_last_line_takes_the_place_of_a_live_one(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert ended(monkeypatch, capsys, "net", "lenet")[1].startswith("\r\x1b[Kreplication: ")
    monkeypatch.setenv("TERM", "dumb")  # it would print the codes
    assert ended(monkeypatch, capsys, "net", "lenet")[1].startswith("replication: ")


def test_a_defect_that_typer_takes_for_the_end_of_input_keeps_its_traceback(monkeypatch, capsys):
    def fail(profile):
        raise EOFError("an empty array")

    monkeypatch.setattr("replication.ledger.verdicts.ledger", fail)
    monkeypatch.setattr(sys, "argv", ["replication", "claims"])
    with pytest.raises(EOFError, match="an empty array"):
        command_line.main()


def test_run_says_first_which_device_it_uses_and_why(monkeypatch, capsys):
    monkeypatch.setenv("REPLICATION_SCHEDULER", "")  # which the command sets
    monkeypatch.setattr(execute, "check", lambda *arguments: None)
    monkeypatch.setattr(execute, "is_current", lambda *arguments: True)
    monkeypatch.setattr(devices, "cuda_fault", lambda: "the driver 550 is too old")
    monkeypatch.setattr(devices, "best_device", lambda: "cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    status, log = ended(monkeypatch, capsys, "run", "architecture")
    assert status == 0
    assert log.splitlines()[0].endswith(", 1 thread")
    assert log.startswith("replication run: on cpu (the driver 550 is too old), ")
    monkeypatch.setattr(cluster, "check", lambda address: None)
    status, log = ended(monkeypatch, capsys, "run", "architecture", "--scheduler", "tcp://here:1")
    assert log.splitlines()[0] == "replication run: on tcp://here:1"


def test_a_scheduler_that_does_not_answer_is_found_before_anything_is_run(monkeypatch, capsys):
    monkeypatch.setenv("REPLICATION_SCHEDULER", "")
    monkeypatch.setattr(execute, "execute", lambda *arguments: pytest.fail("executed"))
    words = ["run", "architecture", "--force", "--scheduler", "ADDRESS"]
    status, line = ended(monkeypatch, capsys, *words)
    assert status == 2 and line.startswith("replication: no Dask scheduler answers at ADDRESS")


def test_a_full_disk_is_named_with_what_to_do(monkeypatch, capsys, tmp_path):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write says it, without a name

    monkeypatch.setenv("REPLICATION_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(execute.papermill, "execute_notebook", full)
    status, line = ended(monkeypatch, capsys, "run", "deviations", "--profile", "quick")
    folder = tmp_path / "results" / "quick" / "deviations"
    assert status == 2
    assert f"{folder}: No space left on device; name another folder in REPLICATION_RESULTS" in line
    full_disk = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "net"))
    assert command_line._of_the_system(full_disk).endswith(
        "device; free some space, or name another place"
    )
