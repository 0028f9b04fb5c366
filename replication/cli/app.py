"""The command line: it parses arguments, calls the other rooms, and prints their answers.

Standard output is the answer (with ``--json`` one JSON document). Standard error is the rest.
Exit status: 0 done; 1 something failed, or a check found a fault; 2 bad input; 3 training cannot
continue; 130 interrupted (the same command resumes).

Nothing here imports torch: each command imports what it needs when it is called, so that help,
completion and the commands that only read files answer at once."""

import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from replication import __version__
from replication.base import paths
from replication.base.errors import InputError, NotebookError, TrainingError
from replication.base.files import FULL
from replication.base.progress import is_live
from replication.cli import (
    INTERRUPTED,
    RESUME,
    bench,
    book,
    claims,
    data,
    doctor,
    evaluate,
    export,
    nets,
    predict,
    reseal,
    run,
    streams,
    train,
    where,
)

# Since 0.27 typer contains its own copy of click; before, it used the package. Its public
# BadParameter is a ClickException in both.
UsageProblem: Any = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
MAIN = os.getpid()
COMMANDS = (
    run.run,
    claims.claims,
    where.where,
    book.book,
    train.train,
    evaluate.evaluate,
    predict.predict,
    export.export,
    nets.net,
    doctor.doctor,
    reseal.reseal,
    bench.bench,
)
DATA_COMMANDS = (
    data.data_list,
    data.data_get,
    data.data_index,
    data.data_verify,
    data.data_prepare,
    data.data_unpack,
)

app = typer.Typer(
    help="A replication of the AlexNet paper (Krizhevsky, Sutskever, Hinton 2012).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Data sets: list, get, check and prepare them.", no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"replication {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


for command in COMMANDS:
    app.command()(command)
for data_command in DATA_COMMANDS:
    data_app.command(data_command.__name__.removeprefix("data_"))(data_command)
app.add_typer(data_app, name="data")


def main() -> None:
    """Run the command line and exit; an expected error becomes one line and an exit status."""
    output, report = streams.prepare()
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in ("papermill", "traitlets", "torch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        status = app(prog_name="replication", standalone_mode=False)
        if status == INTERRUPTED:  # typer turns KeyboardInterrupt into this
            _fail(RESUME, INTERRUPTED)
    except typer.Abort as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None  # an EOFError of ours, which typer takes for Ctrl-D
        status = INTERRUPTED
    except UsageProblem as error:
        status = _fail(_usage(error), error.exit_code)
    except InputError as error:
        status = _fail(str(error), 2)
    except TrainingError as error:
        status = _fail(str(error), 3)
    except NotebookError as error:
        status = _fail(str(error), 1)
    except SystemExit as end:  # typer and rich turn every BrokenPipeError into this
        fault = end.__context__
        if not isinstance(fault, BrokenPipeError):
            raise
        report_is_read = streams.has_reader(report)
        if report_is_read and streams.has_reader(output):
            raise fault from None  # of another pipe, for instance to a process of ours that died
        # a reader such as ``head`` has seen enough; without its report, a training was cut short
        status = 0 if report_is_read else 1
    except OSError as error:
        if error.errno is None:
            raise
        status = _fail(_of_the_system(error), 2)
    if problem := streams.finish():
        status = _fail(problem, 2)
    sys.exit(status if isinstance(status, int) else 0)


def _terminated(number: int, frame: Any) -> None:
    """Raise KeyboardInterrupt, as Ctrl-C does; a process that was forked from this one ends."""
    if os.getpid() != MAIN:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    raise KeyboardInterrupt


def _usage(error: Any) -> str:
    """Return what is wrong with the arguments, and which command explains them."""
    line = error.format_message().replace("Value error, ", "").rstrip(".")
    context = getattr(error, "ctx", None)
    if not line or context is None or "Did you mean" in line:
        return line
    return f"{line}; see `{context.command_path} --help`"


def _of_the_system(error: OSError) -> str:
    """Return the file that an OSError is about, why, and the variable that moves its folder."""
    advice = "; free some space, or name another place" if error.errno in FULL else ""
    if not error.filename:
        return f"a standard stream or an open file: {error.strerror}{advice}"
    path = Path(os.fsdecode(error.filename))
    for variable, folder in (
        ("REPLICATION_RUNS", paths.runs()),
        ("REPLICATION_RESULTS", paths.results()),
        ("REPLICATION_DATA", paths.data()),
    ):
        if path.is_relative_to(folder) or folder.is_relative_to(path):
            return f"{path}: {error.strerror}; name another folder in {variable}"
    return f"{path}: {error.strerror}{advice}"


def _fail(line: str, status: int) -> int:
    if line:  # empty if the help was printed because no command was given
        live = "\r\x1b[K" if is_live(sys.stderr) else ""  # takes the place of a live line
        with contextlib.suppress(OSError):  # standard error may be full
            print(f"{live}replication: {' '.join(line.split())}", file=sys.stderr, flush=True)
    return status
