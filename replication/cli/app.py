"""The commands. They parse, call and print; what they do is elsewhere.

Standard output is the answer (with ``--json`` one JSON document), standard error everything else.
Exit status: 0 done, 1 something failed or is unhealthy, 2 bad input, 3 training cannot go on, 130
interrupted (the same command goes on from there)."""

import logging
import sys
from typing import Annotated

import typer

from replication.base.errors import InputError, TrainingError
from replication.cli import bench, data, evaluate, nets, train
from replication.cli.output import Json, print_json

# typer carries click inside itself since 0.27 and used the package before; its public BadParameter
# is one in both
UsageProblem: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)

app = typer.Typer(
    help="A replication of the AlexNet paper (Krizhevsky, Sutskever, Hinton 2012).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(
    help="Data sets: what there is, how to get it, what is in it.", no_args_is_help=True
)
app.add_typer(data_app, name="data")
for command in (
    data.data_list,
    data.data_get,
    data.data_index,
    data.data_verify,
    data.data_prepare,
):
    data_app.command(command.__name__.removeprefix("data_"))(command)
for command in (nets.net, train.train, evaluate.evaluate, bench.bench):
    app.command()(command)

Profile = Annotated[str, typer.Option(help="Scale: quick, laptop, gpu or paper.")]


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this machine; exit status 1 when something that is needed is wrong."""
    from replication.cli import doctor as examine

    checks = examine.checks()
    if as_json:
        print_json([vars(check) for check in checks])
    else:
        for check in checks:
            mark = "ok  " if check.ok else "BAD " if check.needed else "none"
            print(
                f"{mark} {check.name}: {check.found}"
                + ("" if check.ok or not check.cure else f" -> {check.cure}")
            )
    if not examine.healthy(checks):
        raise typer.Exit(1)


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Experiments; none: every one.")] = None,
    profile: Profile = "quick",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Training processes at a time; they share the cores.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers train the runs.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="name=value: a parameter of the notebook.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            help="Execute the notebooks even if they are up to date; stored runs are still read."
        ),
    ] = False,
) -> None:
    """Execute experiments' notebooks. Runs that are stored are read, interrupted ones go on."""
    import os

    from replication.book import publish
    from replication.runs import workers

    if scheduler is not None:
        os.environ[workers.SCHEDULER] = scheduler  # the notebooks' kernels inherit it
    chosen = names or publish.experiments()
    for name in chosen:  # every mistake is found before the first is started
        publish.preflight(name, profile, publish.parameters(name, profile, changes or ()))
    for name in chosen:
        if not force and not changes and publish.is_current(name, profile):
            print(f"{name} ({profile}): up to date")
            continue
        print(f"{name} ({profile}): running", flush=True)
        place = publish.execute(name, profile, changes or (), jobs)
        print(f"{name} ({profile}): {place}", flush=True)


@app.command()
def claims(
    profile: Annotated[
        str | None, typer.Option(help="A scale; none: the largest published one of each claim.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The ledger: what the paper says, what the 2012 logs say, what was measured here, and the
    verdict.
    """
    from replication.ledger import tables as ledger_tables
    from replication.ledger import verdicts as ledger

    rows = ledger.ledger(profile)
    print(ledger.rows_json(rows) if as_json else ledger_tables.rows_table(rows).rstrip())


@app.command()
def book(
    profile: Annotated[
        str | None, typer.Option(help="quick: add the notebooks of your own quick run.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Build it even if it is up to date.")] = False,
) -> None:
    """Build the book and print where to open it."""
    from replication.book import publish

    print(f"open {publish.build_book(profile, force)}")


def main() -> None:
    """The entry point: turns the errors that are made on purpose into one line and an exit
    status.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in ("papermill", "traitlets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from replication.book.publish import NotebookError

    try:
        status = app(standalone_mode=False)
    except typer.Abort:
        status = 130
    except UsageProblem as error:
        status = _fail(error.format_message(), error.exit_code)
    except InputError as error:
        status = _fail(str(error), 2)
    except TrainingError as error:
        status = _fail(str(error), 3)
    except NotebookError as error:
        status = _fail(str(error), 1)
    except OSError as error:
        if error.errno is None:
            raise
        folders = "REPLICATION_RUNS, REPLICATION_RESULTS and REPLICATION_DATA"
        status = _fail(
            f"{error.filename or 'a file'}: {error.strerror}; check it, and the folders that"
            f" {folders} name",
            2,
        )
    except KeyboardInterrupt:
        status = _fail("interrupted; run the same command again, it goes on from there", 130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(line: str, status: int) -> int:
    if line:  # without a command the help has said all
        print(f"replication: {' '.join(line.split())}", file=sys.stderr)
    return status
