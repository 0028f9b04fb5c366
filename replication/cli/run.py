"""``replication run``: the experiments' notebooks, executed."""

from collections.abc import Sequence
from typing import Annotated

import typer

from replication.base import paths
from replication.base.errors import InputError
from replication.base.text import counted
from replication.cli.output import Profile, print_json


def complete_experiment(start: str) -> list[str]:
    """Return the experiments whose names begin with ``start``, for the shell."""
    names = sorted(path.stem for path in paths.NOTEBOOKS.glob("*.ipynb"))
    return [name for name in names if name.startswith(start)]


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of experiments; default: all.", autocompletion=complete_experiment
        ),
    ] = None,
    profile: Profile = "quick",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Nets to train at a time; they share the cores.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers train the runs.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="name=value: change a parameter of the notebook."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            help="Execute the notebooks even if they are up to date; stored runs are still read."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would be trained and how long that would take."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --dry-run: print one JSON document.")
    ] = False,
) -> None:
    """Execute experiments' notebooks; read stored runs and resume interrupted ones."""
    import os
    import sys

    import torch

    from replication.base.devices import best_device, described
    from replication.book import progress
    from replication.book.execute import check, execute, is_current, place
    from replication.book.kept import kept
    from replication.book.notebooks import experiments, waits
    from replication.runs import cluster

    chosen, changes = names or experiments(), changes or []
    if as_json and not dry_run:
        raise InputError("--json prints what --dry-run found: give both")
    if dry_run:
        return _forecast(chosen, profile, changes, as_json)
    if not names:
        waiting = {name: waits(name, profile, changes) for name in chosen}
        chosen = [name for name in chosen if not waiting[name]]
        for name, reason in waiting.items():
            if reason:
                print(f"{name} ({profile}): left out, {reason}")

    def current(name: str) -> bool:
        return not force and is_current(name, profile, changes)

    unchanged = {} if force else {name: kept(name, profile, changes) for name in chosen}
    for name in chosen:  # every mistake is found before the first is started
        if not unchanged.get(name):
            check(name, profile, changes)
    if scheduler is not None:
        if any(not unchanged.get(name) and not current(name) for name in chosen):
            cluster.check(scheduler)
        os.environ[cluster.SCHEDULER] = scheduler  # the notebooks' kernels inherit it
    where = scheduler or f"{described(best_device())}, {counted(torch.get_num_threads(), 'thread')}"
    print(f"replication run: on {where}", file=sys.stderr, flush=True)
    for name in chosen:
        if current(name):
            print(f"{name} ({profile}): up to date")
            continue
        if unchanged.get(name):
            print(f"{name} ({profile}): {unchanged[name]}")
            continue
        log = progress.log_path(name, profile)
        folder = place(name, profile, changes)
        apart = f", not published: kept in {paths.results() / folder}" if folder else ""
        print(f"{name} ({profile}): running, log in {log}{apart}", file=sys.stderr, flush=True)
        page = execute(name, profile, changes, jobs)
        print(f"{name} ({profile}): {page}", flush=True)


def _forecast(names: Sequence[str], profile: str, changes: Sequence[str], as_json: bool) -> None:
    from replication.book.execute import place
    from replication.book.kept import kept
    from replication.book.notebooks import only_loaded, parameters, tasks, waits
    from replication.runs.forecast import forecast

    plans = {name: tasks(name, profile, changes) for name in names}
    places = {name: place(name, profile, changes) for name in names}
    values = {name: parameters(name, profile, changes) for name in names}
    shown = [name for name in names if values[name].get("only_stored")]
    loaded = {one for name in names for one in only_loaded(values[name])}
    costs = forecast(plans, profile, places=places, only_stored=shown, loaded=loaded)
    waiting = {name: reason for name in shown if (reason := waits(name, profile, changes))}
    if as_json:
        return print_json(costs.dump() | {"places": places, "waiting": waiting})
    print(costs.table())
    if shown:
        print(
            f"only_stored: {', '.join(shown)} would show what is stored and train nothing; --set"
            " only_stored=false trains the rest"
        )
    for name, reason in waiting.items():
        print(f"{name} ({profile}): nothing to show yet, {reason}")
    for name in names:
        if not places[name]:
            reason = kept(name, profile, changes)
            print(f"{name}: {reason or f'results in {paths.results() / profile / name}'}")
    for where in sorted(set(filter(None, places.values()))):
        of = ", ".join(name for name in names if places[name] == where)
        why = (
            "your images are not those of the published runs"
            if where.startswith(paths.OTHER_IMAGES)
            else "the parameters are not the profile's"
        )
        folder = paths.results() / where
        print(f"results of {of}: would be kept in {folder}, unpublished, because {why}")
