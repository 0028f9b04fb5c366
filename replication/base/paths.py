"""Every folder the package reads or writes; none depends on the working directory.

Environment variables move them: ``REPLICATION_DATA`` (data sets, only read, except by ``data
get``), ``REPLICATION_RESULTS`` (small text facts of each run), ``REPLICATION_RUNS`` (checkpoints,
weights, prepared arrays) and ``REPLICATION_PAGES`` (executed notebooks). Without them the folders
are in the clone, or, for a package installed elsewhere, in the user's own data folder.

``results/<profile>/`` of the clone is published. Only ``replication run`` at a profile's own
parameters and on the published images writes there; it says so in ``REPLICATION_PLACE``. Everything
else is written to a folder of its own under ``results/own/``."""

import os
from contextlib import suppress
from pathlib import Path

from replication.base.errors import InputError
from replication.base.types import PUBLISHED

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PARAMS = ROOT / "params"
BOOK = ROOT / "book"
FOLDERS = ("REPLICATION_DATA", "REPLICATION_RESULTS", "REPLICATION_RUNS", "REPLICATION_PAGES")
PLACE = "REPLICATION_PLACE"  # under results(): "" is the published place
MEASUREMENTS = "measurements.json"  # of an experiment, in its folder of results
OWN = "own"  # where results are kept that are not published
OTHER_IMAGES = f"{OWN}/images"  # of those, the ones of other images than the published


def named(path: str | Path) -> Path:
    """Return a path that the user named, with "~" as the home folder.

    Raises InputError for "", which would mean the working folder, and for a user without a home."""
    if str(path) == "":
        raise InputError("an empty path, as of a variable that is not set: name a file or folder")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        user = Path(path).parts[0]
        raise InputError(f"{path}: {user} is no user with a home folder; write the path") from None


def absolute(path: str | Path) -> Path:
    """Return a path that the user named as an absolute one without links.

    Links that lead to each other stay as they are: who reads the path is told of them."""
    return Path(os.path.realpath(named(path)))


def _make_absolute() -> None:
    """Make the variables absolute once, so that every process started later reads the same."""
    for variable in FOLDERS:
        if value := os.environ.get(variable):
            # what is no path, ``_folder`` refuses with the variable's name
            with suppress(InputError):
                os.environ[variable] = str(absolute(value))


_make_absolute()


def is_clone() -> bool:
    """Return whether the package runs from a clone of the repository."""
    return (ROOT / "pyproject.toml").is_file() and NOTEBOOKS.is_dir()


def home() -> Path:
    """Return the user's folder for program data. Raises InputError if the user has no home."""
    try:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError:
        raise InputError(
            "this user has no home folder (HOME is not set): name folders in REPLICATION_DATA,"
            " REPLICATION_RESULTS and REPLICATION_RUNS"
        ) from None
    return Path(base) / "alexnet-replication"


def _folder(variable: str, name: str) -> Path:
    if value := os.environ.get(variable):
        try:
            return absolute(value)
        except InputError as error:
            raise InputError(f"{variable}: {error}") from None
    return (ROOT if is_clone() else home()) / name


def data() -> Path:
    """Return where data sets are looked for. Default ``data/``, ignored by git."""
    return _folder("REPLICATION_DATA", "data")


def results() -> Path:
    """Return where results are read. Default ``results/``."""
    return _folder("REPLICATION_RESULTS", "results")


def published() -> Path:
    """Return where the results of the clone's own pages are, regardless of where others go."""
    return ROOT / "results"


def are_published() -> bool:
    """Return whether the results that are read are a clone's own, not a copy elsewhere."""
    return results() == published() and is_clone()


def runs() -> Path:
    """Return where checkpoints and prepared arrays are kept. Default ``runs/``."""
    return _folder("REPLICATION_RUNS", "runs")


def pages() -> Path:
    """Return where executed notebooks of the published profiles are kept."""
    return _folder("REPLICATION_PAGES", "book/experiments")


def place(profile: str) -> str:
    """Return the folder under ``results()`` that this process writes to: "" if published."""
    named = os.environ.get(PLACE)
    if named is not None:
        return named
    guarded = profile in PUBLISHED and are_published()
    return f"{OWN}/by-hand" if guarded else ""


def experiment(profile: str, name: str) -> Path:
    """Return the folder to which this process writes the results of an experiment."""
    return results() / place(profile) / profile / name


def stored(profile: str, name: str, file: str) -> Path:
    """Return where a result file or a run's folder is: in this process's place, or published.

    Published results are read by all but runs on other images, for which they are no results."""
    own, published = experiment(profile, name) / file, results() / profile / name / file
    readable = not place(profile).startswith(OTHER_IMAGES)
    return published if readable and published.exists() and not own.exists() else own
