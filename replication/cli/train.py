"""``replication train``: start or resume the run of a named recipe or of a recipe file."""

from typing import Annotated, Literal

import typer

from replication.base.text import counted
from replication.cli.output import Profile

RECIPES = ("alexnet", "alexnet-2012", "alexnet-one-gpu", "alexnet-6conv", "19pct")


def complete_recipe(start: str) -> list[str]:
    """Return the named recipes that begin with ``start``, for the shell."""
    return [name for name in RECIPES if name.startswith(start)]


def train(
    name: Annotated[
        str,
        typer.Argument(
            help="alexnet, alexnet-2012, alexnet-one-gpu, alexnet-6conv, 19pct; or a YAML file.",
            autocompletion=complete_recipe,
        ),
    ],
    profile: Profile = "quick",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="field=value: change the recipe, as in update.rate=0.02."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the whole recipe as YAML, and train nothing.")
    ] = False,
    devices: Annotated[
        str,
        typer.Option(
            help="cpu, cuda, or one device per tower: cuda:0,cuda:1. Not needed with torchrun."
        ),
    ] = "",
    drop_now: Annotated[
        bool,
        typer.Option(
            "--drop-now",
            help="Make a run in progress lower its learning rate at the end of the epoch.",
        ),
    ] = False,
    init_from: Annotated[
        str | None,
        typer.Option(help="Start from the weights of a run (its id), of a file, or of a folder."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that decode images if DALI is not installed.")
    ] = 0,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="CPU threads; default: all cores. Results can differ in the last digits."
        ),
    ] = None,
    log: Annotated[
        Literal["tensorboard"] | None,
        typer.Option(help="tensorboard: also write event files to the run's folder."),
    ] = None,
) -> None:
    """Train a net and store it in runs/<id>; the same command resumes an interrupted run."""
    import torch

    from replication.base.devices import best_device
    from replication.recipes import as_yaml, chosen, planned_epochs
    from replication.training import guard
    from replication.training.drop_request import request_drop
    from replication.training.initial_weights import adopt
    from replication.training.process.progress import Terminal
    from replication.training.run import Options
    from replication.training.session import is_first, run_folder, session

    changes = list(changes or ())
    if init_from is not None:  # "" counts as no choice: the value may come from an unset variable
        changes.append(f"init_from='{adopt(init_from)}'")
    recipe = chosen(name, profile, changes)
    folder = run_folder(recipe)
    if dry_run:
        print(f"# run {recipe.id}, in {folder}\n{as_yaml(recipe)}", end="")
        return
    if drop_now:
        request_drop(folder)
        print(f"the rate of {recipe.id} will drop at the end of the epoch")
        return
    if threads is not None:
        torch.set_num_threads(threads)
    terminal = Terminal()
    board = None
    if log == "tensorboard" and is_first():
        from replication.training.process.tensorboard import TensorBoard

        board = TensorBoard(folder)
    on_epoch = board.update if board else None
    before = planned_epochs(name, profile) if init_from is None else None
    if is_first() and (line := guard.early_drops(recipe, before)):
        terminal.report(line)
    outcome = session(
        recipe,
        terminal.report,
        (devices or best_device()).split(","),
        workers,
        Options(divergence="stop", watch=terminal.watch, on_epoch=on_epoch, extend=True),
    )
    if is_first():
        if board:
            board.update()  # a run that had ended: its epochs were trained before this command
            terminal.report(f"event files in {board.folder}: tensorboard --logdir {board.folder}")
        terminal.report(
            f"run {recipe.id} ended after {counted(outcome.progress.epoch, 'epoch')}"
            f" ({outcome.progress.ended}), weights in {folder}"
        )
        if line := guard.nothing_learned(outcome.progress.history, outcome.classes, recipe):
            terminal.report(line)
